"""Replayed calls as a pytest module, or as a recording with today's answers.

Rule 1: a test expects the recorded answer; a comment shows a different answer of today.
Rule 2: masked texts stay masked: the placeholders are written.
Rule 3: all texts from outside are literals in the module, or escaped in a comment.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from receiver.recording.format import encode
from receiver.replies import KINDS, Forward
from receiver.testing.replay_diff import Answer, ReplayResult
from receiver.text import line

_HEAD = '''\
"""Recorded calls, made by: receiver replay --as-test. Masked texts are placeholders."""

import pytest

from receiver.testing import Phone

pytestmark = pytest.mark.asyncio


@pytest.fixture
def receiver_app() -> str:
    return {target}
'''


def pytest_module(calls: Sequence[Sequence[ReplayResult]], target: str) -> str:
    """Return a pytest module with a test for each call, for a `receiver.testing.Phone`.

    Parameters:
        calls: the results.
        target: names the app, as on the command line.
    """
    tests = [_test(number, call) for number, call in enumerate(calls, 1)]
    return "\n\n".join([_HEAD.format(target=_literal(target)), *tests])


def recording_lines(calls: Sequence[Sequence[ReplayResult]]) -> Iterator[bytes]:
    """Return the lines of a recording with today's answers and the placeholders."""
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


def _test(number: int, call: Sequence[ReplayResult]) -> str:
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


def _dial(ivr: str, one: ReplayResult, *, again: bool) -> list[str]:
    name = f", caller_name={_literal(one.call.caller_name)}" if one.call.caller_name else ""
    caller = _literal(one.call.caller)
    lines = ["    # the PBX continued the same call, which a test cannot"] if again else []
    return [*lines, f"    call = await phone.dial({_literal(ivr)}, caller={caller}{name})"]


def _step(one: ReplayResult) -> list[str]:
    lines = []
    if one.record.kind == "DTMF":
        digits = one.call.digits
        lines.append(
            f"    await call.press({_literal(digits)})" if digits else "    # no keys are known"
        )
    comment = f"  # {line(one.record.action)}"
    if one.differs:
        comment += f"; today: {line(one.now.words)}, {line(one.now.reason)}"
    return [*lines, f"    {_assertion(one.was)}{comment}"]


def _assertion(was: Answer) -> str:
    if was.decision == Forward.action:
        return f"assert call.forwarded_to == {_literal(was.destination)}"
    return f'assert call.callbacks[-1].outcome.kind == "{KINDS[was.decision].outcome}"'


def _literal(text: str) -> str:
    """Return a literal in ASCII, with double quotes where that is simple."""
    plain = text.isascii() and text.isprintable() and not set(text) & {'"', "\\"}
    return f'"{text}"' if plain else ascii(text)
