"""Who gets through: lists of numbers, callers without one, and too many calls from one number.

::

    Screen(then=crm, block=["+49900...", "+4930123456"], block_file="blocked.txt",
           anonymous=Forward("8001"), most=5, within=600)

Rule 1: the first that holds counts: allowed, anonymous, blocked, too often, then the others.
Rule 2: an entry of a list is a number, compared however it is written (`receiver.Numbering`); a
        range or a mask (``1000-1999``, ``+49301234**``); or a beginning (``+49900...``).
Rule 3: a file has one entry a line, and ``#`` before remarks. It is read again when it has changed;
        with a line that is none the old list stays in use, and the log names the line.
Rule 4: calls are counted, not callbacks, over a window that slides; of at most ``remember``
        numbers, by each process for itself. A call that is turned away counts too.
"""

from __future__ import annotations

import re
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from receiver import (
    Call,
    DeclarationError,
    Mask,
    MaskError,
    Numbering,
    Reply,
    Then,
    handler_of,
    is_sensitive,
)
from receiver.upstream import Reloading, stamp

_BEGINNING = re.compile(r"([+(]*[0-9][0-9 ()./]*)\.\.\.")
_NUMBER = re.compile(r"[+(]*[0-9][0-9 ()./]*")  # with a - it would be a range
_MOST = 1_000_000


class Screen:
    """A handler that lets callers through to ``then``.

    Parameters:
        then: where callers lead that nothing speaks against.
        allow, block: entries, see above.
        allow_file, block_file: paths of files with more of them.
        others: where callers lead that are on neither list, if not to ``then``: so only those on
            ``allow`` get there.
        blocked: where callers lead that are blocked; by default the call ends.
        anonymous: where callers without a number lead; by default they count as others.
        most, within: how many calls a number may make within so many seconds; 0 for any number.
        often: where calls lead that are too many; by default as ``blocked``.
        region: see `receiver.Numbering`.
        remember: of how many numbers calls are counted; the one idle for longest is forgotten.
        clock: in seconds, for tests.

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
        numbering = Numbering(region)
        self._key = numbering.key
        self._allow = _Lists("allow", allow, allow_file, numbering)
        self._block = _Lists("block", block, block_file, numbering)
        self._visits = _visits(most, within, remember) if most else None
        self._clock = clock
        self.sensitive = is_sensitive(
            self._then, self._others, self._blocked, self._anonymous, self._often
        )

    async def __call__(self, call: Call) -> Reply:
        key = self._key(call.caller)
        too_often = (
            bool(key)
            and self._visits is not None
            and self._visits.add(key, call.session_id, self._clock())
        )
        if key and await self._allow.have(call, key):
            return await self._then(call)
        if not key and self._anonymous is not None:
            return await self._anonymous(call)
        if key and await self._block.have(call, key):
            return await self._blocked(call)
        return await (self._often if too_often else self._others)(call)


@dataclass(frozen=True, slots=True)
class _Entries:
    """What a list holds, as it is looked up."""

    numbers: frozenset[str]
    beginnings: tuple[str, ...]
    masks: tuple[Mask, ...]

    def match(self, key: str, forms: tuple[str, ...]) -> bool:
        return key in self.numbers or any(
            form.startswith(self.beginnings) or any(mask.matches(form) for mask in self.masks)
            for form in forms
        )


class _Lists:
    """The entries of an option and those of a file."""

    def __init__(
        self, name: str, entries: Sequence[str], file: str | Path, numbering: Numbering
    ) -> None:
        if isinstance(entries, str) or not isinstance(entries, Sequence):
            raise DeclarationError(f"Screen: {name}= is a list of numbers")
        placed = ((f"Screen: {name}: entry {n}", text) for n, text in enumerate(entries, 1))
        self._fixed = _parse(placed, numbering)
        self._file: Reloading[_Entries] | None = None
        if str(file):
            path = Path(file)
            read = partial(_read, path, numbering)
            self._file = Reloading(str(path), read, partial(stamp, path))
        self._forms = numbering.forms

    async def have(self, call: Call, key: str) -> bool:
        forms = self._forms(call.caller)
        if self._fixed.match(key, forms):
            return True
        return self._file is not None and (await self._file(call)).match(key, forms)


def _read(path: Path, numbering: Numbering) -> _Entries:
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except OSError as error:
        raise DeclarationError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DeclarationError(f"{path} is not text in UTF-8") from None
    entries = ((f"{path}:{n}", line.partition("#")[0].strip()) for n, line in enumerate(lines, 1))
    return _parse((entry for entry in entries if entry[1]), numbering)


def _parse(entries: Iterable[tuple[str, str]], numbering: Numbering) -> _Entries:
    numbers, beginnings, masks = set[str](), list[str](), list[Mask]()
    for where, text in entries:
        try:
            if not isinstance(text, str):
                raise MaskError("no text")
            if begins := _BEGINNING.fullmatch(text):
                beginnings.append(_beginning(begins[1]))
            elif _NUMBER.fullmatch(text):
                numbers.add(numbering.key(text))
            else:
                masks.append(Mask.parse(text))
        except MaskError:
            raise DeclarationError(
                "an entry is a number, a range, a mask, or a beginning such as +49900...", where
            ) from None
    return _Entries(frozenset(numbers), tuple(beginnings), tuple(masks))


def _beginning(text: str) -> str:
    """As the forms of a number begin: without punctuation, and with + for an international 00."""
    return re.sub("^00(?=[1-9])", "+", re.sub("[^0-9+]", "", text))


def _visits(most: int, within: float, remember: int) -> Visits:
    for name, value in (("most", most), ("within", within), ("remember", remember)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise DeclarationError(f"Screen: {name}={value!r} is no number above 0")
    if not (1 <= most <= _MOST and 1 <= remember <= _MOST):
        raise DeclarationError(f"Screen: most= and remember= are numbers from 1 to {_MOST}")
    return Visits(int(most), within, int(remember))


class Visits:
    """Who called when, over a window of ``within`` seconds."""

    def __init__(self, most: int, within: float, remember: int) -> None:
        self._most = most
        self._within = within
        self._remember = remember
        self._calls: OrderedDict[str, deque[tuple[float, str]]] = OrderedDict()

    def add(self, who: str, session: str, now: float) -> bool:
        """Count a call, unless it was counted; True if there were ``most`` of them before it."""
        calls = self._calls.setdefault(who, deque(maxlen=self._most + 1))
        self._calls.move_to_end(who)
        if len(self._calls) > self._remember:
            self._calls.popitem(last=False)
        while calls and calls[0][0] <= now - self._within:
            calls.popleft()
        if not session or all(session != counted for _, counted in calls):
            calls.append((now, session))
        return len(calls) > self._most
