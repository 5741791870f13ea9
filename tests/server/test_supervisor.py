"""The reactions of a supervisor to faulty workers."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from receiver.errors import SettingsError
from receiver.server.supervisor import MIB, Supervisor
from receiver.server.worker import Channel, Program, Worker, inherited, resident


class FakeWorker:
    """A worker that ends when it is stopped, or immediately."""

    def __init__(self, number: int, *, ready: bool = True, status: int = 0) -> None:
        self.pid = number
        self.status = status
        self.started = time.monotonic()
        self.is_gone = asyncio.Event()
        self.is_ready = asyncio.Event()
        (self.is_ready if ready else self.is_gone).set()
        self.wrong = ""
        self.is_blocked = False
        self.said = list[str]()

    def end(self, how: str) -> None:
        self.said.append(how)
        self.is_gone.set()

    def stop(self) -> None:
        if not self.is_gone.is_set():
            self.end("stop")

    def retire(self) -> None:
        self.end("retire")

    def kill(self) -> None:
        if not self.is_gone.is_set():
            self.end("kill")

    def problem(self, hang: float, stop: float) -> str:
        return self.wrong


class FakeWorkers:
    """Starts fake workers, and keeps them."""

    def __init__(self) -> None:
        self.made: list[FakeWorker] = []
        self.dying = self.broken = self.hanging = False

    async def launch(self, number: int) -> Worker:
        self.made.append(
            worker := FakeWorker(number, ready=not self.broken, status=3 * self.broken)
        )
        if self.dying:
            worker.is_gone.set()
        if self.hanging:
            worker.is_ready.clear()
        return worker  # type: ignore[return-value]

    async def until(self, count: int) -> None:
        await until(lambda: len(self.made) >= count)


async def until(found: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not found():  # noqa: ASYNC110 - what is waited for does not tell
            await asyncio.sleep(0.001)


async def test_a_crash_loop_slows_down(caplog: pytest.LogCaptureFixture) -> None:
    workers = FakeWorkers()
    supervisor = Supervisor(workers.launch, 2, pauses=(0, 0.01, 1000))
    task = asyncio.create_task(supervisor.run())
    await workers.until(2)
    workers.dying = True
    workers.made[1].is_gone.set()
    await workers.until(4)
    await until(lambda: "in 1000 s" in caplog.text)
    assert [text in caplog.text for text in ("at once", "in 0.01 s")] == [True, True]
    supervisor.stop()
    assert await task == 0
    assert (len(workers.made), workers.made[0].said) == (4, ["stop"])


async def test_a_worker_with_a_problem_is_killed_and_replaced() -> None:
    workers = FakeWorkers()
    supervisor = Supervisor(workers.launch, 2, hang=0.01)
    task = asyncio.create_task(supervisor.run())
    await workers.until(2)
    workers.made[0].wrong = "hangs"
    await workers.until(3)
    assert workers.made[0].said == ["kill"]
    supervisor.stop()
    assert await task == 0


async def test_no_worker_is_killed_because_the_machine_was_suspended() -> None:
    """A container that resumes after a pause may let the parent run first."""
    clock = SimpleNamespace(now=100.0)
    workers, looked = FakeWorkers(), asyncio.Event()
    supervisor = Supervisor(workers.launch, 1, hang=0.01, clock=lambda: clock.now)
    task = asyncio.create_task(supervisor.run())
    await workers.until(1)
    worker = workers.made[0]

    def look(hang: float, stop: float) -> str:
        looked.set()
        return "hangs"

    worker.problem = look  # type: ignore[method-assign]
    clock.now += 60
    for _ in range(3):
        looked.clear()
        await looked.wait()
    assert worker.said == []
    clock.now += 0.02
    await until(lambda: worker.said == ["kill"])
    supervisor.stop()
    assert await task == 0


async def test_workers_that_cannot_start_end_the_service(caplog: pytest.LogCaptureFixture) -> None:
    workers = FakeWorkers()
    supervisor = Supervisor(workers.launch, 2, pauses=(0,))
    task = asyncio.create_task(supervisor.run())
    await workers.until(2)
    workers.dying = workers.broken = True
    workers.made[1].is_gone.set()
    await workers.until(9)  # the other serves, so this one is tried again and again
    workers.made[0].is_gone.set()
    async with asyncio.timeout(60):
        assert await task == 1
    assert "no worker serves and the last 3 did not start (status 3): the service ends" in (
        caplog.text
    )


async def test_workers_that_served_before_they_died_are_replaced_for_ever() -> None:
    workers = FakeWorkers()
    supervisor = Supervisor(workers.launch, 2, pauses=(0,))
    task = asyncio.create_task(supervisor.run())
    await workers.until(2)
    workers.dying = True
    for worker in workers.made[:2]:
        worker.is_gone.set()
    await workers.until(20)
    supervisor.stop()
    assert await task == 0


@pytest.mark.parametrize("hanging", ["import", "calls in progress"])
async def test_a_second_reload_takes_effect_at_once(
    hanging: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The new code hangs at import, or an old worker still finishes its calls."""
    caplog.set_level("INFO", "receiver")
    workers = FakeWorkers()
    supervisor = Supervisor(workers.launch, 1)
    task = asyncio.create_task(supervisor.run())
    await workers.until(1)
    old = workers.made[0]
    if hanging == "import":
        workers.hanging = True
    else:
        old.retire = lambda: old.said.append("retire")  # type: ignore[method-assign]
    supervisor.reload()
    await workers.until(2)
    workers.hanging = False
    supervisor.reload()
    await workers.until(3)
    await until(lambda: "reloaded" in caplog.messages)
    expected = [["retire"], ["kill"], []] if hanging == "import" else [["retire"], ["retire"], []]
    assert [worker.said for worker in workers.made] == expected
    assert "does not start" not in caplog.text
    old.is_gone.set()
    supervisor.stop()
    assert await task == 0


