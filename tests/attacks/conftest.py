"""The servers under attack: our connection on both event loops, and uvicorn's own two."""

import asyncio
import sys
from collections.abc import Iterator

import pytest
import uvloop
from uvicorn.protocols.http import h11_impl, httptools_impl

from receiver.server import Http
from tests.attacks.wire import Target, served

OURS = {"our-asyncio": Http, "our-uvloop": Http}
STACKS: dict[str, type[asyncio.Protocol]] = {
    **OURS,
    "uvicorn-h11": h11_impl.H11Protocol,
    "uvicorn-httptools": httptools_impl.HttpToolsProtocol,
}


@pytest.fixture(scope="session")
def targets() -> Iterator[dict[str, Target]]:
    """All four, for as long as the tests run."""
    with (
        served(STACKS["our-asyncio"]) as one,
        served(STACKS["our-uvloop"], new_loop=uvloop.new_event_loop) as two,
        served(STACKS["uvicorn-h11"]) as three,
        served(STACKS["uvicorn-httptools"]) as four,
    ):
        yield dict(zip(STACKS, (one, two, three, four), strict=True))


@pytest.fixture(params=list(STACKS))
def stack(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of one; under uvicorn's h11 httptools is not loaded, as in a separate process."""
    name: str = request.param
    if name == "uvicorn-h11":
        monkeypatch.delitem(sys.modules, httptools_impl.__name__)
    return name


@pytest.fixture
def target(stack: str, targets: dict[str, Target]) -> Target:
    return targets[stack]
