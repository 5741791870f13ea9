"""The four servers under attack: our connections, and uvicorn's own, with either parser."""

import asyncio
import sys
from collections.abc import Iterator

import pytest
import uvloop
from uvicorn.protocols.http import h11_impl, httptools_impl

from receiver.serving.connections import H11, HttpTools
from tests.attacks.wire import Target, served

OURS = {"our-h11": H11, "our-httptools": HttpTools}
STACKS: dict[str, type[asyncio.Protocol]] = {
    **OURS,
    "uvicorn-h11": h11_impl.H11Protocol,
    "uvicorn-httptools": httptools_impl.HttpToolsProtocol,
}


@pytest.fixture(scope="session")
def targets() -> Iterator[dict[str, Target]]:
    """All four, for as long as the tests run: ours as it is served, with uvloop."""
    with (
        served(STACKS["our-h11"]) as one,
        served(STACKS["our-httptools"], new_loop=uvloop.new_event_loop) as two,
        served(STACKS["uvicorn-h11"]) as three,
        served(STACKS["uvicorn-httptools"]) as four,
    ):
        yield dict(zip(STACKS, (one, two, three, four), strict=True))


@pytest.fixture(params=list(STACKS))
def stack(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of one; under uvicorn's h11 httptools is not loaded, as in a process of its own."""
    name: str = request.param
    if name == "uvicorn-h11":
        monkeypatch.delitem(sys.modules, httptools_impl.__name__)
    return name


@pytest.fixture
def target(stack: str, targets: dict[str, Target]) -> Target:
    return targets[stack]
