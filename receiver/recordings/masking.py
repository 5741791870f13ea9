"""What a recording shows of a callback, and what stands there in place of the rest.

Rule 1: digits, numbers and names are shown only if the operator says so, and those of a sensitive
        action never. The session never is: a word derived from it tells calls apart.
Rule 2: the same text has the same alias, an HMAC with a key that the service's secret gives. The
        digits of a sensitive action have none: who knows the secret could try all of them.
Rule 3: a masked text is told by the entries of the match lists that it matches, so that a stand-in
        can lead the same way. An entry is named by its place, never by its text: a list may spell
        out a PIN, or the number of a person.
Rule 4: a destination that has something in common with what is masked may have been made of it, and
        is told in terms of it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import NamedTuple

from receiver.actions import Action
from receiver.calls import Call
from receiver.masks import All, Mask
from receiver.recordings.lines import Destination, Like, Piece, Recorded, Text, Veiled
from receiver.replies import Forward, Reply
from receiver.telemetry.records import DECISIONS

LONGEST = 256
"""Characters of a field that are recorded; a PBX sends no longer ones."""

IN_COMMON = 3
"""Characters in a row that a destination shares with a masked text only if it was made of it."""

WITHHELD = frozenset({"", "anonymous", "private", "restricted", "unavailable", "unknown"})
"""What stands in place of a number or a name that the network does not tell; it is no one's."""

_ALIAS = 16  # hexadecimal digits


class _List(NamedTuple):
    """The match list of an action."""

    action: str
    mask: Mask
    shape: str


class _Shown(NamedTuple):
    """What is shown of the caller; by the names of `Recorded`."""

    digits: Text
    caller: Text
    caller_name: Text


class Masker:
    """Makes records of callbacks.

    Parameters:
        key: what aliases are made with.
        actions: all actions of the app: the match lists of ``CALLER`` tell numbers apart.
        caller_data: whether digits, numbers and names are shown.
    """

    def __init__(self, key: bytes, actions: Iterable[Action], *, caller_data: bool) -> None:
        self._key = key
        self._caller_data = caller_data
        self._keys: dict[str, list[_List]] = {}
        self._numbers: dict[str, list[_List]] = {}
        for action in actions:
            known = _List(action.identity, action.mask, shape(action.mask))
            if action.kind == "CALLER":
                self._numbers.setdefault(action.pbx, []).append(known)
            else:
                self._keys[action.identity] = [known]

    def record(
        self,
        action: Action,
        call: Call,
        reply: Reply,
        reason: str,
        *,
        time: str,
        seconds: float,
        handler: float,
    ) -> Recorded:
        """The record of one callback; parameters as for `Recorded`."""
        digits, caller, name = (t[:LONGEST] for t in (call.digits, call.caller, call.caller_name))
        shown = self._shown(action, digits, caller, name)
        masked = [key for key, text in shown._asdict().items() if isinstance(text, Veiled)]
        destination = express(
            reply.destination if isinstance(reply, Forward) else "",
            digits if "digits" in masked else "",
            caller if "caller" in masked else "",
        )
        hidden = (("session_id", call.session_id), ("destination", isinstance(destination, tuple)))
        return Recorded(
            time=time,
            action=action.identity,
            pbx=action.pbx,
            kind=action.kind,
            method=action.method,
            session=self._alias("session", ascii((action.pbx, call.session_id)), call.session_id),
            ivr=call.ivr[:LONGEST],
            ivr_name=call.ivr_name[:LONGEST],
            matched=action.mask.matches(caller if action.kind == "CALLER" else digits),
            masked=(*masked, *(key for key, there in hidden if there)),
            decision=DECISIONS[type(reply)],  # type: ignore[arg-type]  # one of its three words
            destination=destination,
            reason=reason,
            seconds=round(seconds, 6),
            handler=round(handler, 6),
            digits=shown.digits,
            caller=shown.caller,
            caller_name=shown.caller_name,
        )

    def _shown(self, action: Action, digits: str, caller: str, name: str) -> _Shown:
        if self._caller_data and not action.sensitive:
            return _Shown(digits, caller, name)
        return _Shown(
            self._digits(action, digits), self._caller(action, caller), self._veil("name", name)
        )

    def _digits(self, action: Action, digits: str) -> Text:
        if action.sensitive and digits:
            return Veiled(form(digits))
        return self._veil("digits", digits, self._keys.get(action.identity, ()))

    def _caller(self, action: Action, caller: str) -> Text:
        if caller.lower() in WITHHELD:
            return caller
        return self._veil("caller", caller, self._numbers.get(action.pbx, ()))

    def _veil(self, what: str, text: str, lists: Iterable[_List] = ()) -> Text:
        if not text:
            return text
        like = tuple(
            Like(one.action, place, one.shape)
            for one in lists
            for place, entry in enumerate(one.mask.entries)
            if entry.matches(text)
        )
        return Veiled(form(text), self._alias(what, text, text), like)

    def _alias(self, what: str, text: str, given: str) -> str:
        if not given:
            return ""
        message = f"{what}\0{text}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, message, "sha256").hex()[:_ALIAS]


def form(text: str) -> str:
    """What kinds of characters ``text`` has, see `Veiled`."""
    return "".join("d" if c.isascii() and c.isdigit() else c if c in "+*#" else "a" for c in text)


def shape(mask: Mask) -> str:
    """What a match list looks like without its digits: lists that differ in it are others."""
    kinds = (
        "ALL" if isinstance(entry, All) else f"{type(entry).__name__}{len(str(entry))}"
        for entry in mask.entries
    )
    return hashlib.sha256(" ".join(kinds).encode()).hexdigest()[:8]


def express(destination: str, digits: str, caller: str) -> Destination:
    """``destination`` in terms of what it may be made of, or as it is."""
    sources = (("digits", bare(digits)), ("caller", bare(caller)))
    found = [(_common(destination, text), of, text) for of, text in sources if text]
    (at, start, size), of, text = max(found, default=((0, 0, 0), "", ""), key=lambda f: f[0][2])
    whole = size == len(text) and (size > 1 or destination == text)
    if not size or not (size >= IN_COMMON or whole):
        return destination
    piece = Piece("digits" if of == "digits" else "caller", start, start + size)
    # What is left on either side may share something with the other, too.
    before = express(destination[:at], digits, caller)
    after = express(destination[at + size :], digits, caller)
    return tuple(
        part
        for one in (before, (piece,), after)
        for part in ((one,) if isinstance(one, str) else one)
        if part
    )


def bare(number: str) -> str:
    """``number`` without the plus in front, which a destination may have or not."""
    return number.removeprefix("+")


def _common(destination: str, text: str) -> tuple[int, int, int]:
    """The longest run of characters that both have: where it is in each, and how long."""
    for size in range(min(len(destination), len(text)), 0, -1):
        for start in range(len(text) - size + 1):
            if (at := destination.find(text[start : start + size])) >= 0:
                return at, start, size
    return 0, 0, 0
