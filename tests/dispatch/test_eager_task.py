"""A coroutine cannot detect that its first step was run at once."""

import asyncio
import contextvars
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from receiver.dispatch.eager_task import EagerTask, begin, within

WORD = contextvars.ContextVar("WORD", default="none")


def start(coroutine: Coroutine[Any, None, object]) -> EagerTask[object]:
    return begin(coroutine, asyncio.get_running_loop())


async def test_what_does_not_wait_is_done_at_once() -> None:
    async def answer() -> str:
        return "done"

    begun = start(answer())
    assert (begun.done(), begun.result()) == (True, "done")
    assert begun.task.done() is (sys.version_info >= (3, 12))  # before, a turn of the loop later
    assert await begun.task == "done"


async def test_what_is_cancelled_in_its_first_step() -> None:
    async def give_up() -> None:
        raise asyncio.CancelledError

    begun = start(give_up())
    assert begun.done()
    with pytest.raises(asyncio.CancelledError):
        begun.result()
    await asyncio.wait({begun.task})
    assert begun.task.cancelled()


async def test_it_is_in_one_task_and_one_context_all_the_time() -> None:
    outer = asyncio.current_task()
    seen: list[object] = []

    async def look() -> str:
        seen.append(asyncio.current_task())
        WORD.set("inside")
        await asyncio.sleep(0)
        seen.append(asyncio.current_task())
        seen.append(WORD.get())
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_result, "waited")
        return str(await future)

    WORD.set("outside")
    begun = start(look())
    assert asyncio.current_task() is outer
    assert (begun.done(), WORD.get()) == (False, "outside")
    assert await begun.task == begun.result() == "waited"
    assert seen == [begun.task, begun.task, "inside"]


async def test_timeouts_and_groups_begun_in_the_first_step_work() -> None:
    async def slow() -> str:
        try:
            async with asyncio.timeout(0.01):
                await asyncio.Event().wait()
        except TimeoutError:
            return "timed out"
        return "not"

    async def group() -> str:
        async def fail() -> None:
            raise LookupError

        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(fail())
                await asyncio.Event().wait()
        except* LookupError:
            pass
        return "failed"

    begun = [start(slow()), start(group()), start(asyncio.wait_for(slow(), 60))]
    assert [await one.task for one in begun] == ["timed out", "failed", "timed out"]


@asynccontextmanager
async def noting(notes: list[str]) -> AsyncIterator[None]:
    try:
        yield
    except BaseException as error:
        notes.append(type(error).__name__)
        raise


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_it_hears_that_it_is_cancelled_however_early(turns: int) -> None:
    notes: list[str] = []

    async def wait() -> None:
        async with noting(notes):
            await asyncio.Event().wait()

    begun = start(wait())
    for _ in range(turns):
        await asyncio.sleep(0)
    begun.task.cancel()
    await asyncio.wait({begun.task})
    assert (begun.task.cancelled(), notes) == (True, ["CancelledError"])


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_a_cancelled_task_may_still_return_a_result(turns: int) -> None:
    async def wait() -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "an answer"

    begun = start(wait())
    for _ in range(turns):
        await asyncio.sleep(0)
    begun.task.cancel()
    assert await begun.task == "an answer"


@pytest.mark.parametrize("turns", [0, 1, 2])
async def test_a_task_that_ignores_cancellation_runs_on(turns: int) -> None:
    go = asyncio.Event()

    async def stay() -> str:
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue
        return "stayed"

    begun = start(stay())
    for _ in range(turns):
        await asyncio.sleep(0)
    begun.task.cancel()
    asyncio.get_running_loop().call_later(0.01, go.set)
    assert await begun.task == begun.result() == "stayed"


@pytest.mark.parametrize("enter", [lambda: 5, asyncio.current_task])
async def test_awaiting_what_cannot_be_is_an_error_inside(enter: Callable[[], object]) -> None:
    class Odd:
        def __await__(self) -> Any:
            yield enter()

    async def wait() -> str:
        try:
            await Odd()
        except RuntimeError:
            return "raised"
        return "not"

    assert await start(wait()).task == "raised"


async def test_within_its_time_there_is_no_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def at_once() -> int:
        return 5

    async def fail() -> None:
        raise LookupError

    monkeypatch.delattr(asyncio, "timeout_at")
    assert await within(0.0, at_once()) == 5
    with pytest.raises(LookupError):
        await within(0.0, fail())


async def test_a_wait_ends_at_its_deadline() -> None:
    notes: list[str] = []
    now = asyncio.get_running_loop().time()

    async def twice() -> int:
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return 5

    async def wait() -> None:
        async with noting(notes):
            await asyncio.Event().wait()

    assert await within(now + 60, twice()) == 5
    with pytest.raises(TimeoutError):
        await within(now + 0.01, wait())
    assert notes == ["CancelledError"]


async def test_what_is_closed_half_way_is_closed_inside() -> None:
    notes: list[str] = []

    async def wait() -> None:
        async with noting(notes):
            await asyncio.sleep(60)

    waiting = within(asyncio.get_running_loop().time() + 60, wait())
    waiting.send(None)
    waiting.close()
    assert notes == ["GeneratorExit"]
