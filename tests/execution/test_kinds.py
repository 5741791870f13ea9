"""The kind of a handler follows from its code."""

import functools
from collections.abc import AsyncIterator, Callable
from contextlib import nullcontext
from unittest.mock import AsyncMock

import pytest

from receiver.calls import Call
from receiver.execution.kinds import code_of, is_async, manner_of
from receiver.replies import Forward, Repeat, Reply

REPLIES = {"1": Forward("222")}


async def numbers() -> AsyncIterator[int]:
    yield 1


async def simple(call: Call) -> Reply:
    return REPLIES.get(call.digits) or next((r for r in REPLIES.values()), Repeat())


async def awaiting(call: Call) -> Reply:
    return await simple(call)


async def rarely(call: Call) -> Reply:
    if call.digits == "9":
        await simple(call)
    return Repeat()


async def looping(call: Call) -> Reply:
    async for _ in numbers():
        pass
    return Repeat()


async def collecting(call: Call) -> Reply:
    return Forward(str(len([number async for number in numbers()])))


async def inside(call: Call) -> Reply:
    async with nullcontext():
        return Repeat()


async def elsewhere(call: Call) -> Reply:
    async def inner() -> Reply:
        return await awaiting(call)

    return inner()  # type: ignore[return-value]  # which is awaited for it


def plain(call: Call) -> Reply:
    return Repeat()


class Simple:
    async def __call__(self, call: Call) -> Reply:
        return await self.method(call)

    async def method(self, call: Call) -> Reply:
        return Repeat()

    @staticmethod
    async def static(call: Call) -> Reply:
        return Repeat()


class Wrapper:
    """A wrapper that shows the code of the wrapped function."""

    __code__ = plain.__code__

    async def __call__(self, call: Call) -> Reply:
        return await awaiting(call)


class Proxy:
    """Looks like what it wraps, and runs something else, as decorators made with wrapt do."""

    def __init__(self, wrapped: Callable[..., object]) -> None:
        self.__dict__["wrapped"] = wrapped

    @property  # type: ignore[misc]
    def __class__(self) -> type:
        return type(self.wrapped)

    def __getattr__(self, name: str) -> object:
        return getattr(self.wrapped, name)

    def __call__(self, call: Call) -> object:
        return awaiting(call)


class Partial(functools.partial[object]):
    def __call__(self, *args: object, **kwargs: object) -> object:
        return awaiting(Call())


class Patched:
    async def __call__(self, call: Call) -> Reply:
        return Repeat()

    def __init__(self) -> None:
        self.__call__ = awaiting  # type: ignore[method-assign]  # which Python does not look at


@functools.wraps(simple)
async def wrapper(*args: Call) -> Reply:
    return await simple(*args)


@functools.partial
def partly(call: Call) -> Reply:
    return Repeat()


@pytest.mark.parametrize(
    ("handler", "manner"),
    [
        (simple, "at once"),
        (elsewhere, "at once"),
        (Simple().method, "at once"),
        (Simple.static, "at once"),
        (functools.partial(functools.partial(simple)), "at once"),
        (awaiting, "task"),
        (rarely, "task"),
        (looping, "task"),
        (collecting, "task"),
        (inside, "task"),
        (Simple(), "task"),
        (wrapper, "task"),
        (Wrapper(), "task"),
        (AsyncMock(), "task"),
        (Proxy(simple), "task"),
        (Partial(simple), "task"),
        (Patched(), "at once"),
        (plain, "thread"),
        (partly, "thread"),
        (lambda call: simple(call) if call else None, "thread"),
        (len, "thread"),
    ],
)
def test_the_manner_of_a_handler(handler: Callable[..., object], manner: str) -> None:
    assert manner_of(handler) == manner
    assert is_async(handler) == (manner != "thread")


def test_code_of_all_kinds_of_handlers() -> None:
    class Object:
        def __call__(self) -> None: ...

        def method(self) -> None: ...

    def plain() -> None: ...

    assert code_of(plain) is plain.__code__
    assert code_of(functools.partial(functools.partial(plain))) is plain.__code__
    assert code_of(Object()) is Object.__call__.__code__
    assert code_of(Object().method) is Object.method.__code__
    assert code_of(len) is None
