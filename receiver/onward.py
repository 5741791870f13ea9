"""Where a call goes on from: a reply, another handler, or a word for a reply.

Rule 1: this is the one place that knows what may stand where a handler leads on, so that handlers
        compose: ``Hours(open=Menu(…), closed="8000")``.
Rule 2: what is wrong is told when the handler is made, and by the name of its option.
Rule 3: plain functions run in threads, as they do when they are declared themselves.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from receiver import limits
from receiver.actions import Handler, is_sensitive
from receiver.calls import Call
from receiver.errors import DeclarationError, ReplyError
from receiver.functions.aside import in_thread
from receiver.functions.manners import is_async
from receiver.replies import Reply, read_word

Then = Reply | Handler | str
"""A reply; a handler, async or plain; or in words: ``"hangup"``, ``"repeat"``, or a destination
such as ``"222"``, as a configuration file has it."""

AsyncHandler = Callable[[Call], Awaitable[Reply]]


def handler_of(then: Then, option: str) -> AsyncHandler:
    """What ``then`` means, as an async function of the call.

    What it comes to is not looked at: as with every handler, nonsense is the fallback for the
    caller.

    Parameters:
        then: see `Then`.
        option: what a problem is told of, as in ``"Hours: open"``.

    Raises:
        DeclarationError: it means nothing. The text does not repeat a destination.
    """
    if isinstance(then, str):
        return Always(_read(then, option))
    if isinstance(then, Reply):
        return Always(then)
    if not callable(then) or limits.problem_of_handler(then):
        raise DeclarationError(
            f"{option} is neither a reply nor a handler: write "
            'Forward("222"), "222", "hangup", "repeat", or an async function of the call; '
            f"not {type(then).__name__}"
        )
    # An object, not a closure: it can be asked whether it is sensitive.
    return then if is_async(then) else _Plain(then, is_sensitive(then))  # type: ignore[return-value]


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
