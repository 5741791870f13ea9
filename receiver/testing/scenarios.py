"""Scenario files: calls and their expected endings, in TOML, without Python.

::

    [[call]]
    name = "sales"                    # optional, like all but ivr and expect
    ivr = "8000"
    caller = "101"
    caller_name = "Jason"
    at = 2026-12-25T10:00:00          # the date and time at the PBX
    fault = "late"                    # "refused", "dropped", "wrong password", "slow 3"
    press = ["1", "wait 30", "22"]    # "hang up"
    asks = ["pick"]                   # the actions that get callbacks
    expect = "forward 222"            # "voicemail 222", "hang up", "dial out", "left", "prompt"

Rule 1: pure: text in, values out. The values above the first ``[[call]]`` (``app``, ``ivr``,
        ``caller``, ``caller_name``, ``at``) are defaults for all calls.
Rule 2: an error names the file, the line, the key, and the possible values.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from receiver.errors import ReceiverError
from receiver.pbx.callback_trace import Outcome
from receiver.replies import KINDS
from receiver.text import quoted

SUFFIX = ".calls.toml"
"""The end of a scenario file's name."""

FAULTS = ("late", "dropped", "refused", "wrong password", "slow")
"""The values of ``fault``; ``slow`` is followed by seconds."""

_YEARS = range(1900, 3000)  # the clock advances from there, and Python's last year is 9999
_KEYS = re.compile(r"[0-9*#]+")
_WAIT = re.compile(r"wait ([0-9]+(?:\.[0-9]+)?)")
_SLOW = re.compile(r"slow ([0-9]+(?:\.[0-9]+)?)")
_CALL = re.compile(r"\s*\[\[\s*call\s*\]\]")


