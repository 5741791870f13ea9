"""The recorded and today's answer of a callback.

Rule: an answer differs if the caller would notice: another decision, or another destination. The
same answer with another reason is shown, and is no difference.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from receiver.calls import Call
from receiver.recording.format import Recorded
from receiver.text import counted, line


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a callback.

    Attributes:
        decision: ``call``, ``hangup``, ``repeat``; or ``none``: the PBX would send no callback.
        destination: of ``call``.
        reason: of the reply.
    """

    decision: str
    destination: str = ""
    reason: str = "handled"

    @property
    def words(self) -> str:
        return f"{self.decision} {self.destination}".rstrip()


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """A replayed callback.

    Attributes:
        record: as it was recorded.
        call: passed to the handler, with placeholders for masked texts.
        was, now: the answers.
        placeholders: which of ``digits`` and ``caller`` are placeholders.
        jobs: the number of background jobs, which were not run.
        attempts: connection attempts while the network was blocked, and requests without a
            recorded answer.
        played: recorded answers of other services that were played back.
        sensitive: whether the digits are not shown, also not their placeholder: it may be a PIN
            of the declarations.
    """

    record: Recorded
    call: Call
    was: Answer
    now: Answer
    placeholders: tuple[str, ...] = ()
    jobs: int = 0
    attempts: int = 0
    played: int = 0
    sensitive: bool = False

    @property
    def digits(self) -> str:
        """The digits as they may be shown."""
        return "•" * len(self.call.digits) if self.sensitive else self.call.digits

    @property
    def differs(self) -> bool:
        return (self.was.decision, self.was.destination) != (
            self.now.decision,
            self.now.destination,
        )


def render(calls: Sequence[Sequence[ReplayResult]]) -> list[str]:
    """Return the calls in which an answer differs: ``-`` was the answer, ``+`` is today's."""
    lines: list[str] = []
    for call in calls:
        if not any(one.differs for one in call):
            continue
        first = call[0].record
        lines.append(line(f"call {first.session or 'without a session'} at {first.time}"))
        for one in call:
            lines += _render(one)
    return lines


def _render(one: ReplayResult) -> list[str]:
    callback = f"{one.record.action}  {one.record.kind}  {_caller_data(one)}"
    if not one.differs:
        reason = "" if one.was.reason == one.now.reason else f" ({one.was.reason}, now {_why(one)})"
        return [line(f"    {callback}  {one.was.words}{reason}")]
    was = one.was.words + ("" if one.was.reason == "handled" else f" ({one.was.reason})")
    now = one.now.words + (f" ({why})" if (why := _why(one)) != "handled" else "")
    return [line(f"  - {callback}  {was}"), line(f"  + {' ' * len(line(callback))}  {now}")]


def _why(one: ReplayResult) -> str:
    tried = ", the network is blocked" if one.attempts else ""
    return one.now.reason + tried


def _caller_data(one: ReplayResult) -> str:
    """Return the caller data, with ~ before placeholders."""
    parts = []
    if one.record.kind == "DTMF":
        parts.append(f"keys {'~' * ('digits' in one.placeholders)}{one.digits or 'none'}")
    parts.append(f"from {'~' * ('caller' in one.placeholders)}{one.call.caller or 'unknown'}")
    return " ".join(parts)


def summary(calls: Sequence[Sequence[ReplayResult]], skipped: dict[str, int]) -> list[str]:
    """Return the totals, in a few lines.

    Parameters:
        calls: the results.
        skipped: the number of records that were not replayed, by the reason.
    """
    results = [one for call in calls for one in call]
    different = [one for one in results if one.differs]
    lines = [
        f"{counted(len(results), 'callback')} of {counted(len(calls), 'call')} replayed: "
        f"{counted(len(different), 'answer differs', 'answers differ')}"
    ]
    lines += [f"not replayed ({reason}): {count}" for reason, count in skipped.items() if count]
    if other := sum(not one.differs and one.was.reason != one.now.reason for one in results):
        lines.append(f"the same answer for another reason: {other}")
    if jobs := sum(one.jobs for one in results):
        lines.append(f"background jobs, not run: {jobs}")
    if played := sum(one.played for one in results):
        lines.append(f"answers of other services, from the recording: {played}")
    if attempts := sum(one.attempts for one in results):
        lines.append(f"connection attempts, which were blocked: {attempts} (--network allows them)")
    if any(one.placeholders for one in different):
        lines.append(
            "~ marks a placeholder for a masked text, which may be the only cause of a difference. "
            "To compare two versions of the code, replay with --save on the old one, and replay "
            "the saved file on the new one"
        )
    return lines


def as_objects(
    calls: Sequence[Sequence[ReplayResult]], skipped: dict[str, int]
) -> dict[str, object]:
    """Return the totals and differences for JSON."""
    results = [one for call in calls for one in call]
    return {
        "calls": len(calls),
        "callbacks": len(results),
        "different": [_object(one) for one in results if one.differs],
        "not_replayed": skipped,
        "jobs_not_run": sum(one.jobs for one in results),
        "answers_played": sum(one.played for one in results),
        "network_attempts": sum(one.attempts for one in results),
    }


def _object(one: ReplayResult) -> dict[str, object]:
    return {
        "session": one.record.session,
        "time": one.record.time,
        "action": one.record.action,
        "kind": one.record.kind,
        "digits": one.digits,
        "caller": one.call.caller,
        "placeholders": list(one.placeholders),
        "was": _answer(one.was),
        "now": _answer(one.now),
        "network_attempts": one.attempts,
    }


def _answer(answer: Answer) -> dict[str, str]:
    return {
        "decision": answer.decision,
        "destination": answer.destination,
        "reason": answer.reason,
    }
