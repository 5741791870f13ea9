"""The ladder of fallbacks: what the caller gets when the handler gives nothing.

Rule 1: the action's own fallback, then the IVR's, then the app's, then `Repeat`; the first that
        holds counts.
Rule 2: a fallback may be a plain function of the call. One that raises, or returns anything but a
        reply, is a rung that breaks: the next one is tried. It runs between two callbacks, so it
        must not wait for anything.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable

from receiver.calls import Call
from receiver.replies import Repeat, Reply

Fallback = Reply | Callable[[Call], Reply]
"""An answer, or a plain function that gives one at once."""


def problem_of_fallback(fallback: object) -> str:
    """Why it is none, in words; empty if there is nothing wrong with it."""
    if isinstance(fallback, Reply):
        return ""
    if not callable(fallback) or isinstance(fallback, type):
        return (
            'fallback must be a reply such as Forward("0"), Hangup() or Repeat(), or a plain '
            "function of the call that returns one"
        )
    if inspect.iscoroutinefunction(fallback):
        return "fallback must be a plain function: there is no time left to wait for anything"
    try:
        inspect.signature(fallback).bind(Call())
    except TypeError:
        return "fallback must take exactly one argument, the Call"
    except ValueError:
        return ""  # built in, without a signature to look at
    return ""


def descend(rungs: Iterable[Fallback | None], call: Call) -> tuple[Reply, tuple[str, ...]]:
    """The first answer that ``rungs`` hold for ``call``, and what was wrong with those above."""
    broken: list[str] = []
    for rung in rungs:
        if rung is None:
            continue
        if isinstance(rung, Reply):
            return rung, tuple(broken)
        try:
            reply = rung(call)
        except Exception as error:
            broken.append(f"its fallback function raised {type(error).__name__}")
            continue
        if isinstance(reply, Reply):
            return reply, tuple(broken)
        broken.append(f"its fallback function returned {type(reply).__name__}")
    return Repeat(), tuple(broken)