async def test_the_port_is_given_up_when_the_workers_begin_to_stop() -> None:
    workers, closed = FakeWorkers(), list[int]()
    supervisor = Supervisor(workers.launch, 2)
    task = asyncio.create_task(supervisor.run(on_stop=lambda: closed.append(len(workers.made))))
    await workers.until(2)
    for worker in workers.made:
        worker.stop = lambda: None  # type: ignore[method-assign]
    supervisor.stop()
    assert closed == [2]
    assert not task.done()
    supervisor.stop()
    assert await task == 0


async def test_workers_that_are_not_blocked_stop_last() -> None:
    """The others hand their connections over to them."""
    workers = FakeWorkers()
    supervisor = Supervisor(workers.launch, 3, hang=0.01)
    task = asyncio.create_task(supervisor.run())
    await workers.until(3)
    blocked = workers.made[1]
    blocked.is_blocked, stopped = True, asyncio.Event()
    blocked.stop = stopped.set  # type: ignore[method-assign]
    supervisor.stop()
    await stopped.wait()
    stopped.clear()
    await stopped.wait()
    assert [worker.said for worker in workers.made] == [[], [], []]
    blocked.is_blocked = False  # its event loop runs again
    await until(lambda: workers.made[0].said and workers.made[2].said)
    blocked.is_gone.set()
    assert await task == 0
    assert [worker.said for worker in workers.made] == [["stop"], [], ["stop"]]


async def test_a_reload_replaces_one_worker_after_the_other() -> None:
    workers = FakeWorkers()
    supervisor = Supervisor(workers.launch, 2)
    task = asyncio.create_task(supervisor.run())
    await workers.until(2)
    supervisor.reload()
    await workers.until(4)
    await until(lambda: workers.made[1].said)
    assert [worker.said for worker in workers.made] == [["retire"], ["retire"], [], []]
    supervisor.stop()
    assert await task == 0
    assert len(workers.made) == 4


async def test_a_reload_that_fails_is_tried_once(caplog: pytest.LogCaptureFixture) -> None:
    workers = FakeWorkers()
    supervisor = Supervisor(workers.launch, 2)
    task = asyncio.create_task(supervisor.run())
    await workers.until(2)
    workers.broken = True
    supervisor.reload()
    await until(lambda: "the old workers stay" in caplog.text)
    supervisor.stop()
    assert await task == 0
    assert (len(workers.made), workers.made[1].said) == (3, ["stop"])


async def test_a_worker_for_which_memory_is_short_is_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    workers, failures = FakeWorkers(), [2]

    async def launch(number: int) -> Worker:
        if number > 2 and failures[0]:
            failures[0] -= 1
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        return await workers.launch(number)

    supervisor = Supervisor(launch, 2, pauses=(0,))
    task = asyncio.create_task(supervisor.run())
    await workers.until(2)
    workers.made[0].is_gone.set()
    await workers.until(3)
    assert caplog.text.count("no worker can be started: Cannot allocate memory") == 2
    supervisor.stop()
    assert await task == 0


async def test_a_first_worker_that_cannot_start_ends_all() -> None:
    workers = FakeWorkers()
    workers.broken = True
    assert await Supervisor(workers.launch, 2).run() == 3
    assert len(workers.made) == 1


async def test_programs_beside_the_workers_are_kept_and_replaced() -> None:
    workers, beside = FakeWorkers(), FakeWorkers()
    supervisor = Supervisor(workers.launch, 2, beside=[beside.launch])
    task = asyncio.create_task(supervisor.run())
    await beside.until(1)
    beside.made[0].is_gone.set()
    await beside.until(2)
    supervisor.reload()
    await until(lambda: beside.made[1].said)
    assert [worker.said for worker in beside.made] == [[], ["retire"], []]
    supervisor.stop()
    assert await task == 0
    assert (len(workers.made), len(beside.made)) == (4, 3)


