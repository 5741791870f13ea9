"""Whatever a handler does, the caller gets a valid answer in time.

Deadlines are made short by a large margin: a request_timeout of 2 s less 1.95 s leaves 50 ms.
"""

import asyncio
import logging
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest

from receiver.actions import Action
from receiver.attempts import is_async
from receiver.calls import Call
from receiver.dispatch import Decision, Dispatcher
from receiver.ivrs import Ivr
from receiver.replies import Forward, Hangup, Repeat, Reply

FALLBACK, APP = Forward("0"), Forward("9")
CALL = Call(caller="4930999", digits="4111")


def declare(handler: Callable[..., Any], fallback: Reply | None = FALLBACK) -> Action:
    return Ivr("8000").add("DTMF", "1", handler, name="pick", fallback=fallback)


@pytest.fixture
async def dispatcher() -> AsyncIterator[Dispatcher]:
    made = Dispatcher(APP, margin=1.95, threads=2)
    yield made
    await made.close()


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Set at the end, so that no blocked thread outlives its test."""
    event = threading.Event()
    yield event
    event.set()


async def decide(dispatcher: Dispatcher, action: Action) -> Decision:
    return await dispatcher.decide(action, CALL, asyncio.get_running_loop().time())


async def test_an_async_handler_answers(dispatcher: Dispatcher) -> None:
    async def pick(call: Call) -> Reply:
        return Forward(call.digits)

    assert await decide(dispatcher, declare(pick)) == Decision(Forward("4111"), "handled")


async def test_a_plain_handler_answers_from_a_thread(dispatcher: Dispatcher) -> None:
    here = threading.get_ident()

    def pick(call: Call) -> Reply:
        return Hangup() if threading.get_ident() != here else Repeat()

    assert await decide(dispatcher, declare(pick)) == Decision(Hangup(), "handled")


async def test_objects_partials_and_lambdas_answer(dispatcher: Dispatcher) -> None:
    async def pick(reply: Reply, call: Call) -> Reply:
        return reply

    class Handler:
        async def __call__(self, call: Call) -> Reply:
            return Hangup()

    assert is_async(Handler())
    assert is_async(partial(pick, Hangup()))
    for handler in (Handler(), partial(pick, Hangup()), lambda call: pick(Hangup(), call)):
        assert await decide(dispatcher, declare(handler)) == Decision(Hangup(), "handled")


async def test_a_late_handler_is_cancelled(
    dispatcher: Dispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    ended = asyncio.Event()

    async def pick(call: Call) -> Reply:
        try:
            await asyncio.sleep(10)
        finally:
            ended.set()
        return Repeat()

    assert await decide(dispatcher, declare(pick)) == Decision(FALLBACK, "late")
    await asyncio.wait_for(ended.wait(), 1)
    assert "8000/pick is late" in caplog.text


async def test_a_handler_that_will_not_be_cancelled_is_watched(
    dispatcher: Dispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    go, gone = asyncio.Event(), asyncio.Event()

    async def pick(call: Call) -> Reply:
        while not go.is_set():
            try:
                await go.wait()
            except asyncio.CancelledError:
                continue
        gone.set()
        return Repeat()

    assert await decide(dispatcher, declare(pick)) == Decision(FALLBACK, "late")
    go.set()
    await gone.wait()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert "ms after its answer was due" in caplog.text


async def test_a_handler_that_blocks_its_thread_is_left_behind(
    dispatcher: Dispatcher, release: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    reported = threading.Event()

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if "was due" in record.getMessage():
                reported.set()

    logging.getLogger("receiver").addHandler(Watch())

    def pick(call: Call) -> Reply:
        release.wait(10)
        return Repeat()

    assert await decide(dispatcher, declare(pick)) == Decision(FALLBACK, "late")
    release.set()
    assert await asyncio.to_thread(reported.wait, 5)


async def test_when_all_threads_are_blocked_the_rest_is_shed(
    dispatcher: Dispatcher, release: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    def pick(call: Call) -> Reply:
        release.wait(10)
        return Repeat()

    action = declare(pick)
    decisions = await asyncio.gather(*(decide(dispatcher, action) for _ in range(30)))
    assert {d.reply for d in decisions} == {FALLBACK}
    assert {d.reason for d in decisions} == {"late", "shed"}

    async def quick(call: Call) -> Reply:
        return Hangup()

    assert await decide(dispatcher, declare(quick)) == Decision(Hangup(), "handled")


async def test_a_plain_handler_that_raises_stop_iteration(dispatcher: Dispatcher) -> None:
    def pick(call: Call) -> Reply:
        return next(reply for reply in (Hangup(),) if not reply)

    assert await decide(dispatcher, declare(pick)) == Decision(FALLBACK, "raised")


async def test_a_request_past_its_deadline_does_not_run_the_handler(
    dispatcher: Dispatcher,
) -> None:
    asked = []

    def pick(call: Call) -> Reply:
        asked.append(call)
        return Repeat()

    async def pick_async(call: Call) -> Reply:
        return pick(call)

    arrived = asyncio.get_running_loop().time() - 100
    for handler in (pick, pick_async):
        decision = await dispatcher.decide(declare(handler), CALL, arrived)
        assert decision == Decision(FALLBACK, "late")
    assert asked == []


@pytest.mark.parametrize(
    "error",
    [
        LookupError("no customer 4111"),
        SystemExit(3),
        KeyboardInterrupt("4111"),
        GeneratorExit("4111"),
        BaseException("4111"),
        BaseExceptionGroup("4111", [KeyboardInterrupt()]),
        asyncio.CancelledError(),
        RecursionError(),
    ],
)
@pytest.mark.parametrize("plain", [True, False])
async def test_a_handler_that_raises(
    error: BaseException, plain: bool, dispatcher: Dispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    async def pick(call: Call) -> Reply:
        raise error

    def pick_plain(call: Call) -> Reply:
        raise error

    action = declare(pick_plain if plain else pick)
    assert await decide(dispatcher, action) == Decision(FALLBACK, "raised")
    assert f"8000/pick raised {type(error).__name__}" in caplog.text
    assert "4111" not in caplog.text


async def test_the_text_of_an_exception_is_shown_if_the_operator_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def pick(call: Call) -> Reply:
        raise LookupError("no customer 4111")

    dispatcher = Dispatcher(APP, log_caller_data=True)
    await decide(dispatcher, declare(pick))
    await dispatcher.close()
    assert "LookupError: no customer 4111" in caplog.text
    assert "test_dispatch.py" in caplog.text


@pytest.mark.parametrize("result", [None, "222", 222, Forward, {"action": "call"}])
async def test_a_handler_that_returns_nonsense(
    result: object, dispatcher: Dispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    async def pick(call: Call) -> Any:
        return result

    assert await decide(dispatcher, declare(pick)) == Decision(FALLBACK, "invalid")
    assert f"8000/pick returned {type(result).__name__}" in caplog.text


async def test_a_destination_that_cannot_be_dialled_raises(dispatcher: Dispatcher) -> None:
    async def pick(call: Call) -> Reply:
        return Forward("not a number!")

    assert await decide(dispatcher, declare(pick)) == Decision(FALLBACK, "raised")


async def test_without_a_fallback_of_its_own_the_apps_is_used(dispatcher: Dispatcher) -> None:
    async def pick(call: Call) -> Reply:
        sys.exit()

    assert await decide(dispatcher, declare(pick, None)) == Decision(APP, "raised")


async def test_the_deadline_counts_from_arrival(dispatcher: Dispatcher) -> None:
    action = declare(lambda call: Repeat())
    assert dispatcher.deadline(action, 100.0) == pytest.approx(100.05)


async def test_a_request_that_is_cancelled_takes_its_handler_along(dispatcher: Dispatcher) -> None:
    started, ended = asyncio.Event(), asyncio.Event()

    async def pick(call: Call) -> Reply:
        started.set()
        try:
            await asyncio.sleep(10)
        finally:
            ended.set()
        return Repeat()

    request = asyncio.create_task(decide(dispatcher, declare(pick)))
    await started.wait()
    request.cancel()
    await asyncio.wait_for(ended.wait(), 1)
    with pytest.raises(asyncio.CancelledError):
        await request


async def test_closing_cancels_what_still_runs() -> None:
    dispatcher = Dispatcher(APP)
    started, ended = asyncio.Event(), asyncio.Event()

    async def pick(call: Call) -> Reply:
        started.set()
        try:
            await asyncio.sleep(10)
        finally:
            ended.set()
        return Repeat()

    request = asyncio.create_task(decide(dispatcher, declare(pick)))
    await started.wait()
    await dispatcher.close()
    assert ended.is_set()
    assert await request == Decision(FALLBACK, "raised")
