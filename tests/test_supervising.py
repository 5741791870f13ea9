"""What a supervisor does about workers that are no good, with workers of straw."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from receiver.errors import SettingsError
from receiver.supervising import Supervisor
from receiver.working import Worker, inherited


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


def test_a_worker_by_hand() -> None:
    with pytest.raises(SettingsError, match="not by hand"):
        inherited(999)
