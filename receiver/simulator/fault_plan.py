"""A plan of faults: which requests to the simulated PBX fail, and how.

Rule 1: pure. `receiver.simulator.fault_injection` injects the faults.
Rule 2: a fault has a method, a path and the number of the matching request; its text is one line:
        ``POST /ivrs/*/action_urls 2 cut-after``.
Rule 3: all faults that are due for a request are injected, in the order of the plan.

::

    refuse=503           an error instead of an answer, without effect (also refuse=400:UNKNOWN)
    delay=3.5            seconds before the request takes effect
    delay-after=3.5      seconds between the effect and the answer
    cut-before           the connection ends before the request takes effect
    cut-after            ... after it took effect, without an answer
    cut-within           ... after it took effect, in the middle of the answer
    garbage=text         an answer with the status of the real one, but not JSON;
                         also =empty, =huge (9 MiB), =truncated (JSON that ends in the middle)
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

from receiver.errors import SettingsError

Kind = Literal["refuse", "delay", "delay-after", "cut-before", "cut-after", "cut-within", "garbage"]
Garbage = Literal["text", "empty", "huge", "truncated"]

_CODES = {
    400: "VALIDATE_FAILED",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    429: "TOO_MANY_REQUESTS",
}
_HUGE = 9 * 1024 * 1024
_WITHOUT_ARGUMENT = ("cut-before", "cut-after", "cut-within")


class Cut(Exception):
    """The connection is closed without an answer. A kill switch may raise it, too."""


@dataclass(frozen=True, slots=True)
class PlannedFault:
    """One fault of the plan.

    Attributes:
        method: ``"POST"``, or ``"*"`` for any.
        path: below ``/api``, as in ``/ivrs/*/action_urls``; a ``*`` matches one segment, ``**``
            anything.
        kind: of the fault.
        nth: the number of the matching request, from 1; 0 for every one.
        status, code: of a refusal.
        seconds: of a delay.
        garbage: the kind of garbage.
    """

    method: str
    path: str
    kind: Kind
    nth: int = 1
    status: int = 503
    code: str = "UNKNOWN"
    seconds: float = 0.0
    garbage: Garbage = "text"

    @classmethod
    def parse(cls, text: str) -> PlannedFault:
        """Parse ``METHOD PATH [N|every] KIND[=ARGUMENT]``; N defaults to 1.

        Raises:
            SettingsError: it is invalid; the text names the part.
        """
        parts = text.split()
        if len(parts) == 3:
            parts.insert(2, "1")
        if len(parts) != 4:
            raise SettingsError(
                f'the fault "{text}" is not of the form METHOD PATH N KIND, as in '
                '"POST /ivrs/*/action_urls 2 cut-after"'
            )
        method, path, nth, what = parts
        if not re.fullmatch(r"[A-Z]+|\*", method):
            raise SettingsError(f'the fault "{text}" has no method: write POST, GET or *')
        if not path.startswith(("/", "*")):
            raise SettingsError(f'the fault "{text}" has no path: write one as in /ivrs/*')
        if nth != "every" and not re.fullmatch("[1-9][0-9]{0,8}", nth):
            raise SettingsError(
                f'the fault "{text}" has no valid number {nth}: write 1, 2 ... or every'
            )
        kind, sign, argument = what.partition("=")
        known = next((k for k in get_args(Kind) if k == kind), None)
        if known is None:
            raise SettingsError(
                f'the fault "{text}" has no known kind: write one of {", ".join(get_args(Kind))}'
            )
        made = cls(method, path, known, 0 if nth == "every" else int(nth))
        return _with_argument(made, argument if sign else None, text)

    def matches(self, method: str, path: str) -> bool:
        """Return whether a request matches."""
        marks = {"**": ".*", "*": "[^/]*"}
        parts = re.split(r"(\*\*|\*)", self.path.removeprefix("/api"))
        pattern = "".join(marks.get(part, re.escape(part)) for part in parts)
        below = path.removeprefix("/api")
        return self.method in ("*", method) and re.fullmatch(pattern, below) is not None


class FaultPlan:
    """A plan of faults, with its counters.

    Parameters:
        plan: the faults; more can be added with `add` at any time.
    """

    def __init__(self, *plan: PlannedFault) -> None:
        self._plan: list[tuple[PlannedFault, list[int]]] = []
        self.add(*plan)

    def add(self, *plan: PlannedFault) -> None:
        """Add faults; they count requests from now on."""
        self._plan += [(planned, [0]) for planned in plan]

    def clear(self) -> None:
        """Remove all faults."""
        self._plan.clear()

    def due(self, method: str, path: str) -> list[PlannedFault]:
        """Count a request and return the faults that are due."""
        found = []
        for planned, seen in self._plan:
            if planned.matches(method, path):
                seen[0] += 1
                if planned.nth in (0, seen[0]):
                    found.append(planned)
        return found


def spoil(body: bytes, garbage: Garbage) -> bytes:
    """Return the garbage that replaces ``body``."""
    if garbage == "empty":
        return b""
    if garbage == "truncated":
        return body[: len(body) // 2]
    if garbage == "huge":
        return b'{"items":[' + b" " * _HUGE + b"]}"
    return b"<html><body>It works!</body></html>"


def _with_argument(made: PlannedFault, argument: str | None, text: str) -> PlannedFault:
    """Return ``made`` with the argument behind the ``=``, None for none."""
    method, path, kind, nth = made.method, made.path, made.kind, made.nth
    if kind in _WITHOUT_ARGUMENT:
        if argument is None:
            return made
        raise SettingsError(f'the fault "{text}": {kind} has no argument')
    if kind == "refuse":
        match = re.fullmatch("([45][0-9]{2})(?::([A-Z_]+))?", argument or "503")
        if match:
            status = int(match[1])
            code = match[2] or _CODES.get(status, "UNKNOWN")
            return PlannedFault(method, path, kind, nth, status=status, code=code)
        raise SettingsError(f'the fault "{text}": write refuse=503, or refuse=400:CODE')
    if kind == "garbage":
        for garbage in get_args(Garbage):
            if garbage == (argument or "text"):
                return PlannedFault(method, path, kind, nth, garbage=garbage)
        known = ", ".join(get_args(Garbage))
        raise SettingsError(f'the fault "{text}": garbage is one of {known}')
    try:
        seconds = float(argument or "")
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= 3600:
        raise SettingsError(f'the fault "{text}": write seconds, as in {kind}=3.5')
    return PlannedFault(method, path, kind, nth, seconds=seconds)
