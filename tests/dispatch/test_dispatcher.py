"""The caller gets a valid answer in time, for any behaviour of a handler.

A handler that answers has `LONG` to do so, and one that is to be late `SHORT`.
"""

import asyncio
import contextvars
import logging
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import anyio
import pytest

from receiver.app import Receiver
from receiver.call_context import Deadline, Detached
from receiver.calls import Call, FinishKey
from receiver.declarations.actions import Action
from receiver.declarations.ivr import Ivr
from receiver.dispatch.dispatcher import Decision, Dispatcher
from receiver.dispatch.handler_run import Runs
from receiver.errors import DeclarationError, Unavailable
from receiver.execution.kinds import is_async
from receiver.replies import Forward, Hangup, Repeat, Reply

FALLBACK, APP = Forward("0"), Forward("9")
HANGUP = Hangup()
CALL = Call(caller="4930999", digits="4111")
LONG, SHORT = 60.0, 0.2
"""Seconds until the deadline."""


def declare(handler: Callable[..., Any], fallback: Reply | None = FALLBACK) -> Action:
    return Ivr("8000").add("DTMF", "1", handler, name="pick", fallback=fallback)


@pytest.fixture
async def dispatcher() -> AsyncIterator[Dispatcher]:
    made = Dispatcher(APP, threads=2)
    yield made
    await made.close()


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Set at the end, so that no blocked thread outlives its test."""
    event = threading.Event()
    yield event
    event.set()


async def ask(
    dispatcher: Dispatcher, action: Action, call: Call, seconds: float = LONG
) -> Decision:
    """Decide with ``seconds`` until the deadline."""
    loop = asyncio.get_running_loop()
    return await dispatcher.decide(action, call, loop.time() + seconds, loop)


async def decide(dispatcher: Dispatcher, action: Action, seconds: float = LONG) -> Decision:
    return await ask(dispatcher, action, CALL, seconds)


async def test_an_async_handler_answers(dispatcher: Dispatcher) -> None:
    async def pick(call: Call) -> Reply:
        return Forward(call.digits)

    assert await decide(dispatcher, declare(pick)) == Decision(Forward("4111"), "handled")


async def test_the_finish_key_is_stripped_where_it_is_declared(dispatcher: Dispatcher) -> None:
    async def pick(call: Call) -> Reply:
        return Forward(call.digits)

    wanted: dict[FinishKey, str] = {"": "1#", "#": "1", "*": "1#"}
    for finish_key, digits in wanted.items():
        action = Ivr("8000").add("DTMF", "1", pick, finish_key=finish_key)
        decision = await ask(dispatcher, action, Call(digits="1#"))
        assert decision == Decision(Forward(digits), "handled")


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


class Odd:
    """Raises something strange as soon as one looks at it."""

    def __init__(self, error: type[BaseException]) -> None:
        object.__setattr__(self, "_error", error)

    def __getattribute__(self, name: str) -> object:
        raise object.__getattribute__(self, "_error")


@pytest.mark.parametrize("error", [LookupError, SystemExit])
async def test_what_a_simple_handler_returns_may_be_hostile(
    dispatcher: Dispatcher, error: type[BaseException]
) -> None:
    async def pick(call: Call) -> Any:
        return Odd(error)

    decision = await decide(dispatcher, declare(pick))
    assert (decision.reply, decision.reason in ("raised", "invalid")) == (FALLBACK, True)


async def test_what_a_simple_handler_returns_is_waited_for(dispatcher: Dispatcher) -> None:
    async def waiting() -> Reply:
        await asyncio.sleep(0)
        return Hangup()

    async def pick(call: Call) -> Any:
        return waiting()

    assert await decide(dispatcher, declare(pick)) == Decision(Hangup(), "handled")


WORD = contextvars.ContextVar("WORD", default="none")


async def test_a_simple_handler_has_a_separate_task_and_context(
    dispatcher: Dispatcher,
) -> None:
    async def pick(call: Call) -> Reply:
        WORD.set(call.digits)
        return Hangup() if anyio.get_current_task().id == id(asyncio.current_task()) else Repeat()

    assert await decide(dispatcher, declare(pick)) == Decision(Hangup(), "handled")
    assert WORD.get() == "none"


async def test_a_late_handler_is_cancelled(
    dispatcher: Dispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    ended = asyncio.Event()

    async def pick(call: Call) -> Reply:
        try:
            await asyncio.sleep(LONG)
        finally:
            ended.set()
        return Repeat()

    assert await decide(dispatcher, declare(pick), SHORT) == Decision(FALLBACK, "late")
    await asyncio.wait_for(ended.wait(), 60)
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

    assert await decide(dispatcher, declare(pick), SHORT) == Decision(FALLBACK, "late")
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
        release.wait(60)
        return Repeat()

    assert await decide(dispatcher, declare(pick), SHORT) == Decision(FALLBACK, "late")
    release.set()
    assert await asyncio.to_thread(reported.wait, LONG)


async def test_when_all_threads_are_blocked_the_rest_is_shed(
    dispatcher: Dispatcher, release: threading.Event, caplog: pytest.LogCaptureFixture
) -> None:
    def pick(call: Call) -> Reply:
        release.wait(60)
        return Repeat()

    action = declare(pick)
    decisions = await asyncio.gather(*(decide(dispatcher, action, SHORT) for _ in range(30)))
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

    loop = asyncio.get_running_loop()
    for handler in (pick, pick_async):
        decision = await dispatcher.decide(declare(handler), CALL, loop.time() - 100, loop)
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


async def test_the_text_of_an_exception_is_logged_only_if_configured(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def pick(call: Call) -> Reply:
        raise LookupError("no customer 4111")

    dispatcher = Dispatcher(APP, log_caller_data=True)
    await decide(dispatcher, declare(pick))
    await dispatcher.close()
    assert "LookupError: no customer 4111" in caplog.text
    assert "test_dispatcher.py" in caplog.text


@pytest.mark.parametrize("result", [None, "222", 222, Forward, {"action": "call"}])
async def test_a_handler_that_returns_nonsense(
    result: object, dispatcher: Dispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    async def pick(call: Call) -> Any:
        return result

    assert await decide(dispatcher, declare(pick)) == Decision(FALLBACK, "invalid")
    kind = "None" if result is None else type(result).__name__
    hint = ": is a return missing?" if result is None else "\n"
    assert f"8000/pick returned {kind}, not Forward(…), Hangup() or Repeat(){hint}" in caplog.text


async def test_a_destination_that_cannot_be_dialled_raises(dispatcher: Dispatcher) -> None:
    async def pick(call: Call) -> Reply:
        return Forward("not a number!")

    assert await decide(dispatcher, declare(pick)) == Decision(FALLBACK, "raised")


async def test_an_action_without_a_fallback_uses_that_of_the_app(dispatcher: Dispatcher) -> None:
    async def pick(call: Call) -> Reply:
        sys.exit()

    assert await decide(dispatcher, declare(pick, None)) == Decision(APP, "raised")


async def test_the_deadline_counts_from_arrival() -> None:
    action = declare(lambda call: Repeat())
    assert Dispatcher(APP, margin=0.25).deadline(action, 100.0) == pytest.approx(101.75)


class Slow:
    """A handler that waits far too long, and tells when it begins and ends."""

    def __init__(self) -> None:
        self.started, self.ended = asyncio.Event(), asyncio.Event()

    async def __call__(self, call: Call) -> Reply:
        self.started.set()
        try:
            await asyncio.sleep(LONG)
        finally:
            self.ended.set()
        return Repeat()


async def test_a_request_that_is_cancelled_takes_its_handler_along(dispatcher: Dispatcher) -> None:
    slow = Slow()
    request = asyncio.create_task(decide(dispatcher, declare(slow)))
    await slow.started.wait()
    request.cancel()
    await asyncio.wait_for(slow.ended.wait(), 60)
    with pytest.raises(asyncio.CancelledError):
        await request


async def test_closing_cancels_what_still_runs() -> None:
    dispatcher = Dispatcher(APP)
    slow = Slow()
    request = asyncio.create_task(decide(dispatcher, declare(slow)))
    await slow.started.wait()
    await dispatcher.close()
    assert slow.ended.is_set()
    assert await request == Decision(FALLBACK, "raised")


# the ladder ----------------------------------------------------------------------------------


async def raises(call: Call) -> Reply:
    raise RuntimeError(call.digits)


def broken(call: Call) -> Reply:
    raise RuntimeError(call.digits)


def nonsense(call: Call) -> Any:
    return "0"


def by_digits(call: Call) -> Reply:
    return Forward(call.digits)


@pytest.mark.parametrize(
    ("of_action", "of_ivr", "of_app", "reply"),
    [
        (Forward("1"), Forward("2"), Forward("3"), Forward("1")),
        (None, Forward("2"), Forward("3"), Forward("2")),
        (None, None, Forward("3"), Forward("3")),
        (by_digits, Forward("2"), Forward("3"), Forward("4111")),
        (broken, by_digits, Forward("3"), Forward("4111")),
        (nonsense, None, by_digits, Forward("4111")),
        (broken, nonsense, broken, Repeat()),
    ],
)
async def test_the_first_rung_that_holds_counts(
    of_action: Any, of_ivr: Any, of_app: Any, reply: Reply, caplog: pytest.LogCaptureFixture
) -> None:
    dispatcher = Dispatcher(of_app)
    action = Ivr("8000", fallback=of_ivr).add("DTMF", "1", raises, fallback=of_action)
    assert await decide(dispatcher, action) == Decision(reply, "raised")
    for function, text in ((broken, "raised RuntimeError"), (nonsense, "returned str")):
        tried = function in (of_action, of_ivr, of_app)
        assert (f"its fallback function {text}" in caplog.text) == tried
    assert "4111" not in caplog.text
    await dispatcher.close()


@pytest.mark.parametrize("fallback", ["0", Forward, raises, lambda: HANGUP, 5])
def test_what_is_no_fallback_is_refused(fallback: Any) -> None:
    for declared in (
        lambda: Ivr("8000", fallback=fallback),
        lambda: Ivr("8000").add("DTMF", "1", raises, fallback=fallback),
        lambda: Receiver(fallback=fallback),
    ):
        with pytest.raises(DeclarationError, match="fallback must"):
            declared()


async def test_what_a_handler_needs_is_broken(
    dispatcher: Dispatcher, caplog: pytest.LogCaptureFixture
) -> None:
    async def pick(call: Call) -> Reply:
        raise Unavailable("the CRM is down")

    assert await decide(dispatcher, declare(pick)) == Decision(FALLBACK, "broken")
    assert caplog.messages == ["8000/pick: the CRM is down"]


# continued runs ------------------------------------------------------------------------


def again(session: str = "s1") -> Call:
    return Call(caller="4930999", digits="4111", session_id=session)


async def test_a_late_answer_is_given_when_the_call_asks_again(dispatcher: Dispatcher) -> None:
    finish, asked = asyncio.Event(), []

    async def pick(call: Call) -> Reply:
        asked.append(call.session_id)
        await finish.wait()
        return Forward("222")

    action = Ivr("8000").add("DTMF", "1", pick, on_timeout="continue", fallback=FALLBACK)
    for _ in range(2):
        decision = await ask(dispatcher, action, again(), SHORT)
        assert decision == Decision(Repeat(), "continued")
    finish.set()
    assert await ask(dispatcher, action, again()) == Decision(Forward("222"), "handled")
    assert asked == ["s1"]
    assert await ask(dispatcher, action, again()) == Decision(Forward("222"), "handled")
    assert asked == ["s1", "s1"]


async def test_only_the_same_call_takes_over_what_was_handed_over(dispatcher: Dispatcher) -> None:
    async def pick(call: Call) -> Reply:
        await asyncio.sleep(0 if call.session_id == "quick" else 60)
        return Forward("222")

    action = Ivr("8000").add("DTMF", "1", pick, on_timeout="continue", fallback=FALLBACK)
    assert (await ask(dispatcher, action, again("slow"), SHORT)).reason == "continued"
    assert (await ask(dispatcher, action, again("quick"))).reason == "handled"
    stranger = Call(digits="1")
    assert await ask(dispatcher, action, stranger, SHORT) == Decision(FALLBACK, "late")


async def test_a_call_without_a_further_callback_is_given_up() -> None:
    dispatcher = Dispatcher(APP, margin=1.95, runs=Runs(2, wait_timeout=0.01))
    ended = asyncio.Event()

    async def pick(call: Call) -> Reply:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return Repeat()

    action = Ivr("8000").add("DTMF", "1", pick, on_timeout="continue")
    assert (await ask(dispatcher, action, again(), SHORT)).reason == "continued"
    await asyncio.wait_for(ended.wait(), 60)
    await dispatcher.close()


async def test_of_two_requests_of_a_call_at_once_the_earlier_is_given_up(
    dispatcher: Dispatcher,
) -> None:
    running, ended = list[int](), list[int]()

    async def pick(call: Call) -> Reply:
        running.append(number := len(running))
        try:
            await asyncio.sleep(60)
        finally:
            ended.append(number)
        return Repeat()

    action = Ivr("8000").add("DTMF", "1", pick, on_timeout="continue")
    both = (ask(dispatcher, action, again(), SHORT) for _ in range(2))
    assert {one.reason for one in await asyncio.gather(*both)} == {"continued"}
    await asyncio.sleep(0)
    assert (len(running), len(ended)) == (2, 1)


async def test_runs_that_wait_are_bounded() -> None:
    dispatcher = Dispatcher(APP, margin=1.95, runs=Runs(2, max_waiting=2))
    running: set[str] = set()

    async def pick(call: Call) -> Reply:
        running.add(call.session_id)
        try:
            await asyncio.sleep(60)
        finally:
            running.discard(call.session_id)
        return Repeat()

    action = Ivr("8000").add("DTMF", "1", pick, on_timeout="continue")
    for number in range(4):
        await ask(dispatcher, action, again(str(number)), SHORT)
    await asyncio.sleep(0)
    assert running == {"2", "3"}
    await dispatcher.close()


# no circles ----------------------------------------------------------------------------------


async def test_a_loop_of_repeats_ends_in_the_fallback(dispatcher: Dispatcher) -> None:
    async def pick(call: Call) -> Reply:
        return Repeat()

    action = Ivr("8000").add("DTMF", "1", pick, fallback=FALLBACK, max_repeats=2)
    reasons = [(await ask(dispatcher, action, again())).reason for _ in range(6)]
    assert reasons == ["handled", "handled", "looped"] * 2
    assert (await ask(dispatcher, action, again("s2"))).reason == "handled"
    for _ in range(9):  # nothing tells these calls from each other
        assert (await ask(dispatcher, action, Call())).reason == "handled"


async def test_a_caller_action_that_continues_to_the_prompt_does_not_count(
    dispatcher: Dispatcher,
) -> None:
    async def pick(call: Call) -> Reply:
        return Repeat()

    ivr = Ivr("8000")
    before = ivr.add("CALLER", "any", pick, name="ahead")
    action = ivr.add("DTMF", "1", pick, max_repeats=2, fallback=FALLBACK)
    reasons = [(await ask(dispatcher, one, again())).reason for one in (before, *[action] * 3)]
    assert reasons == ["handled", "handled", "handled", "looped"]
    reasons = [(await ask(dispatcher, before, again())).reason for _ in range(3)]
    assert reasons == ["handled", "handled", "looped"]  # a PBX that asks the same again and again


async def test_an_answer_in_between_ends_the_count(dispatcher: Dispatcher) -> None:
    replies: Iterator[Reply] = iter([Repeat(), Hangup(), Repeat(), Repeat()])

    async def pick(call: Call) -> Reply:
        return next(replies)

    action = Ivr("8000").add("DTMF", "1", pick, fallback=FALLBACK, max_repeats=1)
    reasons = [(await ask(dispatcher, action, again())).reason for _ in range(4)]
    assert reasons == ["handled", "handled", "handled", "looped"]


async def test_a_fallback_that_repeats_as_well_is_reported_as_a_loop(
    dispatcher: Dispatcher,
) -> None:
    async def pick(call: Call) -> Reply:
        return Repeat()

    action = Ivr("8000").add("DTMF", "1", pick, fallback=Repeat(), max_repeats=1)
    decisions = [await ask(dispatcher, action, again()) for _ in range(3)]
    assert decisions[1:] == [Decision(Repeat(), "looped")] * 2


# no queue ------------------------------------------------------------------------------------


async def test_more_than_may_be_there_at_once_are_shed(dispatcher: Dispatcher) -> None:
    finish = asyncio.Event()

    async def pick(call: Call) -> Reply:
        await finish.wait()
        return Forward("222")

    action = Ivr("8000").add("DTMF", "1", pick, fallback=FALLBACK, max_concurrency=2)
    first = [asyncio.create_task(ask(dispatcher, action, again(s))) for s in "ab"]
    await asyncio.sleep(0)
    assert await ask(dispatcher, action, again("c")) == Decision(FALLBACK, "shed")
    finish.set()
    assert await asyncio.gather(*first) == [Decision(Forward("222"), "handled")] * 2
    assert (await ask(dispatcher, action, again("c"))).reason == "handled"


async def test_a_thread_counts_until_it_ends(
    dispatcher: Dispatcher, release: threading.Event
) -> None:
    def pick(call: Call) -> Reply:
        release.wait(60)
        return Forward("222")

    action = Ivr("8000").add("DTMF", "1", pick, fallback=FALLBACK, max_concurrency=1)
    assert (await ask(dispatcher, action, again(), SHORT)).reason == "late"
    assert (await ask(dispatcher, action, again())).reason == "shed"
    release.set()
    for _ in range(60_000):
        if (await ask(dispatcher, action, again())).reason == "handled":
            return
        await asyncio.sleep(0.001)
    pytest.fail("the thread is still counted")


# the budget ----------------------------------------------------------------------------------


async def test_what_was_spent_before_counts_and_a_slow_way_is_learned() -> None:
    dispatcher = Dispatcher(APP, margin=0.1)
    action = declare(raises)
    assert dispatcher.deadline(action, 100.0) == pytest.approx(101.9)
    assert dispatcher.charge(action, 100.0, 0.0) == 100.0
    assert dispatcher.charge(action, 100.0, 0.01) == pytest.approx(99.99)
    assert dispatcher.deadline(action, 100.0) == pytest.approx(101.9)
    for _ in range(20):
        dispatcher.charge(action, 100.0, 0.4)
    assert 0.3 < 102.0 - dispatcher.deadline(action, 100.0) <= 1.0
    other = Ivr("8000", pbx="other").add("DTMF", "1", raises)
    assert dispatcher.deadline(other, 100.0) == pytest.approx(101.9)


@pytest.mark.parametrize("spent", [-1.0, 2.0, 1e9])
async def test_what_cannot_have_been_spent_is_not_charged(spent: float) -> None:
    dispatcher = Dispatcher(APP, margin=0.1)
    assert dispatcher.charge(declare(raises), 100.0, spent) == 100.0


async def test_never_more_than_half_is_charged() -> None:
    dispatcher = Dispatcher(APP, margin=0.1)
    action = declare(raises)
    begun = dispatcher.charge(action, 100.0, 1.9)
    assert dispatcher.deadline(action, begun) - 100.0 > 0.4


async def test_a_call_knows_what_is_left() -> None:
    class Live(Detached):
        deadline: Deadline

        def remaining(self) -> float:
            return self.deadline.due - asyncio.get_running_loop().time()

    def context(action: Action, call: Call, deadline: Deadline, loop: Any) -> Live:
        live = Live()
        live.deadline = deadline
        return live

    left = []

    async def pick(call: Call) -> Reply:
        left.append(call.remaining())
        return Hangup()

    dispatcher = Dispatcher(APP, context=context)
    await decide(dispatcher, declare(pick))
    assert LONG / 2 < left[0] <= LONG
    assert CALL.remaining() == float("inf")
    await dispatcher.close()


def no_argument() -> Reply:
    return Hangup()


@pytest.mark.parametrize("option", ["max_concurrency", "max_repeats"])
@pytest.mark.parametrize("value", [-1, 1.5, True, "3", 10**6])
def test_counts_are_whole_numbers(option: str, value: Any) -> None:
    with pytest.raises(DeclarationError, match=f"{option}=.* is not a whole number from"):
        Ivr("8000").add("DTMF", "1", raises, name="pick", **{option: value})


@pytest.mark.parametrize("fallback", [no_argument, lambda a, b: Hangup()])
def test_a_fallback_takes_the_call(fallback: Any) -> None:
    with pytest.raises(DeclarationError, match="exactly one argument, the Call"):
        Ivr("8000", fallback=fallback)


def test_a_fallback_may_be_built_in() -> None:
    assert callable(Ivr("8000", fallback=max).fallback)  # type: ignore[arg-type]


def test_a_plain_handler_is_tested_by_hand_too() -> None:
    def bill(call: Call) -> Reply:
        assert call.after.durably(no_argument, idempotency_key="k")
        return Hangup()

    call = Call()
    assert bill(call) == Hangup()
    assert isinstance(call.context, Detached)
    assert [(work.function, work.durably) for work in call.context.after] == [(no_argument, True)]
