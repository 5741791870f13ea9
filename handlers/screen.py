"""Handler that screens callers: block and allow lists, anonymous callers, too many calls.

::

    Screen(then=crm, block=["+49900...", "+4930123456"], block_file="blocked.txt",
           anonymous=Forward("8001"), most=5, within=600)

Rule 1: The first match decides: allowed, anonymous, blocked, too many calls, then others.
Rule 2: An entry of a list is a number in any notation (`receiver.PhoneNumbers`); a range or a mask
        (``1000..1999``, ``+49301234**``); or a prefix (``+49900...``). An ambiguous entry, a number
        or a range (``6555-7777``), is an error, see `receiver.NumberList`.
Rule 3: A file has one entry per line, and ``#`` before comments. It is read again after a change;
        if a line is invalid the old list stays in use, and the log names the line.
Rule 4: Calls are counted, not callbacks, in a sliding window, for at most ``remember`` numbers, by
        each process separately. A refused call counts, too.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from handlers.tables.text_files import read_text
from receiver import (
    Call,
    DeclarationError,
    NumberList,
    PhoneNumbers,
    Reply,
    Then,
    handler_of,
    is_sensitive,
    repeats_of,
)
from receiver.upstream import Reloading, stamp

_MAX_COUNT = 1_000_000


class Screen:
    """A handler that passes callers to ``then`` unless they are screened out.

    ::

        ivr.add("CALLER", "any", Screen(then="repeat", block=["+49900..."]), name="screen")

    Parameters:
        then: reply or handler for accepted callers.
        allow, block: numbers in any notation; ranges or masks (``1000..1999``, ``+49301234**``);
            prefixes (``+49900...``).
        allow_file, block_file: paths of files with more entries.
        others: reply or handler for callers on neither list; the default is ``then``. With it,
            only callers on ``allow`` reach ``then``.
        blocked: reply or handler for blocked callers; the default hangs up.
        anonymous: reply or handler for anonymous callers; the default treats them as others.
        most, within: maximum number of calls of a number in this many seconds; 0 for no limit.
        often: reply or handler above the limit; the default is ``blocked``.
        region: region of numbers, see `receiver.PhoneNumbers`.
        remember: maximum number of counted callers; the least recent is dropped first.
        clock: seconds, monotonic.

    In a file::

        handler = "screen"
        then = "repeat"
        block = ["+49900...", "+4930555****"]
        most = 5

    Raises:
        DeclarationError: an option or an entry is wrong, or a file cannot be read.
    """

    def __init__(
        self,
        then: Then,
        *,
        allow: Sequence[str] = (),
        block: Sequence[str] = (),
        allow_file: str | Path = "",
        block_file: str | Path = "",
        others: Then | None = None,
        blocked: Then = "hangup",
        anonymous: Then | None = None,
        most: int = 0,
        within: float = 600.0,
        often: Then | None = None,
        region: str = "",
        remember: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._then = handler_of(then, "Screen: then")
        self._others = self._then if others is None else handler_of(others, "Screen: others")
        self._blocked = handler_of(blocked, "Screen: blocked")
        self._anonymous = None if anonymous is None else handler_of(anonymous, "Screen: anonymous")
        self._often = self._blocked if often is None else handler_of(often, "Screen: often")
        self._numbers = PhoneNumbers(region)
        self._allow = _Lists("allow", allow, allow_file, self._numbers)
        self._block = _Lists("block", block, block_file, self._numbers)
        self._counter = _counter(most, within, remember) if most else None
        self._clock = clock
        self.sensitive = is_sensitive(
            self._then, self._others, self._blocked, self._anonymous, self._often
        )
        self.repeats = repeats_of(
            self._then, self._others, self._blocked, self._anonymous, self._often
        )

    async def __call__(self, call: Call) -> Reply:
        key = "" if call.anonymous else self._numbers.key(call.caller, call.number_format)
        too_often = (
            bool(key)
            and self._counter is not None
            and self._counter.add(key, call.session_id, self._clock())
        )
        if key and await self._allow.have(call):
            return await self._then(call)
        if not key and self._anonymous is not None:
            return await self._anonymous(call)
        if key and await self._block.have(call):
            return await self._blocked(call)
        return await (self._often if too_often else self._others)(call)


class _Lists:
    """The entries of an option and those of a file."""

    def __init__(
        self, name: str, entries: Sequence[str], file: str | Path, numbers: PhoneNumbers
    ) -> None:
        if isinstance(entries, str) or not isinstance(entries, Sequence):
            raise DeclarationError(f"Screen: {name}= is a list of numbers")
        placed = ((f"Screen: {name}: entry {n}", text) for n, text in enumerate(entries, 1))
        self._numbers = numbers
        self._fixed = NumberList.parse(placed, numbers)
        self._file: Reloading[NumberList] | None = None
        if str(file):
            path = Path(file)
            read = partial(_read, path, numbers)
            self._file = Reloading(str(path), read, partial(stamp, path))

    async def have(self, call: Call) -> bool:
        caller, number_format = call.caller, call.number_format
        if self._fixed.matches(caller, self._numbers, number_format):
            return True
        if self._file is None:
            return False
        return (await self._file(call)).matches(caller, self._numbers, number_format)


def _read(path: Path, numbers: PhoneNumbers) -> NumberList:
    lines = read_text(path).splitlines()
    entries = ((f"{path}:{n}", line.partition("#")[0].strip()) for n, line in enumerate(lines, 1))
    return NumberList.parse((entry for entry in entries if entry[1]), numbers)


def _counter(most: int, within: float, remember: int) -> CallCounter:
    for name, value in (("most", most), ("within", within), ("remember", remember)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise DeclarationError(f"Screen: {name}={value!r} is no number above 0")
    if not (1 <= most <= _MAX_COUNT and 1 <= remember <= _MAX_COUNT):
        raise DeclarationError(f"Screen: most= and remember= are numbers from 1 to {_MAX_COUNT}")
    return CallCounter(int(most), within, int(remember))


class CallCounter:
    """Calls by number in a sliding window of ``within`` seconds."""

    def __init__(self, most: int, within: float, remember: int) -> None:
        self._most = most
        self._within = within
        self._remember = remember
        self._calls: OrderedDict[str, deque[tuple[float, str]]] = OrderedDict()

    def add(self, number: str, session: str, now: float) -> bool:
        """Count a call once; return True if it exceeds the limit."""
        calls = self._calls.setdefault(number, deque(maxlen=self._most + 1))
        self._calls.move_to_end(number)
        if len(self._calls) > self._remember:
            self._calls.popitem(last=False)
        while calls and calls[0][0] <= now - self._within:
            calls.popleft()
        if not session or all(session != counted for _, counted in calls):
            calls.append((now, session))
        return len(calls) > self._most
