"""The feed and its viewers: bounded, and publishing never waits."""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit

import msgspec
import pytest

from receiver.console.feed import Feed, Json, Viewer
from receiver.console.web import make_console
from receiver.server.uvicorn_server import running


def call(number: int, **more: object) -> Json:
    return {"seq": number, "id": f"c{number}", **more}


async def read(viewer: Viewer) -> list[Json]:
    """Return the events that wait for a viewer."""
    found = await viewer.next(0.001) or b""
    lines = [line for line in found.split(b"\n") if line.startswith(b"data: ")]
    return [msgspec.json.decode(line[6:]) for line in lines]


async def test_a_viewer_sees_what_happens_after_it_came() -> None:
    feed = Feed({"mode": "dev"})
    feed.publish({"type": "before"})
    viewer = feed.watch(feed.seq)
    feed.call(call(1))
    feed.now("c1", {"keys": "1"})
    feed.now("c1", {"keys": "1"})
    feed.step("c1", 0, {"type": "key"})
    assert await read(viewer) == [
        {"type": "call", "call": call(1)},
        {"type": "now", "id": "c1", "now": {"keys": "1"}},
        {"type": "step", "id": "c1", "index": 0, "step": {"type": "key"}},
    ]
    assert await read(viewer) == []


async def test_a_viewer_that_comes_again_catches_up() -> None:
    feed = Feed({})
    for number in range(5):
        feed.publish({"type": "event", "n": number})
    assert [one["n"] for one in await read(feed.watch(3))] == [3, 4]
    assert await read(feed.watch(5)) == []


@pytest.mark.parametrize("after", [0, 2, 99], ids=["long ago", "too old", "of another start"])
async def test_a_viewer_that_missed_too_much_begins_anew(after: int) -> None:
    feed = Feed({}, backlog=3)
    for number in range(6):
        feed.publish({"type": "event", "n": number})
    assert await read(feed.watch(after)) == [{"type": "reset"}]


async def test_a_viewer_who_missed_more_than_a_queue_begins_anew() -> None:
    feed = Feed({}, queue=2)
    for number in range(6):
        feed.publish({"type": "event", "n": number})
    assert await read(feed.watch(2)) == [{"type": "reset"}]


async def test_a_slow_viewer_is_dropped_and_the_others_go_on() -> None:
    feed = Feed({}, queue=3)
    slow, quick = feed.watch(0), feed.watch(0)
    for number in range(4):
        feed.publish({"type": "event", "n": number})
        assert [one["n"] for one in await read(quick)] == [number]
    assert slow.dropped
    assert await slow.next(0.001) is None
    assert feed.viewers == 1


async def test_an_event_is_encoded_when_it_is_read_and_once_for_all() -> None:
    feed = Feed({})
    one, two = feed.watch(0), feed.watch(0)
    feed.publish({"type": "event"})
    event = feed._events[0]
    assert "encoded" not in vars(event)
    assert await one.next(0.001) is not None
    made = event.encoded
    assert await two.next(0.001) == made


async def test_a_viewer_that_left_gets_no_events() -> None:
    feed = Feed({})
    viewer = feed.watch(0)
    feed.leave(viewer)
    feed.publish({"type": "event"})
    assert await read(viewer) == []


async def test_at_the_end_all_viewers_go() -> None:
    feed = Feed({})
    viewer = feed.watch(0)
    feed.publish({"type": "event"})
    feed.close()
    assert await viewer.next(0.001) is None
    assert await feed.watch(0).next(0.001) is None
    assert feed.viewers == 0


def test_the_state_has_all_parts_and_the_newest_calls() -> None:
    feed = Feed({"mode": "dev"})
    for number in range(5):
        feed.call(call(number))
    feed.call(call(1, state="ended"))
    feed.set("faults", {"slow": 1})
    seq = feed.seq
    feed.set("faults", {"slow": 1})  # nothing new
    state = feed.state(2)
    assert state == {
        "mode": "dev",
        "faults": {"slow": 1},
        "seq": seq,
        "calls": [call(4), call(3)],
    }
    assert feed.calls(before=2) == [call(1, state="ended"), call(0)]


def test_the_oldest_call_is_removed_with_its_steps() -> None:
    feed = Feed({}, max_calls=2, max_steps=1)
    for number in range(3):
        feed.call(call(number))
        feed.step(f"c{number}", 0, {"type": "key"})
        feed.step(f"c{number}", 1, {"type": "too many"})
        feed.now(f"c{number}", {"keys": ""})
    assert feed.whole("c0") is None
    assert feed.whole("c2") == call(2, now={"keys": ""}, steps=[{"type": "key"}])
    seq = feed.seq
    feed.step("c0", 0, {"type": "late"})
    feed.now("c0", {"keys": "late"})
    assert feed.seq == seq
    assert feed._steps.keys() == feed._now.keys() == {"c1", "c2"}


def test_a_step_grows_in_its_place() -> None:
    feed = Feed({})
    feed.call(call(1))
    feed.step("c1", 0, {"text": "asks"})
    feed.step("c1", 1, {"text": "key"})
    feed.step("c1", 0, {"text": "asks: forwarded"})
    whole = feed.whole("c1")
    assert whole is not None
    assert whole["steps"] == [{"text": "asks: forwarded"}, {"text": "key"}]


async def test_who_does_not_read_is_dropped_over_http_too() -> None:
    feed, hosts = Feed({}, queue=10), set[str]()
    async with running(make_console(feed, hosts=hosts, token="t"), lifespan="off") as url:
        parts = urlsplit(url)
        hosts.add(parts.netloc)
        with socket.create_connection((parts.hostname or "", parts.port or 0)) as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.sendall(f"GET /events?after=0 HTTP/1.1\r\nHost: {parts.netloc}\r\n\r\n".encode())
            async with asyncio.timeout(60):
                came = False
                while feed.viewers or not came:
                    came = came or bool(feed.viewers)
                    feed.publish(
                        {"type": "event", "much": "x" * 100_000} if came else {"type": "none"}
                    )
                    await asyncio.sleep(0)
        feed.close()
