"""A field of a PBX resource whose actual value differs from the desired one."""

from __future__ import annotations

from dataclasses import dataclass

UNREADABLE = "(hidden by the PBX)"
"""Shown for a credential that the PBX does not return in clear text."""

Value = str | int | bool
"""The value of a field, for programs; ``""`` for none."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A field whose actual value is not the desired one; texts are printable, secrets masked."""

    field: str
    before: Value
    after: Value

    def __str__(self) -> str:
        return f"{self.field}: {in_words(self.before)} → {in_words(self.after)}"


def in_words(value: Value) -> str:
    """Return ``value`` as text."""
    if isinstance(value, bool):
        return ("no", "yes")[value]
    return str(value) or "(none)"
