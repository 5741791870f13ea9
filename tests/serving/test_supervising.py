"""What a supervisor does about workers that are no good, with workers of straw."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from receiver.errors import SettingsError
from receiver.serving.supervising import MIB, Supervisor, resident
from receiver.serving.working import Channel, Worker, inherited


class Straw:
    """A worker that ends when it is told to, or at once."""

    def __init__(self, number: int, *, ready: bool = True, status: int = 0) -> None:
        self.pid = number
        self.status = status
        self.started = time.monotonic()
        self.is_gone = asyncio.Event()
        self.problem = ""
        self.said = list[str]()
        self._ready = ready

    async def ready(self) -> bool:
        return self._ready

    def end(self, how: str) -> None:
        self.said.append(how)
        self.is_gone.set()

    def stop(self) -> None:
        self.end("stop")

    def retire(self) -> None:
        self.end("retire")

    def kill(self) -> None:
        if not self.is_gone.is_set():
            self.end("kill")

    def look(self, hang: float, stop: float) -> str:
        return self.problem


class Field:
    """Where they are made."""

    def __init__(self) -> None:
        self.made: list[Straw] = []
        self.dying = self.broken = False

    def launch(self, number: int) -> Worker:
        self.made.append(straw := Straw(number, ready=not self.broken, status=3 * self.broken))
        if self.dying:
            straw.is_gone.set()
        return straw  # type: ignore[return-value]

    async def until(self, count: int) -> None:
        await until(lambda: len(self.made) >= count)


async def until(found: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not found():  # noqa: ASYNC110 - what is waited for does not tell
            await asyncio.sleep(0.001)


async def test_a_crash_loop_slows_down(caplog: pytest.LogCaptureFixture) -> None:
    field = Field()
    supervisor = Supervisor(field.launch, 2, pauses=(0, 0.01, 1000))
    task = asyncio.create_task(supervisor.run())
    await field.until(2)
    field.dying = True
    field.made[1].is_gone.set()
    await field.until(4)
    await until(lambda: "in 1000 s" in caplog.text)
    assert [text in caplog.text for text in ("at once", "in 0.01 s")] == [True, True]
    supervisor.stop()
    assert await task == 0
    assert (len(field.made), field.made[0].said) == (4, ["stop"])


async def test_one_with_a_problem_is_killed_and_replaced() -> None:
    field = Field()
    supervisor = Supervisor(field.launch, 2, hang=0.01)
    task = asyncio.create_task(supervisor.run())
    await field.until(2)
    field.made[0].problem = "hangs"
    await field.until(3)
    assert field.made[0].said == ["kill"]
    supervisor.stop()
    assert await task == 0


async def test_nobody_is_killed_because_the_machine_stood_still(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A container that goes on after a pause may let the parent run first."""
    clock = SimpleNamespace(now=100.0)
    clock.monotonic = lambda: clock.now
    monkeypatch.setattr("receiver.serving.supervising.time", clock)
    field, looked = Field(), asyncio.Event()
    supervisor = Supervisor(field.launch, 1, hang=0.01)
    task = asyncio.create_task(supervisor.run())
    await field.until(1)
    straw = field.made[0]

    def look(hang: float, stop: float) -> str:
        looked.set()
        return "hangs"

    straw.look = look  # type: ignore[method-assign]
    clock.now += 60
    for _ in range(3):
        looked.clear()
        await looked.wait()
    assert straw.said == []
    clock.now += 0.02
    await until(lambda: straw.said == ["kill"])
    supervisor.stop()
    assert await task == 0


async def test_a_reload_exchanges_one_after_the_other() -> None:
    field = Field()
    supervisor = Supervisor(field.launch, 2)
    task = asyncio.create_task(supervisor.run())
    await field.until(2)
    supervisor.reload()
    await field.until(4)
    await until(lambda: field.made[1].said)
    assert [straw.said for straw in field.made] == [["retire"], ["retire"], [], []]
    supervisor.stop()
    assert await task == 0
    assert len(field.made) == 4


async def test_a_reload_that_fails_is_tried_once(caplog: pytest.LogCaptureFixture) -> None:
    field = Field()
    supervisor = Supervisor(field.launch, 2)
    task = asyncio.create_task(supervisor.run())
    await field.until(2)
    field.broken = True
    supervisor.reload()
    await until(lambda: "the old workers stay" in caplog.text)
    supervisor.stop()
    assert await task == 0
    assert (len(field.made), field.made[1].said) == (3, ["stop"])


