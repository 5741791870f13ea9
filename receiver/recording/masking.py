"""Masking of the caller data in a recording.

Rule 1: digits, numbers and names are shown only if the operator allows it, and never for a
        sensitive action. The session id is always replaced by a derived value.
Rule 2: equal texts have equal aliases, an HMAC with a key derived from the service's secret. The
        digits of a sensitive action have no alias: with the secret, all of them could be tried.
Rule 3: a masked text lists the mask entries that it matches, so that a replay can use a placeholder
        that matches the same ones. An entry is named by its index, never by its text: a mask may
        contain a PIN or a person's number.
Rule 4: a destination that shares characters with a masked text may be derived from it, and is
        written as pieces of it.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable
from typing import NamedTuple

from receiver.calls import Call, veil
from receiver.declarations.actions import Action
from receiver.masks import All, Mask
from receiver.recording.format import Destination, EntryMatch, Masked, Piece, Recorded, Text
from receiver.replies import Reply

MAX_FIELD = 256
"""Characters of a field that are recorded; a PBX sends no longer ones."""

MIN_SHARED = 3
"""Shared consecutive characters from which a destination counts as derived from a masked text."""

WITHHELD = frozenset({"", "anonymous", "private", "restricted", "unavailable", "unknown"})
"""The values for numbers and names that the network withholds; they identify no person."""

_ALIAS = 16  # hexadecimal digits


class _ActionMask(NamedTuple):
    """The mask of an action."""

    action: str
    mask: Mask
    shape: str


class _Shown(NamedTuple):
    """The caller data, by the names of `Recorded`."""

    digits: Text
    caller: Text
    caller_name: Text


class Masker:
    """Makes records of callbacks.

    Parameters:
        key: of the aliases.
        actions: all actions of the app; callers' numbers are matched with the masks of ``CALLER``.
        caller_data: whether digits, numbers and names are shown.
    """

    def __init__(self, key: bytes, actions: Iterable[Action], *, caller_data: bool) -> None:
        self._key = key
        self._caller_data = caller_data
        self._sensitive = set[str]()
        self._keys: dict[str, list[_ActionMask]] = {}
        self._numbers: dict[str, list[_ActionMask]] = {}
        for action in actions:
            if action.sensitive:
                self._sensitive.add(action.pbx)
            known = _ActionMask(action.identity, action.mask, shape(action.mask))
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
        """Return the record of one callback; parameters as of `Recorded`."""
        digits, caller, name = (t[:MAX_FIELD] for t in (call.digits, call.caller, call.caller_name))
        shown = self._shown(action, digits, caller, name)
        masked = [key for key, text in shown._asdict().items() if isinstance(text, Masked)]
        destination = express(
            reply.target,
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
            session=self.session(action.pbx, call.session_id),
            ivr=call.ivr[:MAX_FIELD],
            ivr_name=call.ivr_name[:MAX_FIELD],
            matched=action.mask.matches(caller if action.kind == "CALLER" else digits),
            masked=(*masked, *(key for key, is_hidden in hidden if is_hidden)),
            decision=reply.action,
            destination=destination,
            reason=reason,
            seconds=round(seconds, 6),
            handler=round(handler, 6),
            digits=shown.digits,
            caller=shown.caller,
            caller_name=shown.caller_name,
        )

    def session(self, pbx: str, session_id: str) -> str:
        """Return the value that replaces a session id; empty for none."""
        return self._alias("session", ascii((pbx, session_id)), session_id)

    def number(self, pbx: str, number: str) -> str:
        """Return the number of a target, or its length, as where an action is sensitive."""
        shows = self._caller_data and pbx not in self._sensitive
        return number[:MAX_FIELD] if shows else veil(number)

    def _shown(self, action: Action, digits: str, caller: str, name: str) -> _Shown:
        if self._caller_data and not action.sensitive:
            return _Shown(digits, caller, name)
        return _Shown(
            self._digits(action, digits), self._caller(action, caller), self._masked("name", name)
        )

    def _digits(self, action: Action, digits: str) -> Text:
        if action.sensitive and digits:
            return Masked(form(digits))
        return self._masked("digits", digits, self._keys.get(action.identity, ()))

    def _caller(self, action: Action, caller: str) -> Text:
        if caller.lower() in WITHHELD:
            return caller
        return self._masked("caller", caller, self._numbers.get(action.pbx, ()))

    def _masked(self, what: str, text: str, masks: Iterable[_ActionMask] = ()) -> Text:
        if not text:
            return text
        matches = tuple(
            EntryMatch(one.action, index, one.shape)
            for one in masks
            for index, entry in enumerate(one.mask.entries)
            if entry.matches(text)
        )
        return Masked(form(text), self._alias(what, text, text), matches)

    def _alias(self, what: str, text: str, given: str) -> str:
        if not given:
            return ""
        message = f"{what}\0{text}".encode("utf-8", "surrogatepass")
        return hmac.digest(self._key, message, "sha256").hex()[:_ALIAS]


def form(text: str) -> str:
    """Return the kinds of the characters of ``text``, see `Masked`."""
    return "".join("d" if c.isascii() and c.isdigit() else c if c in "+*#" else "a" for c in text)


def shape(mask: Mask) -> str:
    """Return a hash of a mask without its digits; masks with different shapes are different."""
    kinds = (
        "ALL" if isinstance(entry, All) else f"{type(entry).__name__}{len(str(entry))}"
        for entry in mask.entries
    )
    return hashlib.sha256(" ".join(kinds).encode()).hexdigest()[:8]


def express(destination: str, digits: str, caller: str) -> Destination:
    """Return ``destination`` as pieces of what it may be derived from, or unchanged."""
    sources = (("digits", bare(digits)), ("caller", bare(caller)))
    found = [(_common(destination, text), of, text) for of, text in sources if text]
    (at, start, size), of, text = max(found, default=((0, 0, 0), "", ""), key=lambda f: f[0][2])
    whole = size == len(text) and (size > 1 or destination == text)
    if not size or not (size >= MIN_SHARED or whole):
        return destination
    piece = Piece("digits" if of == "digits" else "caller", start, start + size)
    # The rest on either side may share characters with the other source.
    before = express(destination[:at], digits, caller)
    after = express(destination[at + size :], digits, caller)
    return tuple(
        part
        for one in (before, (piece,), after)
        for part in ((one,) if isinstance(one, str) else one)
        if part
    )


def bare(number: str) -> str:
    """Return ``number`` without a leading plus, which a destination may have or not."""
    return number.removeprefix("+")


def _common(destination: str, text: str) -> tuple[int, int, int]:
    """Return the longest common substring: its index in each, and its length."""
    for size in range(min(len(destination), len(text)), 0, -1):
        for start in range(len(text) - size + 1):
            if (at := destination.find(text[start : start + size])) >= 0:
                return at, start, size
    return 0, 0, 0