async def test_a_stop_while_the_workers_start_starts_no_further_one() -> None:
    """The listener is closed then, and no process can inherit it."""
    workers = FakeWorkers()
    supervisor = Supervisor(workers.launch, 3)
    async with asyncio.timeout(60):
        assert await supervisor.run(on_ready=supervisor.stop) == 0
    assert [one.said for one in workers.made] == [["stop"]]


async def test_a_worker_that_starts_during_a_stop_is_stopped() -> None:
    workers = FakeWorkers()

    async def launch(number: int) -> Worker:
        if number == 3:
            supervisor.stop()
        return await workers.launch(number)

    supervisor = Supervisor(launch, 2)
    task = asyncio.create_task(supervisor.run())
    await workers.until(2)
    workers.made[0].is_gone.set()
    async with asyncio.timeout(60):
        assert await task == 0
    assert workers.made[2].said == ["stop"]


class Memories(dict[int, int]):
    """The memory of each process in MiB."""

    def __call__(self, pid: int) -> int:
        return self.get(pid, 10) * MIB


@pytest.fixture
def memories() -> Memories:
    return Memories()


def limited(workers: FakeWorkers, count: int, most: int, memories: Memories) -> Supervisor:
    """Return a supervisor with a memory limit in MiB, which it checks immediately and often."""
    return Supervisor(
        workers.launch,
        count,
        max_memory=most * MIB,
        memory=memories,
        min_uptime=0.0,
        memory_interval=0.001,
    )


async def test_workers_with_too_much_memory_are_replaced_one_by_one(
    memories: Memories, caplog: pytest.LogCaptureFixture
) -> None:
    workers = FakeWorkers()
    supervisor = limited(workers, 3, 100, memories)
    task = asyncio.create_task(supervisor.run())
    await workers.until(3)
    memories |= {1: 100, 2: 101, 3: 700}
    await workers.until(5)
    await until(lambda: workers.made[2].said)
    assert [worker.said for worker in workers.made] == [[], ["retire"], ["retire"], [], []]
    assert "worker 2 uses 101 MiB of memory, the limit is 100: it is replaced" in caplog.text
    supervisor.stop()
    assert await task == 0
    assert len(workers.made) == 5


async def test_a_memory_limit_that_new_workers_exceed_is_given_up(
    memories: Memories, caplog: pytest.LogCaptureFixture
) -> None:
    workers = FakeWorkers()
    supervisor = limited(workers, 2, 5, memories)
    task = asyncio.create_task(supervisor.run())
    await until(lambda: "RECEIVER_WORKER_MEMORY is too low" in caplog.text)
    supervisor.stop()
    assert await task == 0
    assert len(workers.made) == 3


async def test_a_worker_past_the_memory_limit_stays_while_no_other_starts(
    memories: Memories,
) -> None:
    workers = FakeWorkers()
    supervisor = limited(workers, 2, 5, memories)
    field_ready = asyncio.Event()
    task = asyncio.create_task(supervisor.run(field_ready.set))
    await field_ready.wait()
    workers.broken = True
    await workers.until(3)
    supervisor.stop()
    assert await task == 0
    assert [worker.said for worker in workers.made[:2]] == [["stop"], ["stop"]]


def test_how_much_memory_a_process_has() -> None:
    assert resident(os.getpid()) > 5 * MIB or not Path("/proc/self/statm").exists()
    assert resident(2**30) == 0


async def test_an_ended_worker_has_no_problem() -> None:
    """Or the watch would end with the first worker that does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        worker = await Program([sys.executable, "-c", "raise SystemExit(3)"], listener, {}).start(1)
        await worker.is_gone.wait()
        assert (worker.problem(0, 0), worker.status) == ("", 3)
        worker.stop()
        worker.retire()
        worker.kill()


async def test_a_worker_that_did_not_start_has_time_to_end() -> None:
    """The interpreter may need seconds for it on a busy machine; a kill would hide the status."""
    code = "import os, sys, time; os.close(int(sys.argv[-1])); time.sleep(1.5); sys.exit(3)"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        worker = await Program([sys.executable, "-c", code], listener, {}).start(1)
        await worker.is_gone.wait()
        assert worker.status == 3


async def test_a_signal_in_the_middle_of_a_beat_is_heeded(monkeypatch: pytest.MonkeyPatch) -> None:
    class Server:
        should_exit = False

    server, beaten = Server(), asyncio.Event()

    def signalled(channel: Channel) -> bool:
        server.should_exit = True
        beaten.set()
        return False

    monkeypatch.setattr(Channel, "_has_to_stop", signalled)
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
    with pytest.raises(SettingsError, match="only receiver serve can start"):
        inherited(999)
