"""Decide which action URLs on a PBX this installation manages.

Rule 1: an action URL that points to this service (`receiver.registration.urls`) is managed. With
        the owner mark of another ``RECEIVER_SECRET`` and without a declaration it is left alone.
Rule 2: one that has the owner mark of this installation and points to another public URL was
        registered there with this secret: before the service moved, or by another installation
        that shares the secret. Which of them cannot be known, so it is managed only if the former
        public URL is given.
Rule 3: if the mark is missing or cannot be read (a PBX may hide or drop headers), the URL alone
        decides.
Rule 4: the mark is not secret. There is one for each PBX, and a rotation of the credentials keeps
        it.

Pure.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import dataclass

from receiver.credentials import Secret, derive_key
from receiver.pbx.models import ActionUrl
from receiver.registration.urls import Target, parse, target

OWNER = "Receiver-Owner"
"""The header of an action URL that holds the mark."""

_MARK = re.compile("[a-z2-7]{16}")


def owner_mark(secret: Secret, pbx: str = "") -> str:
    """Return the mark of the installations that hold ``secret``, on the PBX with label ``pbx``."""
    return base64.b32encode(derive_key(secret, "owner", pbx)).decode().lower()[:16]


def mark_of(headers: str) -> str:
    """Return the owner mark among the ``headers`` of an action URL; empty if none can be read."""
    marks = (value for name, value in pairs(headers) if name.lower() == OWNER.lower())
    return next((value for value in marks if _MARK.fullmatch(value)), "")


def without_mark(headers: str) -> str:
    """Return ``headers`` without an owner mark, readable or not."""
    kept = (f"{name}:{value}" for name, value in pairs(headers) if name.lower() != OWNER.lower())
    return "&".join(kept)


def pairs(headers: str) -> Iterator[tuple[str, str]]:
    """Yield name and value of each header in ``key1:value1&key2:value2``."""
    for pair in headers.split("&"):
        if pair.strip():
            name, _, value = pair.partition(":")
            yield name.strip(), value.strip()


@dataclass(frozen=True, slots=True)
class Ownership:
    """The owner of action URLs, as seen by one installation on one PBX.

    Attributes:
        base: the public URL of the service.
        pbx: the label of the PBX.
        mark: the `owner_mark` of this installation; empty compares URLs alone.
        former: the public URL that the service had before; empty if it has not moved.
    """

    base: str
    pbx: str = ""
    mark: str = ""
    former: str = ""

    def owns(self, item: ActionUrl) -> bool:
        """Return whether ``item`` is managed, by rules 1 and 2."""
        found = target(item.url, self.pbx)
        if found is None:
            return False
        if found.base == parse(self.base):
            return True
        return (
            bool(self.former) and found.base == parse(self.former) and not self.has_other_mark(item)
        )

    def has_other_mark(self, item: ActionUrl) -> bool:
        """Return whether ``item`` has the mark of another secret."""
        return bool(self.mark) and mark_of(item.headers) not in ("", self.mark)

    def moved(self, item: ActionUrl) -> bool:
        """Return whether ``item`` has the owner mark and is unmanaged: it points elsewhere."""
        marked = bool(self.mark) and mark_of(item.headers) == self.mark
        return marked and not self.owns(item)

    def leads_to(self, item: ActionUrl) -> Target | None:
        """Return the action that ``item`` leads to, at any public URL."""
        return target(item.url, self.pbx)
