"""The record of one callback: the decision, its reason, and how long each stage took.

Rule 1: digits, the caller's number and the session are included only if the operator allows it,
        and never those of a sensitive action; otherwise the record has their lengths.
Rule 2: a record is a value. It is formatted when it is written: not in the event loop's thread,
        and not at all if nothing logs it.
Rule 3: a record is always one line.
"""

from __future__ import annotations

from msgspec import Struct

STAGES = ("authentication", "body", "handler", "whole")
"""The stages of a callback; the whole is from the arrival to the answer."""

MAX_LENGTH = 200
"""Most characters of a number or of digits that are shown."""

Shown = str | int
"""A text, or only the number of its characters."""


class Record(Struct, frozen=True):
    """One answered callback. (A msgspec Struct, because one is made for each callback.)

    Attributes:
        action: its identity.
        pbx: the label of the PBX; empty for the only one.
        kind: ``DTMF`` or ``CALLER``.
        decision: the action on the wire, see `receiver.replies.BaseReply`.
        reason: see `receiver.dispatch.dispatcher.Reason`.
        digits, caller, session: as far as they may be shown.
        authentication, body, handler, whole: seconds that the stages took.
        budget: seconds that the PBX waits (the action's ``request_timeout``).
    """

    action: str
    pbx: str
    kind: str
    decision: str
    reason: str
    digits: Shown
    caller: Shown
    session: Shown
    authentication: float
    body: float
    handler: float
    whole: float
    budget: float

    @property
    def share(self) -> float:
        """The used share of the budget; above 1 the PBX may have given up."""
        return self.whole / self.budget

    @property
    def seconds(self) -> tuple[float, ...]:
        """The time of each of `STAGES`."""
        return (self.authentication, self.body, self.handler, self.whole)

    def __str__(self) -> str:
        """The record as text."""
        return (
            f"{self.action} {self.kind} digits {_SHOWN.get(self.digits) or _show(self.digits)} "
            f"from {_SHOWN.get(self.caller) or _show(self.caller)}: "
            f"{self.decision}, {self.reason}, {round(self.whole * 1000)} ms of "
            f"{round(self.budget * 1000)} ms (handler {round(self.handler * 1000)} ms)"
        )

    def fields(self) -> dict[str, object]:
        """Return the fields for JSON; a name always has the same type."""
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
        shown = (("digits", self.digits), ("caller", self.caller), ("session", self.session))
        for name, value in shown:
            if isinstance(value, str):
                fields[name] = cut(value)
                fields[f"{name}_length"] = len(value)
            else:
                fields[f"{name}_length"] = value
        return fields


def cut(text: str) -> str:
    """Return ``text``, shortened to a maximum length."""
    return text[:MAX_LENGTH] + ("…" if len(text) > MAX_LENGTH else "")


def _show(value: Shown) -> str:
    """Return one line, with escapes for characters that would control a terminal."""
    return ascii(cut(value)) if isinstance(value, str) else f"<{value}>"


_SHOWN: dict[Shown, str] = {number: f"<{number}>" for number in range(1, 33)}  # most of them
_SHOWN |= {0: "<none>", "": "<none>"}
