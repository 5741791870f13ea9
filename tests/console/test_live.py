"""What the console in production shows, from what workers tell to what the page is told."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from receiver import Call, Forward, Ivr, Receiver, Reply, Settings
from receiver.console import live
from receiver.console.live import Live
from receiver.console.telling import Teller, lay
from receiver.console.traffic import QUIET
from receiver.dispatch.dispatcher import Decision
from receiver.replies import Repeat
from receiver.telemetry.observing import Times
from tests.support import SECRET

ANSWER = Forward("222")
NOW = 1_795_000_000.0


async def pick(call: Call) -> Reply:
    return Forward("222")


@dataclass
class Stage:
    """A worker's end, and the console."""

    live: Live
    teller: Teller
    app: Receiver
    now: list[float]

    def tell(self, reply: Reply = ANSWER, **fields: str) -> None:
        """A callback, answered just now."""
        action = next(iter(self.app))
        known: dict[str, Any] = {"ivr": "8000", "digits": "22", "session_id": "s", **fields}
        self.teller.of(action)(Call(**known), Decision(reply, "handled"), Times(0, 1, 2, 3, 4))

    def hear(self) -> None:
        self.teller._spool.close(10)  # what is told is there now
        self.live.hear()

    @property
    def state(self) -> dict[str, Any]:
        return self.live.feed.state()


@pytest.fixture
def stage() -> Iterator[Stage]:
    ivr = Ivr("8000")
    ivr.add("DTMF", "22", pick, name="pick", auth=None)
    app = Receiver(ivr, settings=Settings(secret=SECRET))
    now = [NOW]
    workers, console = lay()
    with workers, console:
        teller = Teller(workers, SECRET, app, app.fallbacks, clock=lambda: now[0])
        yield Stage(Live(app, "app:app", console, now=lambda: now[0]), teller, app, now)


def test_it_begins_with_what_is_declared(stage: Stage) -> None:
    state = stage.state
    assert (state["mode"], state["title"], state["calls"]) == ("live", "app:app", [])
    assert state["service"]["state"] == "running"
    assert state["registration"]["state"] == "off"
    [ivr] = state["ivrs"]
    assert (ivr["number"], ivr["actions"][0]["mask"]) == ("8000", "22")
    [shown] = state["flow"]["ivrs"]
    assert shown["inputs"][0]["declared"] == ["222", "repeat (fallback)"]
    assert sum(minute["answers"] for minute in state["totals"]["minutes"]) == 0


async def test_a_call_as_it_comes(stage: Stage) -> None:
    viewer = stage.live.feed.watch(stage.live.feed.seq)
    stage.tell(ivr_name="Sales")
    stage.hear()
    told = await viewer.next(30)
    assert told is not None
    assert b'"type":"call"' in told
    assert b'"type":"step"' in told
    stage.live.tick()
    state = stage.state
    assert state["calls"][0]["end"]["text"] == "forwarded to 222"
    assert state["ivrs"][0]["name"] == "Sales"
    assert state["totals"]["minutes"][-1]["answers"] == 1
    assert state["flow"]["ivrs"][0]["inputs"][0]["observed"] == [{"to": "222", "count": 1}]
    stage.tell(ivr="9999", ivr_name="no IVR of ours", session_id="other")
    stage.hear()
    stage.live.tick()
    assert [ivr["number"] for ivr in stage.state["ivrs"]] == ["8000"]


def test_a_quiet_call_has_ended(stage: Stage) -> None:
    stage.tell(Repeat())
    stage.hear()
    assert stage.state["calls"][0]["state"] == "waiting"
    stage.now[0] += QUIET + 10
    stage.live.tick()
    assert stage.state["calls"][0]["end"]["kind"] == "caller left"


def test_others_have_their_turn(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "AT_ONCE", 1)
    for number in range(30):  # more than go into one datagram
        stage.tell(session_id=str(number))
    stage.hear()
    some = len(stage.state["calls"])
    assert 0 < some < 30
    stage.live.hear()
    assert len(stage.state["calls"]) > some


async def test_the_pbx_is_asked_only_while_somebody_looks(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(stage.live._standing, "look", asked.append)
    stage.live.tick()
    assert asked == []
    stage.live.feed.watch(0)
    stage.live.tick()
    assert len(asked) == 1


async def test_it_runs_until_it_is_cancelled(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "TICK", 0.001)
    ticked = asyncio.Event()
    monkeypatch.setattr(stage.live.sessions, "sweep", ticked.set)
    task = asyncio.create_task(stage.live.run())
    stage.tell()
    await asyncio.wait_for(ticked.wait(), 30)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert asyncio.get_running_loop().remove_reader(stage.live._end) is False
