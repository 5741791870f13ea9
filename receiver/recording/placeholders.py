"""Placeholders for masked texts when a call is replayed.

Rule 1: an alias has one placeholder, which matches the same mask entries as the text did. Different
        aliases have different placeholders, as far as the entry allows.
Rule 2: without a placeholder there is no replay: if a mask has another shape now, results could not
        be compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import assert_never

from receiver.declarations.actions import Action, by_identity
from receiver.mask_entries import All, Entry, Exact, Pattern, Range
from receiver.recording.format import Destination, EntryMatch, Masked, Recorded, Text
from receiver.recording.masking import bare, shape

_TRIES = 50
_DIGITS, _LETTERS = "0123456789", "abcdefghij"


class Placeholders:
    """Placeholders for the caller data of one recording.

    Parameters:
        actions: the declarations of today.
    """

    def __init__(self, actions: Iterable[Action]) -> None:
        self._actions = by_identity(actions)
        self._shapes = {key: shape(action.mask) for key, action in self._actions.items()}
        self._known: dict[tuple[str, str], str] = {}
        self._taken: set[tuple[str, str]] = set()

    def digits(self, record: Recorded) -> str | None:
        """Return the digits or their placeholder; None if the mask has changed."""
        text = record.digits
        if isinstance(text, Masked) and not text.alias:  # of a sensitive action
            return self._any(record.action, text.form)
        return self._text("digits", text)

    def caller(self, record: Recorded) -> str | None:
        """Return the caller's number or its placeholder; None if a mask has changed."""
        return self._text("caller", record.caller)

    def name(self, record: Recorded) -> str:
        """Return the caller's name or its placeholder."""
        text = record.caller_name
        return text if isinstance(text, str) else f"Caller {text.alias[:6]}"

    def used(self, record: Recorded) -> tuple[str, ...]:
        """Return the names of the fields, ``digits`` and ``caller``, that are placeholders.

        A masked text that matches an entry with one number is that number.
        """
        fields = (("digits", record.digits), ("caller", record.caller))
        return tuple(
            name
            for name, text in fields
            if isinstance(text, Masked)
            and not any(isinstance(self._entry(match), Exact) for match in text.matches)
        )

    def _text(self, what: str, text: Text) -> str | None:
        if isinstance(text, str):
            return text
        key = what, text.alias
        if key not in self._known:
            entries = [self._entry(match) for match in text.matches]
            if None in entries:
                return None
            made = self._make(what, text, [entry for entry in entries if entry is not None])
            self._known[key] = made
            self._taken.add((what, made))
        return self._known[key]

    def _make(self, what: str, text: Masked, entries: list[Entry]) -> str:
        """Return a placeholder that all entries match and no other alias has, if possible."""
        first = entries[0] if entries else All()
        made = [sample(first, text, number) for number in range(_TRIES)]
        good = [one for one in made if all(entry.matches(one) for entry in entries)] or made
        return next((one for one in good if (what, one) not in self._taken), good[0])

    def _entry(self, match: EntryMatch) -> Entry | None:
        if self._shapes.get(match.action) != match.shape:
            return None
        entries = self._actions[match.action].mask.entries
        return entries[match.entry] if match.entry < len(entries) else None

    def _any(self, identity: str, form: str) -> str:
        """Return a text of this form that the action's mask matches, if possible."""
        entries = self._actions[identity].mask.entries if identity in self._actions else ()
        made = [sample(entry, Masked(form), 0) for entry in entries]
        return next((one for one in made if len(one) == len(form)), form.replace("d", "0"))


def sample(entry: Entry, text: Masked, number: int) -> str:
    """Return a text that ``entry`` matches, with the form of ``text`` if the entry allows it.

    Parameters:
        entry: a mask entry.
        text: the masked text.
        number: selects one of several.
    """
    seed = int.from_bytes(hashlib.sha256(f"{text.alias}/{number}".encode()).digest(), "big")
    match entry:
        case Exact(number_itself):
            return number_itself
        case Range(low, high):
            plus = "+" if low.startswith("+") else ""
            first, last = int(bare(low)), int(bare(high))
            return f"{plus}{first + seed % (last - first + 1):0{len(bare(low))}d}"
        case Pattern(pattern):
            return _fill(pattern, {"*": _DIGITS}, seed)
        case All():
            return _fill(text.form, {"d": _DIGITS, "a": _LETTERS}, seed)
        case _:
            assert_never(entry)


def _fill(pattern: str, signs: dict[str, str], seed: int) -> str:
    """Return ``pattern`` with each key of ``signs`` replaced, by the digits of ``seed``."""
    made = ""
    for place, sign in enumerate(pattern):
        made += signs[sign][seed // 10 ** (place % 70) % 10] if sign in signs else sign
    return made


def resolve(destination: Destination, digits: str, caller: str) -> str:
    """Return a recorded destination, with its pieces taken from the placeholders."""
    if isinstance(destination, str):
        return destination
    sources = {"digits": bare(digits), "caller": bare(caller)}
    return "".join(
        part if isinstance(part, str) else sources[part.of][part.start : part.stop]
        for part in destination
    )
