"""Declaring handlers of events, and the event URL of a PBX."""

from __future__ import annotations

from typing import Any

import pytest

from receiver import CallEvent, DeclarationError, EventEndpoint, Events, Ivr, Receiver
from receiver.declarations.event_actions import (
    EventAction,
    event_actions,
    event_endpoint,
    pbx_events,
)
from receiver.declarations.source_location import declared_at
from tests.support import SETTINGS


def log_call(event: CallEvent) -> None: ...


class FollowUp:
    sensitive = True

    def __call__(self, event: CallEvent) -> None: ...


NAME = f"{__name__}:log_call"


def test_a_decorator_returns_the_function() -> None:
    events = Events()
    assert events.on("call_ended")(log_call) is log_call
    assert events.on("call_missed", name="late")(log_call) is log_call
    assert list(events) == [
        EventAction("call_ended", log_call, NAME),
        EventAction("call_missed", log_call, "late"),
    ]
    assert all(one.where.startswith(f"{__file__}:") for one in events)


def test_an_object_is_a_handler_with_the_name_of_its_class() -> None:
    action = Events(pbx="north").add("call_missed", FollowUp())
    assert (action.name, action.pbx, action.sensitive) == (f"{__name__}:FollowUp", "north", True)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"pbx": "North"}, "label"),
        ({"auth": "ntlm"}, "auth='ntlm' is none of"),
        ({"algorithms": ("MD4",), "auth": "digest"}, "algorithms"),
        ({"uri_without_query": 1}, "uri_without_query"),
        ({"forward_to": "crm.example.com"}, "forward_to= is a URL"),
        ({"forward_to": "http://[::"}, "forward_to= is a URL"),
        ({"forward_to": 5}, "forward_to= is a URL"),
    ],
)
def test_wrong_options(options: dict[str, Any], text: str) -> None:
    with pytest.raises(DeclarationError, match=text) as caught:
        Events(**options)
    assert caught.value.where.startswith(f"{__file__}:")


def test_wrong_handlers() -> None:
    events: Any = Events()
    with pytest.raises(DeclarationError, match="'call_over' is none of 'call_started'"):
        events.on("call_over")
    with pytest.raises(DeclarationError, match="is none of"):
        events.on(log_call)  # without parentheses
    with pytest.raises(DeclarationError, match="a function, not a str"):
        events.add("call_ended", "log_call")
    with pytest.raises(DeclarationError, match="has no name: pass name="):
        events.add("call_ended", lambda event: None)
    events.add("call_ended", log_call)
    with pytest.raises(DeclarationError, match=r"has a handler named .* give one of them another"):
        events.add("call_ended", log_call)


def test_the_place_may_be_that_of_a_file() -> None:
    with declared_at("receiver.toml:3"), pytest.raises(DeclarationError) as caught:
        Events(forward_to="x")
    assert caught.value.where == "receiver.toml:3"


def test_the_event_url_of_each_pbx() -> None:
    common, north = Events(), Events(pbx="north", auth="digest")
    common.add("call_ended", log_call)
    parts = (common, north, Events(pbx="south", forward_to="https://crm.example.com/x"))
    assert event_endpoint(parts, "north") == EventEndpoint("north", "digest")
    south = event_endpoint(parts, "south")
    assert south == EventEndpoint("south", forward_to="https://crm.example.com/x")
    assert "crm.example.com" not in repr(south)
    assert (south.identity, south.path) == ("south/events", "/events/south")
    found = event_endpoint(parts, "")
    assert found == EventEndpoint()
    assert (found.identity, found.path) == ("events", "/events")
    assert found.url("https://x") == "https://x/events"
    with pytest.raises(DeclarationError, match="the PBX takes 128"):
        found.url(f"https://{'x' * 120}")
    assert event_endpoint([Events(), north], "west") is None
    assert pbx_events([Events()], "", ()) is None


def test_options_are_declared_once() -> None:
    parts = [Events(auth="digest"), Events(), Events(auth="digest")]
    parts[1].add("call_ended", log_call)
    assert event_endpoint(parts, "") == EventEndpoint(auth="digest")
    with pytest.raises(DeclarationError, match="a PBX has one event URL"):
        event_endpoint([*parts, Events(auth="basic")], "")


def test_names_are_unique_among_all_declarations() -> None:
    parts = [Events(), Events(pbx="north")]
    for part in parts:
        part.add("call_ended", log_call)
    assert [one.pbx for one in event_actions(parts, "south")] == [None]
    with pytest.raises(DeclarationError, match="has a handler named"):
        event_actions(parts, "north")
    with pytest.raises(DeclarationError, match="has a handler named"):
        Receiver(Ivr("8000", pbx="north"), *parts)


def test_an_app_has_its_own_handlers_and_those_of_its_parts() -> None:
    events = Events()
    events.add("call_ended", log_call)
    app = Receiver(Ivr("8000"), events, events, settings=SETTINGS)
    assert app.on("call_missed")(log_call) is log_call
    found = pbx_events(app.events, "", ("8000",))
    assert found is not None
    assert [one.kind for one in found.actions] == ["call_ended", "call_missed"]
    assert app.event_endpoint("") == EventEndpoint()
    assert app.pbxs == ("",)
    assert Receiver(Events(pbx="north")).pbxs == ("north",)
