"""Work in this process: it begins with the answer, is tried again, and is waited for."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest

from receiver.after import AfterWork
from receiver.after.soon import TRIES
from tests.after.conftest import SECRET, Naps, lines, no_sleep, soon

Make = Callable[..., AfterWork]
HERE: ContextVar[str] = ContextVar("HERE", default="nowhere")


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """An owner of work; it is closed in the end."""
    made: list[AfterWork] = []

    def one(**options: Any) -> AfterWork:
        made.append(AfterWork(None, SECRET, **{"sleep": no_sleep, **options}))
        return made[-1]

    yield one
    for owner in made:
        await owner.close(0)


async def test_work_begins_when_the_answer_is_on_its_way(make: Make) -> None:
    owner = make()
    done: list[object] = []

    async def later(*args: object, **kwargs: object) -> None:
        done.append((args, kwargs))

    after = owner.of_call()
    after(later, 1, x=2)
    after(done.append, 3)
    await asyncio.sleep(0)
    assert done == []
    after.release()
    after.release()
    await owner.close(5)
    assert sorted(done, key=str) == [((1,), {"x": 2}), 3]


async def test_work_that_is_asked_for_later_begins_at_once(make: Make) -> None:
    owner = make()
    after = owner.of_call()
    after.release()
    done = asyncio.Event()
    after(asyncio.get_running_loop().call_soon_threadsafe, done.set)
    await asyncio.wait_for(done.wait(), 5)


async def test_plain_handlers_ask_from_their_thread(make: Make) -> None:
    owner = make()
    after = owner.of_call()
    done: list[int] = []
    await asyncio.to_thread(after, done.append, 1)
    after.release()
    await asyncio.to_thread(after, done.append, 2)
    await soon(lambda: len(done) == 2)


async def test_a_plain_function_has_a_thread_and_the_callers_context(make: Make) -> None:
    owner = make()
    found: list[object] = []

    def look() -> None:
        found.append((HERE.get(), threading.current_thread() is threading.main_thread()))

    HERE.set("there")
    after = owner.of_call()
    after(look)
    HERE.set("elsewhere")
    after.release()
    await owner.close(5)
    assert found == [("there", False)]


async def test_a_failure_is_tried_again(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)

    owner = make(sleep=nap)
    tries: list[int] = []

    async def third_time_lucky() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise OSError("777")

    after = owner.of_call()
    after(third_time_lucky)
    after.release()
    await owner.close(5)
    assert len(tries) == 3
    assert [0.25 <= naps[0] <= 0.5, 0.5 <= naps[1] <= 1] == [True, True]
    assert lines(caplog) == []


class _Odd(BaseException):
    pass


@pytest.mark.parametrize("error", [OSError, SystemExit, StopIteration, _Odd, TimeoutError])
@pytest.mark.parametrize("plain", [True, False])
async def test_a_failure_that_remains_is_logged_without_its_text(
    make: Make, caplog: pytest.LogCaptureFixture, error: type[BaseException], plain: bool
) -> None:
    owner = make()
    tries: list[int] = []

    def fails(number: str) -> None:
        tries.append(1)
        raise error(number)

    async def fails_too(number: str) -> None:
        fails(number)

    after = owner.of_call()
    after(fails if plain else fails_too, "777")
    after.release()
    await owner.close(5)
    assert len(tries) == TRIES
    (line,) = lines(caplog)
    assert f"failed for good after {TRIES} tries: " in line
    assert "777" not in caplog.text
    assert "in fails" in caplog.text or error is StopIteration  # which a coroutine cannot raise


async def test_a_cancellation_of_its_own_is_a_failure(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    owner = make()

    async def cancels() -> None:
        raise asyncio.CancelledError

    after = owner.of_call()
    after(cancels)
    after.release()
    await owner.close(5)
    assert "CancelledError" in lines(caplog)[0]


async def test_what_takes_too_long_is_a_failure(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    owner = make(limit=0.01)
    after = owner.of_call()
    after(asyncio.Event().wait)
    after.release()
    await owner.close(5)
    assert f"after {TRIES} tries: TimeoutError" in lines(caplog)[0]


async def test_no_more_run_at_once_than_may_and_who_waits_to_try_again_is_not_counted(
    make: Make,
) -> None:
    naps = Naps()
    owner = make(running=2, sleep=naps)
    go = asyncio.Event()
    running: list[int] = []

    async def work(number: int) -> None:
        running.append(number)
        await go.wait()

    async def fails() -> None:
        raise OSError

    after = owner.of_call()
    for _ in range(5):
        after(fails)
    after.release()
    await soon(lambda: len(naps.seconds) == 5)
    for number in range(4):
        after(work, number)
    await soon(lambda: len(running) == 2)
    await asyncio.sleep(0)
    assert running == [0, 1]
    go.set()
    await soon(lambda: len(running) == 4)


async def test_past_the_bound_work_is_dropped_and_the_callback_goes_on(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    owner = make(waiting=3)
    go = asyncio.Event()
    after = owner.of_call()
    for _ in range(5):
        after(go.wait)
    after.release()
    said = "ERROR asyncio.locks:Event.wait is dropped: 3 others wait already"
    assert lines(caplog) == [said] * 2
    go.set()
    await owner.close(5)
    assert lines(caplog) == [said] * 2


async def test_the_end_waits_within_its_limit_and_says_what_is_left(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    owner = make()
    ended: list[str] = []

    async def stuck() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def quick() -> None:
        await asyncio.sleep(0)
        ended.append("quick")

    after = owner.of_call()
    after(stuck)
    after(quick)
    after.release()
    await owner.close(0.1)
    assert ended == ["quick", "cancelled"]
    (line,) = lines(caplog)
    assert line.startswith("ERROR ")
    assert line.endswith(".stuck is left undone: the service ends")
    after(quick)
    await asyncio.sleep(0)
    assert lines(caplog)[1].endswith("is dropped: the service ends")


async def test_what_is_no_function_is_told_at_once(make: Make) -> None:
    after = make().of_call()
    coroutine: Any = asyncio.sleep(0)
    with pytest.raises(TypeError, match=r"not a coroutine$"):
        after(coroutine)
    with pytest.raises(TypeError, match=r"not a coroutine$"):
        await after.durably(coroutine)
    coroutine.close()


async def test_partials_and_objects_have_names(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    class Writer:
        async def __call__(self) -> None:
            raise OSError

    after = make().of_call()
    after(partial(int, "x"))
    after(Writer())
    after.release()
    await soon(lambda: len(lines(caplog)) == 2)
    assert {line.split()[1].rpartition(".")[2] for line in lines(caplog)} == {
        "functools:partial".rpartition(".")[2],
        "Writer",
    }
