"""Replayed calls as something to keep: a pytest module, or a recording with today's answers.

Rule 1: a test demands what was answered then; where today's code answers otherwise, it says so.
Rule 2: what was masked stays so: the stand-ins are what is kept, and they are nobody's.
Rule 3: all that came from outside stands in the module as a literal, or on its line in a comment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from receiver.printable import line
from receiver.recordings.lines import encode
from receiver.replaying.outcomes import Answer, Outcome

_HEAD = '''\
"""Recorded calls, made by: receiver replay --as-test. What is masked in them is made up."""

import pytest

from receiver.testing import Phone

pytestmark = pytest.mark.asyncio


@pytest.fixture
def receiver_app() -> str:
    return {target}
'''
_KINDS = {"hangup": "hung up", "repeat": "repeated"}


def cast(calls: Sequence[Sequence[Outcome]], target: str) -> str:
    """A pytest module with a test for each call, for the telephone of `receiver.testing`.

    Parameters:
        target: names the app, as on the command line.
    """
    tests = [_test(number, call) for number, call in enumerate(calls, 1)]
    return "\n\n".join([_HEAD.format(target=_literal(target)), *tests])


def saved(calls: Sequence[Sequence[Outcome]]) -> Iterator[bytes]:
    """The lines of a recording in which ``calls`` were answered as today, with their stand-ins."""
    for one in (one for call in calls for one in call):
        if one.now.decision != "none":
            record = msgspec.structs.replace(
                one.record,
                digits=one.call.digits,
                caller=one.call.caller,
                caller_name=one.call.caller_name,
                masked=(),
                decision=one.now.decision,
                destination=one.now.destination,
                reason=one.now.reason,
            )
            yield encode(record)


def _test(number: int, call: Sequence[Outcome]) -> str:
    first = call[0].record
    session = "".join(c for c in first.session[:8] if c.isascii() and c.isalnum())
    name = f"test_call_{number}_{session}".rstrip("_")
    lines = [f"async def {name}(phone: Phone) -> None:", f"    # at {line(first.time)}"]
    ivr = ""
    for one in call:
        identity = one.record.action.rpartition("/")[0]
        if identity != ivr:
            lines += _dial(identity, one, again=bool(ivr))
            ivr = identity
        lines += _step(one)
    return "\n".join(lines) + "\n"


def _dial(ivr: str, one: Outcome, *, again: bool) -> list[str]:
    name = f", caller_name={_literal(one.call.caller_name)}" if one.call.caller_name else ""
    caller = _literal(one.call.caller)
    lines = ["    # the PBX went on with the same call, which a test can't"] if again else []
    return [*lines, f"    call = await phone.dial({_literal(ivr)}, caller={caller}{name})"]


def _step(one: Outcome) -> list[str]:
    lines = []
    if one.record.kind == "DTMF":
        digits = one.call.digits
        lines.append(
            f"    await call.press({_literal(digits)})" if digits else "    # no keys were told"
        )
    comment = f"  # {line(one.record.action)}"
    if one.differs:
        comment += f"; today: {line(one.now.words)}, {line(one.now.reason)}"
    return [*lines, f"    {_demand(one.was)}{comment}"]


def _demand(was: Answer) -> str:
    if was.decision == "call":
        return f"assert call.forwarded_to == {_literal(was.destination)}"
    return f'assert call.callbacks[-1].outcome.kind == "{_KINDS[was.decision]}"'


def _literal(text: str) -> str:
    """In ASCII, and in double quotes where that is simple, as a formatter would have it."""
    plain = text.isascii() and text.isprintable() and not set(text) & {'"', "\\"}
    return f'"{text}"' if plain else ascii(text)
