"""Scenario files: calls and how they end, in TOML, for those who write no Python.

::

    [[call]]
    name = "sales"                    # all but ivr and expect may be left out
    ivr = "8000"
    caller = "101"
    caller_name = "Jason"
    at = 2026-12-25T10:00:00          # the date and time at the PBX
    fault = "late"                    # "refused", "dropped", "wrong password", "slow 3"
    press = ["1", "wait 30", "22"]    # "hang up"
    asks = ["pick"]                   # the action URLs that are asked, in their order
    expect = "forward 222"            # "voicemail 222", "hang up", "dial out", "left", "prompt"

Rule 1: pure: text in, values out. The values above the first ``[[call]]`` (``app``, ``ivr``,
        ``caller``, ``caller_name``, ``at``) count for all calls that do not say them.
Rule 2: an error names the file, the line and the key, and what may stand there.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from receiver.errors import ReceiverError
from receiver.printable import quoted
from receiver.simulator.trace import Ending, Outcome

SUFFIX = ".calls.toml"
"""How the name of a scenario file ends."""

FAULTS = ("late", "dropped", "refused", "wrong password", "slow")
"""What a call may have as its ``fault``; ``slow`` with seconds behind it."""

_YEARS = range(1900, 3000)  # time goes on from there, and Python's years end
_KEYS = re.compile(r"[0-9*#]+")
_WAIT = re.compile(r"wait ([0-9]+(?:\.[0-9]+)?)")
_SLOW = re.compile(r"slow ([0-9]+(?:\.[0-9]+)?)")
_CALL = re.compile(r"\s*\[\[\s*call\s*\]\]")
_NUMBERED: dict[str, Ending] = {"forward": "forwarded", "voicemail": "voicemail"}
_PLAIN: dict[str, Ending] = {"hang up": "hung up", "dial out": "disa", "left": "left"}


class ScenarioError(ReceiverError):
    """A scenario file that cannot be read; the text begins with the file and the line."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Act:
    """What the caller does: press ``keys``, wait for ``seconds``, or else hang up."""

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
        line: where it begins in its file.
        fault: one of `FAULTS`, or empty.
        slow: seconds, with ``slow``.
        asks: the names of the action URLs that must be asked; None if it does not matter.
        expect: how the call must end; None for not at all.
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
    """A scenario file: the app that it names, empty if it names none, and its calls."""

    app: str
    calls: tuple[Scenario, ...]


def parse(text: str, file: str) -> Scenarios:
    """Read a scenario file.

    Parameters:
        text: all of it.
        file: its name, for errors.

    Raises:
        ScenarioError: something in it cannot be read.
    """
    return _Parser(text, file).scenarios()


class _Parser:
    """Reads one file; it knows where things stand in it."""

    def __init__(self, text: str, file: str) -> None:
        self._file = file
        self._lines = text.splitlines()
        self._starts = [n for n, line in enumerate(self._lines, 1) if _CALL.match(line)]
        try:
            self._found = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            at = re.search(r"line ([0-9]+)", str(error))
            line = int(at[1]) if at else len(self._lines)
            raise ScenarioError(f"{file}:{line}: this is no TOML: {error}") from None

    def scenarios(self) -> Scenarios:
        calls = self._found.pop("call", [])
        whole = self._read(self._found, _OF_THE_FILE, 0)
        if not isinstance(calls, list) or not all(isinstance(call, dict) for call in calls):
            raise self._error("call", 0, "begin each call with a line [[call]]")
        if not calls:
            raise ScenarioError(f"{self._file}:1: there is no [[call]] in it")
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
                raise self._error(key, number, f"{quoted(key)} is no key here: there are {known}")
            read, wanted = rows[key]
            try:
                made[key] = read(value)
            except ValueError:
                shown = quoted(str(value))
                raise self._error(key, number, f"{key} is {shown}; it is {wanted}") from None
        return made

    def _error(self, key: str, number: int, problem: str) -> ScenarioError:
        return ScenarioError(f"{self._file}:{self._line(key, number)}: {problem}")

    def _line(self, key: str, number: int) -> int:
        """Where a key of a call stands, or else the call; 0 is what stands above the calls."""
        bounds = [1, *self._starts, len(self._lines) + 1]
        if number >= len(bounds) - 1:  # not written with [[call]]
            return 1
        start, end = bounds[number], bounds[number + 1]
        pattern = re.compile(rf"\s*[\"']?{re.escape(key)}[\"']?\s*(=|\])")
        within = range(start, max(end, start + 1))
        there = (n for n in within if key and pattern.match(self._lines[n - 1].lstrip("[")))
        return next(there, start)


# What may stand at a key: a function that raises ValueError, and what it wants, in words.


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
    word, _, number = text.partition(" ")
    if word in _NUMBERED and number:
        return Outcome(_NUMBERED[word], number)
    if text == "prompt":
        return None
    if text not in _PLAIN:
        raise ValueError
    return Outcome(_PLAIN[text])


_Rows = Mapping[str, tuple[Callable[[Any], Any], str]]
_SHARED: _Rows = {
    "ivr": (_name, '"8000", or "north/8000" with several PBXs'),
    "caller": (_text, 'the caller\'s number, as in "101"'),
    "caller_name": (_text, "the caller's name"),
    "at": (_at, "a date and time of our days without a zone, as in 2026-12-25T10:00:00"),
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
        "if the call goes on",
    ),
}