async def test_a_first_worker_that_cannot_start_ends_all() -> None:
    field = Field()
    field.broken = True
    assert await Supervisor(field.launch, 2).run() == 3
    assert len(field.made) == 1


async def test_what_runs_beside_the_workers_is_kept_and_exchanged_too() -> None:
    field, beside = Field(), Field()
    supervisor = Supervisor(field.launch, 2, beside=[beside.launch])
    task = asyncio.create_task(supervisor.run())
    await beside.until(1)
    beside.made[0].is_gone.set()
    await beside.until(2)
    supervisor.reload()
    await until(lambda: beside.made[1].said)
    assert [straw.said for straw in beside.made] == [[], ["retire"], []]
    supervisor.stop()
    assert await task == 0
    assert (len(field.made), len(beside.made)) == (4, 3)


async def test_one_that_is_started_while_all_are_told_to_stop_is_told_too() -> None:
    field = Field()

    def launch(number: int) -> Worker:
        if number == 3:
            supervisor.stop()
        return field.launch(number)

    supervisor = Supervisor(launch, 2)
    task = asyncio.create_task(supervisor.run())
    await field.until(2)
    field.made[0].is_gone.set()
    async with asyncio.timeout(10):
        assert await task == 0
    assert field.made[2].said == ["stop"]


class Memories(dict[int, int]):
    """How many MiB each process has."""

    def __call__(self, pid: int) -> int:
        return self.get(pid, 10) * MIB


@pytest.fixture
def memories(monkeypatch: pytest.MonkeyPatch) -> Memories:
    monkeypatch.setattr("receiver.serving.supervising.LOOK", 0.001)
    monkeypatch.setattr("receiver.serving.supervising.STEADY", 0.0)
    return Memories()


async def test_those_with_too_much_memory_are_exchanged_one_by_one(
    memories: Memories, caplog: pytest.LogCaptureFixture
) -> None:
    field = Field()
    supervisor = Supervisor(field.launch, 3, most_memory=100 * MIB, memory=memories)
    task = asyncio.create_task(supervisor.run())
    await field.until(3)
    memories |= {1: 100, 2: 101, 3: 700}
    await field.until(5)
    await until(lambda: field.made[2].said)
    assert [straw.said for straw in field.made] == [[], ["retire"], ["retire"], [], []]
    assert "worker 2 has 101 MiB of memory, 100 are allowed: it is exchanged" in caplog.text
    supervisor.stop()
    assert await task == 0
    assert len(field.made) == 5


async def test_a_limit_that_new_workers_are_past_is_given_up(
    memories: Memories, caplog: pytest.LogCaptureFixture
) -> None:
    field = Field()
    supervisor = Supervisor(field.launch, 2, most_memory=5 * MIB, memory=memories)
    task = asyncio.create_task(supervisor.run())
    await until(lambda: "RECEIVER_WORKER_MEMORY is too low" in caplog.text)
    supervisor.stop()
    assert await task == 0
    assert len(field.made) == 3


async def test_who_has_too_much_stays_while_no_other_starts(memories: Memories) -> None:
    field = Field()
    supervisor = Supervisor(field.launch, 2, most_memory=5 * MIB, memory=memories)
    field_ready = asyncio.Event()
    task = asyncio.create_task(supervisor.run(field_ready.set))
    await field_ready.wait()
    field.broken = True
    await field.until(3)
    supervisor.stop()
    assert await task == 0
    assert [straw.said for straw in field.made[:2]] == [["stop"], ["stop"]]


def test_how_much_memory_a_process_has() -> None:
    assert resident(os.getpid()) > 5 * MIB or not Path("/proc/self/statm").exists()
    assert resident(2**30) == 0


async def test_one_that_is_gone_can_be_looked_at() -> None:
    """Or the watch would end with the first worker that does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        worker = Worker([sys.executable, "-c", ""], listener, {})
        await worker.is_gone.wait()
        assert (worker.look(5, 5), worker.status) == ("", 0)
        worker.kill()


async def test_a_signal_in_the_middle_of_a_beat_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    class Server:
        should_exit = False

    server, beaten = Server(), asyncio.Event()

    def signalled(channel: Channel) -> bool:
        server.should_exit = True
        beaten.set()
        return False

    monkeypatch.setattr(Channel, "_told_to_go", signalled)
    ours, theirs = socket.socketpair()
    with ours:
        channel = Channel(theirs.detach())
        task = asyncio.create_task(channel.beat(server))
        await beaten.wait()
        assert server.should_exit
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        channel._socket.close()


def test_a_worker_by_hand() -> None:
    with pytest.raises(SettingsError, match="not by hand"):
        inherited(999)