class ScenarioError(ReceiverError):
    """A scenario file is invalid; the text begins with the file and the line."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Act:
    """An act of the caller: press ``keys``, wait for ``seconds``, or hang up."""

    keys: str = field(default="", repr=False)
    seconds: float = 0.0

    def __str__(self) -> str:
        if self.keys:
            return f"press {self.keys}"
        return f"wait {self.seconds:g}" if self.seconds else "hang up"


@dataclass(frozen=True, slots=True)
class Scenario:
    """One call, and how it must end.

    Attributes:
        line: of its beginning in the file.
        fault: one of `FAULTS`, or empty.
        slow: seconds, with ``slow``.
        asks: the names of the actions that must get callbacks; None for any.
        expect: how the call must end; None if it must not end.
    """

    line: int
    name: str
    ivr: str
    caller: str = field(repr=False)
    caller_name: str = field(repr=False)
    at: datetime | None
    fault: str
    slow: float
    acts: tuple[Act, ...]
    asks: tuple[str, ...] | None
    expect: Outcome | None


@dataclass(frozen=True, slots=True)
class Scenarios:
    """A scenario file: the app that it names, or empty, and its calls."""

    app: str
    calls: tuple[Scenario, ...]


def parse(text: str, file: str) -> Scenarios:
    """Parse a scenario file.

    Parameters:
        text: the content.
        file: its name, for errors.

    Raises:
        ScenarioError: the content is invalid.
    """
    return _Parser(text, file).scenarios()


class _Parser:
    """Parses one file; it knows the lines of keys."""

    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._lines = text.splitlines()
        self._starts = [n for n, line in enumerate(self._lines, 1) if _CALL.match(line)]
        try:
            self._found = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            at = re.search(r"line ([0-9]+)", str(error))
            line = int(at[1]) if at else len(self._lines)
            raise ScenarioError(f"{file}:{line}: not valid TOML: {error}") from None

    def scenarios(self) -> Scenarios:
        calls = self._found.pop("call", [])
        whole = self._read(self._found, _OF_THE_FILE, 0)
        if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
            raise self._error("call", 0, "begin each call with a line [[call]]")
        if not calls:
            raise ScenarioError(f"{self._file}:1: the file has no [[call]]")
        made = [self._scenario(number, call, whole) for number, call in enumerate(calls, 1)]
        return Scenarios(whole.get("app", ""), tuple(made))

    def _scenario(self, number: int, call: dict[str, Any], whole: dict[str, Any]) -> Scenario:
        own = {**whole, **self._read(call, _OF_A_CALL, number)}
        for key in ("ivr", "expect"):
            if key not in own:
                raise self._error("", number, f"the call needs {key} = {_OF_A_CALL[key][1]}")
        fault, slow = own.get("fault", ("", 0.0))
        return Scenario(
            line=self._line("", number),
            name=own.get("name", f"call {number}"),
            ivr=own["ivr"],
            caller=own.get("caller", "101"),
            caller_name=own.get("caller_name", ""),
            at=own.get("at"),
            fault=fault,
            slow=slow,
            acts=own.get("press", ()),
            asks=own.get("asks"),
            expect=own["expect"],
        )

    def _read(self, found: Mapping[str, Any], rows: _Rows, number: int) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for key, value in found.items():
            if key not in rows:
                known = ", ".join(rows)
                raise self._error(
                    key, number, f"{quoted(key)} is not a key here; the keys are {known}"
                )
            read, expected = rows[key]
            try:
                made[key] = read(value)
            except ValueError:
                shown = quoted(str(value))
                raise self._error(key, number, f"{key} is {shown}; expected {expected}") from None
        return made

    def _error(self, key: str, number: int, problem: str) -> ScenarioError:
        return ScenarioError(f"{self._file}:{self._line(key, number)}: {problem}")

    def _line(self, key: str, number: int) -> int:
        """Return the line of a key of a call, or of the call; call 0 is above the first one."""
        bounds = [1, *self._starts, len(self._lines) + 1]
        if number >= len(bounds) - 1:  # not a [[call]] table
            return 1
        start, end = bounds[number], bounds[number + 1]
        pattern = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*(=|\])")
        within = range(start, max(end, start + 1))
        lines = (n for n in within if key and pattern.match(self._lines[n - 1].lstrip("[")))
        return next(lines, start)


# The values of keys: a function that raises ValueError, and a description of the values.


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise ValueError
    return value


def _name(value: Any) -> str:
    if not _text(value):
        raise ValueError
    return _text(value)


def _at(value: Any) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is not None or value.year not in _YEARS:
        raise ValueError
    return value


def _fault(value: Any) -> tuple[str, float]:
    if slow := _SLOW.fullmatch(_text(value)):
        return "slow", float(slow[1])
    if value not in FAULTS or value == "slow":
        raise ValueError
    return value, 0.0


def _acts(value: Any) -> tuple[Act, ...]:
    return tuple(_act(one) for one in (value if isinstance(value, list) else [value]))


def _act(value: Any) -> Act:
    text = _text(value)
    if _KEYS.fullmatch(text):
        return Act(keys=text)
    if (wait := _WAIT.fullmatch(text)) and float(wait[1]):
        return Act(seconds=float(wait[1]))
    if text != "hang up":
        raise ValueError
    return Act()


def _names(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError
    return tuple(map(_name, value))


def _expect(value: Any) -> Outcome | None:
    text = _text(value)
    if text == "prompt":
        return None
    word, _, number = text.partition(" ")
    ends = [kind for kind in KINDS.values() if kind.ends_call]
    numbered = {"voicemail": "voicemail"}
    numbered |= {kind.keyword: kind.outcome for kind in ends if kind.has_target()}
    if word in numbered and number:
        return Outcome(numbered[word], number)
    plain = {"dial out": "disa", "left": "left"}
    plain |= {kind.label: kind.outcome for kind in ends if not kind.has_target()}
    if text not in plain:
        raise ValueError
    return Outcome(plain[text])


_Rows = Mapping[str, tuple[Callable[[Any], Any], str]]
_SHARED: _Rows = {
    "ivr": (_name, '"8000", or "north/8000" with several PBXs'),
    "caller": (_text, 'the caller\'s number, as in "101"'),
    "caller_name": (_text, "the caller's name"),
    "at": (_at, "a date and time from 1900 on without a zone, as in 2026-12-25T10:00:00"),
}
_OF_THE_FILE: _Rows = {"app": (_name, '"module:attribute", as in "app:app"'), **_SHARED}
_OF_A_CALL: _Rows = {
    "name": (_name, "a name"),
    **_SHARED,
    "fault": (_fault, '"late", "dropped", "refused", "wrong password" or "slow 3"'),
    "press": (_acts, 'a list of keys, "wait 30" and "hang up", as in ["1", "wait 30", "22"]'),
    "asks": (_names, 'a list of names of action URLs, as in ["pick"]'),
    "expect": (
        _expect,
        '"forward 222", "voicemail 222", "hang up", "dial out", "left", or "prompt" '
        "if the call continues",
    ),
}
