"""What is told of one callback: what was decided, why, and how long each stage took.

Rule 1: what the caller keyed in, his number and the session stand in it only where the operator
        wants to see them, and never those of a sensitive action; otherwise it has their lengths.
Rule 2: a record is a value, and becomes text only where it is written: not in the event loop's
        thread, and not at all where nobody reads it.
Rule 3: a record is one line, whatever is in it.
"""

from __future__ import annotations

from msgspec import Struct

from receiver.replies import Forward, Hangup, Repeat, Reply

DECISIONS: dict[type[Reply], str] = {Forward: "call", Hangup: "hangup", Repeat: "repeat"}
"""What the PBX is told, in its own words."""

STAGES = ("authentication", "body", "handler", "whole")
"""What the time goes into; the whole is from the arrival to the answer."""

LONGEST = 200
"""Characters of a number or of digits, where the operator wants to see them."""

Told = str | int
"""A text, or only how many characters it has."""


class Record(Struct, frozen=True):
    """One callback that was answered. (What is made for each is made by msgspec, for little.)

    Attributes:
        action: its identity.
        pbx: the label of the PBX; empty for the only one.
        kind: ``DTMF`` or ``CALLER``.
        decision: one of `DECISIONS`.
        reason: why, see `receiver.dispatch.dispatcher.Reason`.
        digits, caller, session: as far as they may be told.
        authentication, body, handler, whole: seconds that the stages took.
        budget: seconds that the PBX waits (the action's ``request_timeout``).
    """

    action: str
    pbx: str
    kind: str
    decision: str
    reason: str
    digits: Told
    caller: Told
    session: Told
    authentication: float
    body: float
    handler: float
    whole: float
    budget: float

    @property
    def share(self) -> float:
        """How much of the budget was used; above 1 the PBX may have given up."""
        return self.whole / self.budget

    @property
    def seconds(self) -> tuple[float, ...]:
        """The time of each of `STAGES`."""
        return (self.authentication, self.body, self.handler, self.whole)

    def __str__(self) -> str:
        """The line for people."""
        return (
            f"{self.action} {self.kind} digits {_tell(self.digits)} from {_tell(self.caller)}: "
            f"{self.decision}, {self.reason}, {self.whole * 1000:.0f} ms of "
            f"{self.budget * 1000:.0f} (handler {self.handler * 1000:.0f})"
        )

    def fields(self) -> dict[str, object]:
        """What programs are told; a name always has the same type."""
        fields: dict[str, object] = {
            "action": self.action,
            "pbx": self.pbx,
            "kind": self.kind,
            "decision": self.decision,
            "reason": self.reason,
            "seconds_authentication": round(self.authentication, 6),
            "seconds_body": round(self.body, 6),
            "seconds_handler": round(self.handler, 6),
            "seconds_whole": round(self.whole, 6),
            "budget": self.budget,
            "share": round(self.share, 4),
        }
        told = (("digits", self.digits), ("caller", self.caller), ("session", self.session))
        for name, value in told:
            if isinstance(value, str):
                fields[name] = cut(value)
                fields[f"{name}_length"] = len(value)
            else:
                fields[f"{name}_length"] = value
        return fields


def cut(text: str) -> str:
    """``text``, and how it goes on only for so long."""
    return text[:LONGEST] + ("…" if len(text) > LONGEST else "")


def _tell(told: Told) -> str:
    """On one line, with escapes for whatever would move a terminal's cursor or turn its text."""
    if isinstance(told, str):
        return ascii(cut(told)) if told else "<none>"
    return f"<{told}>" if told else "<none>"
