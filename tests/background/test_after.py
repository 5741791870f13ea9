"""``call.after``: jobs start after the answer, in the context of the call."""

from __future__ import annotations

import asyncio
import threading
from contextvars import ContextVar
from functools import partial
from typing import Any

import pytest

from tests.background.conftest import Make, lines, soon

HERE: ContextVar[str] = ContextVar("HERE", default="nowhere")


async def test_jobs_start_after_the_answer(make: Make) -> None:
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
    await owner.close(60)
    assert sorted(done, key=str) == [((1,), {"x": 2}), 3]


async def test_jobs_added_after_the_answer_start_at_once(make: Make) -> None:
    owner = make()
    after = owner.of_call()
    after.release()
    done = asyncio.Event()
    after(asyncio.get_running_loop().call_soon_threadsafe, done.set)
    await asyncio.wait_for(done.wait(), 60)


async def test_plain_handlers_add_jobs_from_their_thread(make: Make) -> None:
    owner = make()
    after = owner.of_call()
    done: list[int] = []
    await asyncio.to_thread(after, done.append, 1)
    after.release()
    await asyncio.to_thread(after, done.append, 2)
    await soon(lambda: len(done) == 2)


async def test_a_plain_function_runs_in_a_thread_with_the_callers_context(make: Make) -> None:
    owner = make()
    found: list[object] = []

    def look() -> None:
        found.append((HERE.get(), threading.current_thread() is threading.main_thread()))

    HERE.set("there")
    after = owner.of_call()
    after(look)
    HERE.set("elsewhere")
    after.release()
    await owner.close(60)
    assert found == [("there", False)]


async def test_a_coroutine_is_refused_at_the_call(make: Make) -> None:
    after = make().of_call()
    coroutine: Any = asyncio.sleep(0)
    with pytest.raises(TypeError, match=r"not a coroutine$"):
        after(coroutine)
    with pytest.raises(TypeError, match=r"not a coroutine$"):
        await after.durably(coroutine)
    coroutine.close()


async def test_partials_and_callable_objects_are_logged_by_name(
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
