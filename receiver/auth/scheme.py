"""What a scheme is asked and what it answers.

Rule 1: a scheme fails closed: whatever it cannot read, it refuses.
Rule 2: an unknown user, a wrong password and a missing credential look the same from outside.
Rule 3: what was used before is known to a store that workers share, not to a scheme: what may be
        used only once is handed on with the verdict.
Rule 4: ``reason`` is for the log and holds nothing that was sent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from msgspec import Struct

REALM = "callbacks"
"""Plain letters: quotes, commas or other scripts in a realm break more than a dozen clients."""


NO_CREDENTIALS = "no credentials"
"""The reason given to a first try without any, which is how digest begins."""

OTHER_CREDENTIALS = "other credentials"
"""The reason given to those of another scheme."""

WRONG_PASSWORD = "wrong user name or password"  # noqa: S105 - a phrase for the log


class Asked(Struct, frozen=True):
    """What a scheme needs to know of a request.

    Attributes:
        method: ``GET`` or ``POST``.
        target: the request target as it was sent, path and query, percent-encoding untouched.
        authorization: every ``Authorization`` header of the request.
        public_path: the path of the URL that the PBX has, which a proxy may have shortened before
            the request came here.
        keys: every header with the name that the action keeps for a secret of its own.
    """

    method: str
    target: str
    authorization: tuple[str, ...] = ()
    public_path: str = ""
    keys: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Asked({self.method!r})"  # all else may hold credentials, or what was keyed in


@dataclass(frozen=True, slots=True)
class Refused:
    """Send it away.

    Attributes:
        reason: one phrase for the log.
        challenges: the values of ``WWW-Authenticate``; none with status 400 and 403.
        status: 401; 400 where the header cannot be read at all, 403 where no scheme is asked for.
        wrong: credentials were tried and are wrong, which counts against their sender.
        stale: they were right, but for what may be used once.
    """

    reason: str
    challenges: tuple[str, ...] = ()
    status: int = 401
    wrong: bool = False
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Once:
    """What may be used only once: a count of a nonce.

    Attributes:
        nonce, count: what is used up.
        made: when the nonce was made, in seconds since the epoch.
    """

    nonce: str
    count: int
    made: float


@dataclass(frozen=True, slots=True)
class Accepted:
    """Let it in; if there is a ``once``, only after it was used up."""

    once: Once | None = None


ACCEPTED = Accepted()
"""The verdict that needs nothing further."""

Verdict = Accepted | Refused


class Scheme(Protocol):
    """One way to authenticate."""

    def check(self, asked: Asked, now: float) -> Verdict:
        """Judge a request at ``now`` (seconds since the epoch)."""
        ...

    def refuse(self, reason: str, now: float, *, stale: bool = False) -> Refused:
        """The verdict on wrong credentials, whatever else was right.

        Parameters:
            stale: the credentials were right, only what may be used once was used before.
        """
        ...


class Open:
    """No authentication: for actions that say ``auth=None``."""

    def check(self, asked: Asked, now: float) -> Verdict:
        return ACCEPTED

    def refuse(self, reason: str, now: float, *, stale: bool = False) -> Refused:
        return Refused(reason, status=403, wrong=not stale)


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
