"""Running a function of somebody else: whatever it does, a value comes out.

Rule 1: SystemExit and KeyboardInterrupt are failures like any other. They would otherwise leave the
        task, the event loop and the service; those that mean the process come as signals.
Rule 2: an exception's text may hold what the caller keyed in: a log gets its type and place, and
        the text only if the operator says so (``RECEIVER_LOG_CALLER_DATA``).
"""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from receiver.printable import short

_TEXT = 500  # characters of an exception's text


@dataclass(frozen=True, slots=True)
class Failed:
    """What a function came to that raised ``error``."""

    error: BaseException


async def settle(function: Callable[..., object], *args: object, **kwargs: object) -> object:
    """What ``function`` returns in the end, or `Failed`; only a cancellation is raised."""
    try:
        result = function(*args, **kwargs)
        while inspect.isawaitable(result):
            result = await result
    except asyncio.CancelledError:
        raise
    except BaseException as error:
        return Failed(error)
    return result


def attempt(function: Callable[..., object], *args: object, **kwargs: object) -> object:
    """The same for a thread; a future cannot carry StopIteration, nor should it the others."""
    try:
        return function(*args, **kwargs)
    except BaseException as error:
        return Failed(error)


def at_once(function: Callable[..., object], *args: object) -> object:
    """What an async ``function`` returns that has nothing to wait for, or `Failed`."""
    try:
        function(*args).send(None)  # type: ignore[attr-defined]
    except StopIteration as end:
        return end.value
    except BaseException as error:
        return Failed(error)
    return Failed(RuntimeError("it waits, where its code has no await"))


def describe(error: BaseException, *, with_text: bool) -> str:
    """``error`` for the log: its type, its text if that may be shown, and where it was raised."""
    frames = "".join(traceback.format_tb(error.__traceback__)).rstrip()
    if with_text:
        text = f": {_text(error)}"
    else:
        text = " (its text is withheld, RECEIVER_LOG_CALLER_DATA=true shows it)"
    return f"{type(error).__name__}{text}\n{frames}"


def _text(error: BaseException) -> str:
    """What it says, which may be what a caller's PBX said, and be long."""
    try:
        return short(str(error), _TEXT)
    except Exception as another:
        return f"(no text: {type(another).__name__})"
