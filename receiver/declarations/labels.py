"""Options that each of several PBXs may have, by its label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from receiver.errors import DeclarationError

T = TypeVar("T")


def by_label(
    option: str, given: T | Mapping[str, T] | None, labels: tuple[str, ...]
) -> Mapping[str, T]:
    """Return what was given for each PBX; what was given for all has no label.

    Raises:
        DeclarationError: a mapping has a label of no IVR.
    """
    if not isinstance(given, Mapping):
        return {} if given is None else {"": given}
    if unknown := given.keys() - {"", *labels}:
        raise DeclarationError(
            f"{option} has {min(unknown)!r}, which is the pbx= of no Ivr: there are "
            f"{', '.join(map(repr, labels))}"
        )
    return dict(given)
