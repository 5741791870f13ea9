"""What a scheme is asked and what it answers.

Rule 1: a scheme fails closed: whatever it cannot read, it refuses.
Rule 2: an unknown user, a wrong password and a missing credential look the same from outside.
Rule 3: ``reason`` is for the log and holds nothing that was sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

REALM = "callbacks"
"""Plain letters: quotes, commas or other scripts in a realm break more than a dozen clients."""


NO_CREDENTIALS = "no credentials"
"""The reason given to a first try without any, which is how digest begins."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a scheme needs to know of a request.

    Attributes:
        method: ``GET`` or ``POST``.
        target: the request target as it was sent, path and query, percent-encoding untouched.
        authorization: every ``Authorization`` header of the request.
    """

    method: str
    target: str
    authorization: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Accepted:
    """Let it in."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Send it away.

    Attributes:
        reason: one phrase for the log.
        challenge: the value of ``WWW-Authenticate``; empty with status 400.
        status: 401, or 400 where the header cannot be read at all.
    """

    reason: str
    challenge: str = ""
    status: int = 401


Verdict = Accepted | Refused


class Scheme(Protocol):
    """One way to authenticate."""

    def check(self, asked: Asked, now: float) -> Verdict:
        """Judge a request at ``now`` (seconds since the epoch)."""
        ...


class Open:
    """No authentication: for actions that say ``auth=None``."""

    def check(self, asked: Asked, now: float) -> Verdict:
        return Accepted()


def split_authorization(asked: Asked) -> tuple[str, str] | Refused:
    """The scheme's name in lower case, and the rest of the header.

    Both are empty if there is no such header. Two of them are refused with 400: which one a proxy
    in front of us looked at cannot be known.
    """
    if not asked.authorization:
        return "", ""
    if len(asked.authorization) > 1:
        return Refused("more than one Authorization header", status=400)
    name, _, rest = asked.authorization[0].strip(" \t").partition(" ")
    return name.lower(), rest.strip(" \t")
