"""Call a function of the user, and return an exception as a value.

Rule 1: SystemExit and KeyboardInterrupt are failures like any other. Otherwise they would end the
        task, the event loop and the service; the process itself is stopped by signals.
Rule 2: an exception's text may contain digits of a caller: the log has its type and location, and
        the text only with ``RECEIVER_LOG_CALLER_DATA``.
"""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from types import CoroutineType, TracebackType

from receiver.replies import is_reply
from receiver.text import short

_FOLDER = __file__.removesuffix("guarded_call.py")

_TEXT = 500  # characters of an exception's text


@dataclass(frozen=True, slots=True)
class Failed:
    """The result of a function that raised ``error``."""

    error: BaseException


async def settle(function: Callable[..., object], *args: object, **kwargs: object) -> object:
    """Return what ``function`` returns in the end, or `Failed`; only a cancellation is raised."""
    try:
        result = function(*args, **kwargs)
        if type(result) is CoroutineType:
            result = await result
        while not is_reply(result) and inspect.isawaitable(result):
            result = await result
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        return Failed(error)
    return result


def attempt(function: Callable[..., object], *args: object, **kwargs: object) -> object:
    """Do the same in a thread; a future cannot hold StopIteration."""
    try:
        return function(*args, **kwargs)
    except BaseException as error:
        return Failed(error)


def call_now(function: Callable[..., object], *args: object) -> object:
    """Return the result of an async ``function`` that does not wait, or `Failed`.

    It runs in a copy of the context, so that it cannot change the context of the next callback.
    """
    try:
        copy_context().run(function(*args).send, None)  # type: ignore[attr-defined]
    except StopIteration as end:
        return end.value
    except BaseException as error:
        return Failed(error)
    return Failed(RuntimeError("it waits, although its code has no await"))


def describe(error: BaseException, *, with_text: bool) -> str:
    """Return a text for the log: type, text if it may be shown, and place of ``error``."""
    frames = "".join(traceback.format_tb(_from_handler(error))).rstrip()
    if with_text:
        text = f": {_text(error)}"
    else:
        text = " (its text is withheld, RECEIVER_LOG_CALLER_DATA=true shows it)"
    return f"{type(error).__name__}{text}\n{frames}"


def _from_handler(error: BaseException) -> TracebackType | None:
    """Return the traceback from the frame of the handler on, without those of this package."""
    frame = error.__traceback__
    while frame is not None and frame.tb_frame.f_code.co_filename.startswith(_FOLDER):
        frame = frame.tb_next
    return frame or error.__traceback__


def _text(error: BaseException) -> str:
    """Return the text of an error, shortened; it may contain caller data."""
    try:
        return short(str(error), _TEXT)
    except Exception as another:
        return f"(no text: {type(another).__name__})"
