"""receiver/onward.py, receiver/aside.py"""

import asyncio
import threading
from concurrent.futures import Future
from typing import Any

import pytest

from receiver import (
    Call,
    DeclarationError,
    Forward,
    Hangup,
    Ivr,
    Repeat,
    Reply,
    Unavailable,
    handler_of,
    is_sensitive,
)
from receiver.execution.guarded_call import Failed
from receiver.execution.to_thread import begin, in_thread


async def ask(then: Any, digits: str = "") -> Reply:
    return await handler_of(then, "it")(Call(digits=digits))


async def test_a_reply_is_the_answer_to_all() -> None:
    for reply in (Forward("222"), Hangup(), Repeat()):
        assert await ask(reply) == reply


@pytest.mark.parametrize(
    ("word", "reply"),
    [
        ("222", Forward("222")),
        (" +49301 ", Forward("+49301")),
        ("hangup", Hangup()),
        ("Repeat", Repeat()),
    ],
)
async def test_a_word_is_a_reply(word: str, reply: Reply) -> None:
    assert await ask(word) == reply


async def test_handlers_async_and_plain() -> None:
    async def later(call: Call) -> Reply:
        assert threading.current_thread() is threading.main_thread()
        return Forward(call.digits)

    def plain(call: Call) -> Reply:
        assert threading.current_thread() is not threading.main_thread()
        return Forward(call.digits)

    class Object:
        async def __call__(self, call: Call) -> Reply:
            return Forward(call.digits)

    for then in (later, plain, Object(), lambda call: later(call) if call.digits else Hangup()):
        assert await ask(then, digits="7") == Forward("7")
    assert handler_of(later, "it") is later


async def test_what_a_handler_raises_is_raised() -> None:
    def plain(call: Call) -> Reply:
        raise StopIteration(call.digits)

    with pytest.raises(RuntimeError, match="StopIteration"):
        await ask(plain)
    with pytest.raises(ZeroDivisionError):
        await ask(lambda call: 1 / 0)


@pytest.mark.parametrize(
    "then", [None, 222, b"222", Hangup, lambda: "222", ["222"], {"handler": "menu"}]
)
def test_what_means_nothing(then: Any) -> None:
    with pytest.raises(
        DeclarationError, match=r"^Menu: otherwise is neither a reply nor a handler"
    ):
        handler_of(then, "Menu: otherwise")


@pytest.mark.parametrize("then", ["", "hang up", "22 2", "sip:222"])
def test_a_word_that_means_nothing_is_not_repeated(then: str) -> None:
    with pytest.raises(DeclarationError, match=r"^it is neither \"hangup\"") as caught:
        handler_of(then, "it")
    assert not then or then not in str(caught.value)


def test_which_actions_are_sensitive() -> None:
    class Pin:
        sensitive = True

        def __call__(self, call: Call) -> Reply:
            return Hangup()

    assert is_sensitive(handler_of(Pin(), "it"), handler_of("222", "it"))
    assert not is_sensitive(handler_of(lambda call: Hangup(), "it"), None, "222")
    assert Ivr("8000").add("DTMF", "1", Pin(), name="pin").sensitive


async def test_busy_threads_are_reported() -> None:
    free = threading.Event()
    begun: list[Future[bool | Failed]] = []

    def fill() -> None:
        for _ in range(200):
            begun.append(begin(free.wait))  # noqa: PERF401 - it ends by an error

    try:
        with pytest.raises(Unavailable, match="all threads for plain functions are busy"):
            fill()
    finally:
        free.set()
    assert await asyncio.gather(*map(asyncio.wrap_future, begun)) == [True] * len(begun)
    assert await in_thread(divmod, 7, 2) == (3, 1)
