"""receiver/upstream/reload.py"""

import asyncio
import logging
import os
import threading
from pathlib import Path

import pytest

from receiver import Unavailable
from receiver.errors import DeclarationError
from receiver.upstream import Reloading, reload, stamp
from tests.clock import Clock
from tests.upstream.stage import Timed


class Source:
    """A source that changes; ``read`` waits while ``going`` is not set."""

    def __init__(self, value: str = "old") -> None:
        self.value: str | Exception = value
        self.version: object = 1
        self.reads = 0
        self.going = threading.Event()
        self.going.set()
        self.begun = threading.Event()

    def read(self) -> str:
        self.reads += 1
        self.begun.set()
        self.going.wait(60)
        if isinstance(self.value, Exception):
            raise self.value
        return self.value

    def change(self, value: str | Exception) -> None:
        self.value = value
        self.version = object()


@pytest.fixture
def source() -> Source:
    return Source()


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_a_change_is_detected_when_a_check_is_due(source: Source, clock: Clock) -> None:
    kept = Reloading("it", source.read, lambda: source.version, max_wait=30.0, clock=clock)
    clock.now = 0.0
    assert await kept() == "old"
    source.change("new")
    clock.now = 0.99
    assert await kept() == "old"
    clock.now = 1.0
    assert await kept() == "new"
    clock.now = 5.0
    assert await kept() == "new"
    assert source.reads == 2  # the version was the same


async def test_without_a_version_each_check_reads(source: Source, clock: Clock) -> None:
    kept = Reloading("it", source.read, interval=10, max_wait=30.0, clock=clock)
    for now, reads in ((0, 2), (9.9, 2), (10, 3)):
        clock.now = now
        assert await kept() == "old"
        assert source.reads == reads


async def test_a_hanging_read_delays_one_call_only(source: Source) -> None:
    kept = Reloading("it", source.read, lambda: source.version, interval=0, max_wait=0.01)
    source.change("new")
    source.going.clear()
    for _ in range(20):
        assert await kept() == "old"
    assert source.reads == 2
    source.going.set()
    async with asyncio.timeout(60):
        while await kept() != "new":  # noqa: ASYNC110 - each call may start a check
            await asyncio.sleep(0.001)


async def test_a_call_without_time_gets_the_earlier_value(source: Source) -> None:
    kept = Reloading("it", source.read, lambda: source.version, interval=0)
    source.change("new")
    source.going.clear()
    assert await kept(Timed(left=0.0)) == "old"
    source.going.set()


async def test_reading_does_not_block_the_event_loop(source: Source) -> None:
    kept = Reloading("it", source.read, eager=False)
    source.going.clear()
    waiting = asyncio.create_task(kept())
    while not source.begun.is_set():  # noqa: ASYNC110 - set by a thread
        await asyncio.sleep(0)
    assert not waiting.done()
    source.going.set()
    assert await waiting == "old"


async def test_no_value_yet(source: Source, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    source.change(OSError("with a password in it"))
    kept = Reloading("it", source.read, eager=False, max_wait=30.0, clock=clock)
    with pytest.raises(Unavailable, match="it could not be read yet"):
        await kept()
    assert caplog.messages == ["it cannot be read, no value yet: OSError"]
    source.change("new")
    clock.now = 1.0
    assert await kept() == "new"


async def test_errors_are_logged_once_a_minute(
    source: Source, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    kept = Reloading("it", source.read, lambda: source.version, max_wait=30.0, clock=clock)
    source.change(DeclarationError("no number", "it:3"))
    for now in range(65):
        clock.now = now
        assert await kept() == "old"
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2
    assert caplog.messages == [
        "it cannot be read, the old value is kept: it:3: no number",
        "it cannot be read, the old value is kept: it:3: no number, and 59 times since it was "
        "last logged",
    ]


def test_an_eager_read_raises(source: Source) -> None:
    source.change(DeclarationError("no number"))
    with pytest.raises(DeclarationError, match="no number"):
        Reloading("it", source.read)


async def test_busy_threads_do_not_fail_a_call(
    source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Reloading("it", source.read, interval=0)

    def busy(*_: object) -> None:
        raise Unavailable("busy")

    monkeypatch.setattr(reload, "begin", busy)
    assert await kept() == "old"


def test_use_in_several_event_loops(source: Source) -> None:
    kept = Reloading("it", source.read, lambda: source.version, interval=0)
    source.change("new")
    source.going.clear()

    async def once() -> str:
        return await kept(Timed(left=0.06))

    assert asyncio.run(once()) == "old"  # its loop ends in the midst of a read
    source.going.set()

    async def later() -> list[str]:
        return [await kept(), await kept()]

    assert asyncio.run(later())[1] == "new"


def test_stamps(tmp_path: Path) -> None:
    file, other = tmp_path / "a", tmp_path / "b"
    nothing = stamp(file, other)
    assert nothing == (None, None)
    file.write_text("1")
    assert stamp(file) is None  # it may change again within the same tick
    os.utime(file, (1, 1))
    first = stamp(file, other)
    assert first == stamp(file, other) != nothing
    other.write_text("1")
    os.utime(other, (1, 1))
    assert stamp(file, other) != first
    again = stamp(file)
    os.utime(file, (2, 2))
    assert stamp(file) != again
    again = stamp(other)
    (tmp_path / "c").write_text("2")
    os.utime(tmp_path / "c", (1, 1))
    (tmp_path / "c").replace(other)  # as long and as old, but another file
    assert stamp(other) != again
    with pytest.raises(OSError, match="Not a directory"):
        stamp(file / "below")
