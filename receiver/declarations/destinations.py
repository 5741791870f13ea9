"""Destinations of a call after a handler: a reply, another handler, or a word for a reply.

Rule 1: all handlers accept the same values as destinations, so that they can be combined:
        ``Hours(open=Menu(…), closed="8000")``.
Rule 2: a wrong value is an error in the handler's constructor that names the option.
Rule 3: plain functions run in threads, as they do when they are declared themselves.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from receiver.calls import Call
from receiver.declarations import limits
from receiver.declarations.actions import Handler, is_sensitive, repeats_of
from receiver.errors import DeclarationError, ReplyError
from receiver.execution.kinds import is_async
from receiver.execution.to_thread import in_thread
from receiver.replies import Reply, is_reply, read_word

Then = Reply | Handler | str
"""A reply; a handler, async or plain; or in words: ``"hangup"``, ``"repeat"``, or a destination
such as ``"222"``, as a configuration file has it."""

AsyncHandler = Callable[[Call], Awaitable[Reply]]


def handler_of(then: Then, option: str) -> AsyncHandler:
    """Return ``then`` as an async function of the call, for handlers that compose. ::

        to_sales = handler_of("222", "Mine: then")
        assert await to_sales(call) == Forward("222")

    Its result is not checked: an invalid reply gives the caller the fallback.

    Parameters:
        then: see `Then`.
        option: the name of the option for errors, as in ``"Hours: open"``.

    Raises:
        DeclarationError: it means nothing. The text does not repeat a destination.
    """
    if isinstance(then, str):
        return Always(_read(then, option))
    if is_reply(then):
        return Always(then)
    if not callable(then) or limits.problem_of_handler(then):
        raise DeclarationError(
            f"{option} is neither a reply nor a handler: write "
            'Forward("222"), "222", "hangup", "repeat", or an async function of the call; '
            f"not {type(then).__name__}"
        )
    # An object, not a closure: it has the attributes of the function.
    return then if is_async(then) else _Plain(then, is_sensitive(then), repeats_of(then))  # type: ignore[return-value]


@dataclass(frozen=True, slots=True)
class Always:
    """A handler that gives the same reply to all."""

    reply: Reply

    async def __call__(self, call: Call) -> Reply:
        return self.reply


@dataclass(frozen=True, slots=True)
class _Plain:
    """A plain function as an async one."""

    function: Handler
    sensitive: bool
    repeats: int

    async def __call__(self, call: Call) -> Reply:
        result = await in_thread(self.function, call)
        while inspect.isawaitable(result):  # of a lambda that calls an async function
            result = await result
        return result


def _read(text: str, option: str) -> Reply:
    try:
        return read_word(text)
    except ReplyError as error:
        raise DeclarationError(f"{option} is {error}") from None
