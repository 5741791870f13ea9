"""What a recorded callback was answered, and what it is answered today.

Rule: an answer differs if the caller would notice: another decision, or another destination. That
the same answer has another reason is told, and is no difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from receiver.calls import Call
from receiver.printable import line
from receiver.recordings.lines import Recorded


@dataclass(frozen=True, slots=True)
class Answer:
    """What the PBX was told, or that it would not ask.

    Attributes:
        decision: ``call``, ``hangup``, ``repeat``; or ``none``: nobody is asked.
        destination: of ``call``.
        reason: why.
    """

    decision: str
    destination: str = ""
    reason: str = "handled"

    @property
    def words(self) -> str:
        return f"{self.decision} {self.destination}".rstrip()


@dataclass(frozen=True, slots=True)
class Outcome:
    """One callback that was replayed.

    Attributes:
        record: as it was recorded.
        call: what was said to the handler, with stand-ins for what is masked.
        was, now: the answers.
        made_up: which of ``digits`` and ``caller`` are not what they were.
        works: pieces of work after the answer that were asked for and not done.
        tries: how often the network was tried while it was shut.
    """

    record: Recorded
    call: Call
    was: Answer
    now: Answer
    made_up: tuple[str, ...] = ()
    works: int = 0
    tries: int = 0

    @property
    def differs(self) -> bool:
        return (self.was.decision, self.was.destination) != (
            self.now.decision,
            self.now.destination,
        )


def render(calls: Sequence[Sequence[Outcome]]) -> list[str]:
    """The calls in which an answer differs, for people: each answer, ``-`` before, ``+`` today."""
    lines: list[str] = []
    for call in calls:
        if not any(one.differs for one in call):
            continue
        first = call[0].record
        lines.append(line(f"call {first.session or 'without a session'} at {first.time}"))
        for one in call:
            lines += _render(one)
    return lines


def _render(one: Outcome) -> list[str]:
    asked = f"{one.record.action}  {one.record.kind}  {_said(one)}"
    if not one.differs:
        reason = "" if one.was.reason == one.now.reason else f" ({one.was.reason}, now {_why(one)})"
        return [line(f"    {asked}  {one.was.words}{reason}")]
    was = one.was.words + ("" if one.was.reason == "handled" else f" ({one.was.reason})")
    now = one.now.words + (f" ({why})" if (why := _why(one)) != "handled" else "")
    return [line(f"  - {asked}  {was}"), line(f"  + {' ' * len(line(asked))}  {now}")]


def _why(one: Outcome) -> str:
    tried = ", the network is shut" if one.tries else ""
    return one.now.reason + tried


def _said(one: Outcome) -> str:
    """What the caller said, with ~ before what is made up."""
    parts = []
    if one.record.kind == "DTMF":
        parts.append(f"keys {'~' * ('digits' in one.made_up)}{one.call.digits or 'none'}")
    parts.append(f"from {'~' * ('caller' in one.made_up)}{one.call.caller or 'unknown'}")
    return " ".join(parts)


def summary(calls: Sequence[Sequence[Outcome]], passed_over: dict[str, int]) -> list[str]:
    """What became of all, in a few lines.

    Parameters:
        passed_over: how many were not replayed, by the reason.
    """
    all_of_them = [one for call in calls for one in call]
    different = [one for one in all_of_them if one.differs]
    lines = [
        f"{len(all_of_them)} callbacks of {len(calls)} calls replayed: "
        f"{len(different)} answered otherwise"
    ]
    lines += [f"not replayed: {many} {reason}" for reason, many in passed_over.items() if many]
    if other := sum(not one.differs and one.was.reason != one.now.reason for one in all_of_them):
        lines.append(f"the same answer for another reason: {other}")
    if works := sum(one.works for one in all_of_them):
        lines.append(f"work after the answer, not carried out: {works}")
    if tries := sum(one.tries for one in all_of_them):
        lines.append(f"tries to reach the network, which is shut: {tries} (--network opens it)")
    if any(one.made_up for one in different):
        lines.append(
            "~ stands before what was masked and is made up: an answer that hangs on it may differ "
            "for that alone. To compare two versions of the code, replay with --save on the old "
            "one, and replay what was saved on the new one"
        )
    return lines


def as_objects(
    calls: Sequence[Sequence[Outcome]], passed_over: dict[str, int]
) -> dict[str, object]:
    """The same for programs."""
    all_of_them = [one for call in calls for one in call]
    return {
        "calls": len(calls),
        "callbacks": len(all_of_them),
        "different": [_object(one) for one in all_of_them if one.differs],
        "not_replayed": passed_over,
        "works_not_done": sum(one.works for one in all_of_them),
        "network_tries": sum(one.tries for one in all_of_them),
    }


def _object(one: Outcome) -> dict[str, object]:
    return {
        "session": one.record.session,
        "time": one.record.time,
        "action": one.record.action,
        "kind": one.record.kind,
        "digits": one.call.digits,
        "caller": one.call.caller,
        "made_up": list(one.made_up),
        "was": _answer(one.was),
        "now": _answer(one.now),
        "network_tries": one.tries,
    }


def _answer(answer: Answer) -> dict[str, str]:
    return {
        "decision": answer.decision,
        "destination": answer.destination,
        "reason": answer.reason,
    }
