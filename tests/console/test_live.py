"""The console in production: from the publisher of a worker to the state of the page."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from receiver import Announcement, Call, Forward, Ivr, Receiver, Reply, Settings, Speech
from receiver.callbacks.observer import Times
from receiver.console.live import Live
from receiver.console.traffic import CALL_TIMEOUT
from receiver.dispatch.dispatcher import Decision
from receiver.recording.publisher import Publisher, make_sockets
from receiver.replies import Repeat
from tests.support import SECRET

ANSWER = Forward("222")
NOW = 1_795_000_000.0


async def pick(call: Call) -> Reply:
    return Forward("222")


@dataclass
class Stage:
    """A publisher, and the console."""

    live: Live
    publisher: Publisher
    app: Receiver
    now: list[float]

    def answer(self, reply: Reply = ANSWER, **fields: str) -> None:
        """Publish a callback that was answered now."""
        action = next(iter(self.app))
        known: dict[str, Any] = {"ivr": "8000", "digits": "22", "session_id": "s", **fields}
        self.publisher.of(action)(Call(**known), Decision(reply, "handled"), Times(0, 1, 2, 3, 4))

    def receive(self) -> None:
        self.publisher._writer.close(10)  # waits until it is sent
        self.live.receive()

    @property
    def state(self) -> dict[str, Any]:
        return self.live.feed.state()


@pytest.fixture
def options() -> dict[str, Any]:
    """Options of `Live`, for parametrization."""
    return {}


@pytest.fixture
def stage(options: dict[str, Any]) -> Iterator[Stage]:
    ivr = Ivr("8000")
    ivr.add("DTMF", "22", pick, name="pick", auth=None)
    app = Receiver(ivr, settings=Settings(secret=SECRET))
    now = [NOW]
    workers, console = make_sockets()
    with workers, console:
        publisher = Publisher(workers, SECRET, app, app.fallbacks, clock=lambda: now[0])
        live = Live(app, "app:app", console, now=lambda: now[0], **options)
        yield Stage(live, publisher, app, now)


def test_an_announcement_is_in_the_call_flow_with_its_text_and_where_it_leads() -> None:
    sales = Ivr("8000", name="Sales", prompt=Speech("Welcome."))
    late = Announcement("8801", Speech("We are closed."), then="222", name="Closed")
    app = Receiver(sales, late, settings=Settings(secret=SECRET))
    workers, console = make_sockets()
    with workers, console:
        state = Live(app, "app:app", console).feed.state()
    assert [one["prompt"]["text"] for one in state["ivrs"]] == ["Welcome.", "We are closed."]
    [shown] = state["flow"]["ivrs"]
    assert (shown["number"], shown["name"]) == ("8801", "Closed")
    [line] = shown["inputs"]
    assert (line["handler"], line["declared"]) == ("We are closed.", ["222"])


def test_the_first_state_has_the_declarations(stage: Stage) -> None:
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
    stage.answer(ivr_name="Sales")
    stage.receive()
    events = await viewer.next(30)
    assert events is not None
    assert b'"type":"call"' in events
    assert b'"type":"step"' in events
    stage.live.tick()
    state = stage.state
    assert state["calls"][0]["end"]["text"] == "forwarded to 222"
    assert state["ivrs"][0]["name"] == "Sales"
    assert state["totals"]["minutes"][-1]["answers"] == 1
    assert state["flow"]["ivrs"][0]["inputs"][0]["observed"] == [{"to": "222", "count": 1}]
    stage.answer(ivr="9999", ivr_name="unknown IVR", session_id="other")
    stage.receive()
    stage.live.tick()
    assert [ivr["number"] for ivr in stage.state["ivrs"]] == ["8000"]


def test_a_quiet_call_has_ended(stage: Stage) -> None:
    stage.answer(Repeat())
    stage.receive()
    assert stage.state["calls"][0]["state"] == "waiting"
    stage.now[0] += CALL_TIMEOUT + 10
    stage.live.tick()
    assert stage.state["calls"][0]["end"]["kind"] == "caller left"


@pytest.mark.parametrize("options", [{"batch": 1}])
def test_the_event_loop_runs_other_work_between_batches(stage: Stage) -> None:
    for number in range(30):  # more than go into one datagram
        stage.answer(session_id=str(number))
    stage.receive()
    some = len(stage.state["calls"])
    assert 0 < some < 30
    stage.live.receive()
    assert len(stage.state["calls"]) > some


async def test_the_pbx_is_read_only_while_the_console_has_a_viewer(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []
    monkeypatch.setattr(stage.live._registration, "refresh", asked.append)
    stage.live.tick()
    assert asked == []
    stage.live.feed.watch(0)
    stage.live.tick()
    assert len(asked) == 1


@pytest.mark.parametrize("options", [{"tick": 0.001}])
async def test_it_runs_until_it_is_cancelled(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    ticked = asyncio.Event()
    monkeypatch.setattr(stage.live.sessions, "sweep", ticked.set)
    task = asyncio.create_task(stage.live.run())
    stage.answer()
    await asyncio.wait_for(ticked.wait(), 60)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert asyncio.get_running_loop().remove_reader(stage.live._end) is False
