"""A resource type is a model and a row: the client and the simulated PBX derive the rest."""

from __future__ import annotations

import itertools
from typing import Annotated, Any

import pytest

from receiver.pbx.fields import Model, Spec
from receiver.pbx.resource_types import TOP_LEVEL, ResourceType
from receiver.simulator.api import ENDPOINTS
from receiver.simulator.behaviour import Behaviour
from receiver.simulator.collection import Collection
from receiver.simulator.validation import ApiError, Context
from tests.pbx.recorder import Recorder, ok


class Ring(Model, frozen=True, kw_only=True):
    id: Annotated[str, Spec(use="read")] = ""
    name: Annotated[str, Spec(1, 8, required=True, unique=True)] = ""
    strategy: Annotated[str, Spec(choices=("ALL", "NEXT"), default="ALL")] = ""
    queue: Annotated[int | None, Spec(0, 9, since="22.6")] = None


RING = ResourceType(one="a ring", many="rings", path="/rings", whole=Ring, summary=Ring)


def collection(**behaviour: Any) -> Collection:
    numbers = itertools.count(1)
    return Collection(RING, lambda: Context(Behaviour(**behaviour)), lambda: str(next(numbers)))


def test_the_simulated_pbx_stores_what_the_model_allows() -> None:
    rings = collection()
    key = rings.create({"id": "x", "name": "Sales", "queue": 3.0, "unknown": 1})
    assert rings.show(key) == {"id": "1", "name": "Sales", "strategy": "ALL", "queue": 3}
    rings.update(key, {"strategy": "NEXT"})
    assert rings.page({})["items"][0]["strategy"] == "NEXT"


def test_a_field_of_a_later_release_is_ignored_and_not_shown() -> None:
    rings = collection(version="22.3")
    assert rings.show(rings.create({"name": "Sales", "queue": 99})) == {
        "id": "1",
        "name": "Sales",
        "strategy": "ALL",
    }


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ({}, "name is required"),
        ({"name": "123456789"}, "name has 9 characters, and the PBX takes 8"),
        ({"name": "a", "strategy": "all"}, "strategy must be one of ALL, NEXT"),
        ({"name": "a", "queue": 10}, "queue must be from 0 to 9"),
        ({"name": "Desk"}, "name is taken already"),
    ],
)
def test_the_simulated_pbx_enforces_the_limits_of_the_model(
    data: dict[str, Any], problem: str
) -> None:
    rings = collection()
    rings.create({"name": "Desk"})
    with pytest.raises(ApiError, match=problem):
        rings.create(data)


async def test_the_client_needs_no_class_for_a_new_resource_type() -> None:
    pbx = Recorder(ok({"id": "7"}, 201), ok({"id": "7", "name": "Sales"}))
    assert await pbx.client().collection(RING).create(Ring(name="Sales")) == "7"
    assert pbx.requests[0].url.path == "/api/rings"


def test_every_resource_type_has_endpoints_in_the_simulator() -> None:
    paths = {endpoint.path for endpoint in ENDPOINTS}
    assert {f"/api{type.path}" for type in TOP_LEVEL} <= paths
