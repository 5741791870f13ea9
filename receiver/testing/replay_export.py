"""Replayed calls as a pytest module, or as a recording with today's answers.

Rule 1: a test expects the recorded answer; a comment shows a different answer of today.
Rule 2: masked texts stay masked: the placeholders are written.
Rule 3: all texts from outside are literals in the module, or escaped in a comment.
Rule 4: a test dials again only where no recorded answer leads to the IVR of the next callback.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import msgspec

from receiver.recording.format import encode
from receiver.replies import KINDS, Forward
from receiver.testing.replay_diff import ReplayResult
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
    before: ReplayResult | None = None
    for group in _by_input(call):
        lines += _input(group[0], before)
        lines += [_assertion(one, index) for index, one in enumerate(group, -len(group))]
        before = group[-1]
    return "\n".join(lines) + "\n"


def _by_input(call: Sequence[ReplayResult]) -> list[list[ReplayResult]]:
    """Return the callbacks that each input causes: keys, or a call that is dialled."""
    groups = [[call[0]]]
    for before, one in pairwise(call):
        if one.record.kind == "CALLER" and _continues(before, one):
            groups[-1].append(one)
        else:
            groups.append([one])
    return groups


def _continues(before: ReplayResult, one: ReplayResult) -> bool:
    """Return whether the call of a `Phone` is in the IVR of ``one`` after the answer ``before``."""
    if before.was.decision == Forward.action:
        return before.was.destination == _ivr(one).rpartition("/")[2]
    at_prompt = not KINDS[before.was.decision].ends_call and one.record.kind == "DTMF"
    return at_prompt and _ivr(before) == _ivr(one)


def _ivr(one: ReplayResult) -> str:
    return one.record.action.rpartition("/")[0]


def _input(one: ReplayResult, before: ReplayResult | None) -> list[str]:
    lines = []
    if before is None or not _continues(before, one):
        name = f", caller_name={_literal(one.call.caller_name)}" if one.call.caller_name else ""
        if before is not None:
            lines.append("    # the recorded answers do not lead here: another call")
        caller = _literal(one.call.caller)
        lines.append(f"    call = await phone.dial({_literal(_ivr(one))}, caller={caller}{name})")
    if one.record.kind == "DTMF":
        digits = one.call.digits
        lines.append(
            f"    await call.press({_literal(digits)})" if digits else "    # no keys are known"
        )
    return lines


def _assertion(one: ReplayResult, index: int) -> str:
    field, value = "kind", KINDS[one.was.decision].outcome
    if one.was.decision == Forward.action:
        field, value = "detail", one.was.destination
    comment = line(one.record.action)
    if one.differs:
        comment += f"; today: {line(one.now.words)}, {line(one.now.reason)}"
    outcome = f"call.callbacks[{index}].outcome.{field}"
    return f"    assert {outcome} == {_literal(value)}  # {comment}"


def _literal(text: str) -> str:
    """Return a literal in ASCII, with double quotes where that is simple."""
    plain = text.isascii() and text.isprintable() and not set(text) & {'"', "\\"}
    return f'"{text}"' if plain else ascii(text)
