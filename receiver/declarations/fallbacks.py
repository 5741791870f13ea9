"""The fallback: the reply when the handler gives none in time.

Rule 1: the action's fallback is tried first, then the IVR's, then the app's, then `Repeat`.
Rule 2: a fallback may be a plain function of the call. If it raises, or returns anything but a
        reply, the next fallback is tried. It runs in the event loop, so it must not block.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable

from receiver.calls import Call
from receiver.declarations.limits import takes_call
from receiver.replies import Repeat, Reply, is_reply

Fallback = Reply | Callable[[Call], Reply]
"""A reply, or a plain function of the call that returns one."""


def problem_of_fallback(fallback: object) -> str:
    """Return why ``fallback`` is not a valid fallback, empty if it is."""
    if is_reply(fallback):
        return ""
    if not callable(fallback) or isinstance(fallback, type):
        return (
            'fallback must be a reply such as Forward("0"), Hangup() or Repeat(), or a plain '
            "function of the call that returns one"
        )
    if inspect.iscoroutinefunction(fallback):
        return "fallback must be a plain function: the deadline leaves no time to await anything"
    return "" if takes_call(fallback) else "fallback must take exactly one argument, the Call"


def first_reply(fallbacks: Iterable[Fallback | None], call: Call) -> tuple[Reply, tuple[str, ...]]:
    """Return the reply of the first fallback that works, and the problems of those before it."""
    broken: list[str] = []
    for fallback in fallbacks:
        if fallback is None:
            continue
        if is_reply(fallback):
            return fallback, tuple(broken)
        try:
            reply = fallback(call)
        except Exception as error:
            broken.append(f"its fallback function raised {type(error).__name__}")
            continue
        if is_reply(reply):
            return reply, tuple(broken)
        broken.append(f"its fallback function returned {type(reply).__name__}")
    return Repeat(), tuple(broken)
