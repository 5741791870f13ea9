"""What stands in for a masked text when its call is made again.

Rule 1: the same alias has the same stand-in, which matches the same entries of the match lists, as
        they are today. Two aliases have two, as far as the entry has room.
Rule 2: where a match list has another shape now, there is none: who goes on guessing compares what
        cannot be compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import assert_never

from receiver.actions import Action
from receiver.entries import All, Entry, Exact, Pattern, Range
from receiver.recordings.lines import Destination, Like, Recorded, Text, Veiled
from receiver.recordings.masking import bare, shape

_TRIES = 50
_DIGITS, _LETTERS = "0123456789", "abcdefghij"


class StandIns:
    """Stand-ins for the callers of one recording.

    Parameters:
        actions: what is declared today.
    """

    def __init__(self, actions: Iterable[Action]) -> None:
        self._actions = {action.identity: action for action in actions}
        self._shapes = {key: shape(action.mask) for key, action in self._actions.items()}
        self._known: dict[tuple[str, str], str] = {}
        self._taken: set[tuple[str, str]] = set()

    def digits(self, record: Recorded) -> str | None:
        """What was keyed in, or what stands in for it; None if the match list is another now."""
        text = record.digits
        if isinstance(text, Veiled) and not text.alias:  # of a sensitive action
            return self._any(record.action, text.form)
        return self._text("digits", text)

    def caller(self, record: Recorded) -> str | None:
        """The same for the number of the caller."""
        return self._text("caller", record.caller)

    def name(self, record: Recorded) -> str:
        """The same for his name."""
        text = record.caller_name
        return text if isinstance(text, str) else f"Caller {text.alias[:6]}"

    def made_up(self, record: Recorded) -> tuple[str, ...]:
        """Which of ``digits`` and ``caller`` are not what they were.

        A masked text that an entry of a list spells out is what it was.
        """
        fields = (("digits", record.digits), ("caller", record.caller))
        return tuple(
            name
            for name, text in fields
            if isinstance(text, Veiled)
            and not any(isinstance(self._entry(like), Exact) for like in text.like)
        )

    def _text(self, what: str, text: Text) -> str | None:
        if isinstance(text, str):
            return text
        key = what, text.alias
        if key not in self._known:
            entries = [self._entry(like) for like in text.like]
            if None in entries:
                return None
            made = self._make(what, text, [entry for entry in entries if entry is not None])
            self._known[key] = made
            self._taken.add((what, made))
        return self._known[key]

    def _make(self, what: str, text: Veiled, entries: list[Entry]) -> str:
        """The best of some: of those that all entries match, one that is not taken."""
        first = entries[0] if entries else All()
        made = [sample(first, text, number) for number in range(_TRIES)]
        good = [one for one in made if all(entry.matches(one) for entry in entries)] or made
        return next((one for one in good if (what, one) not in self._taken), good[0])

    def _entry(self, like: Like) -> Entry | None:
        if self._shapes.get(like.action) != like.shape:
            return None
        entries = self._actions[like.action].mask.entries
        return entries[like.entry] if like.entry < len(entries) else None

    def _any(self, identity: str, form: str) -> str:
        """Something of this form that the action's list matches, if there is such a thing."""
        entries = self._actions[identity].mask.entries if identity in self._actions else ()
        made = [sample(entry, Veiled(form), 0) for entry in entries]
        return next((one for one in made if len(one) == len(form)), form.replace("d", "0"))


def sample(entry: Entry, text: Veiled, number: int) -> str:
    """Something that ``entry`` matches and that is of the form of ``text``.

    Parameters:
        number: gives another one, where there is one.
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
    """``pattern`` with, for each key of ``signs``, one of its signs by the digits of ``seed``."""
    made = ""
    for place, sign in enumerate(pattern):
        made += signs[sign][seed // 10 ** (place % 70) % 10] if sign in signs else sign
    return made


def resolve(destination: Destination, digits: str, caller: str) -> str:
    """The destination that was recorded, with stand-ins where it was made of what is masked."""
    if isinstance(destination, str):
        return destination
    sources = {"digits": bare(digits), "caller": bare(caller)}
    return "".join(
        part if isinstance(part, str) else sources[part.of][part.start : part.stop]
        for part in destination
    )
