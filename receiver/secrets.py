"""Credentials that are computed instead of stored, and strings that never print themselves.

Every action URL has credentials of its own: an HMAC of the service's one secret over the action's
identity and an epoch. So every worker and every machine that holds the secret agrees, a leak
exposes one route, and a rotation is "accept epochs n and n+1, apply n+1, retire n".

The alphabet is ``a-z2-7``: the PBX's API wants user names and passwords of 6 to 64 characters out
of ``[a-z0-9]``, and this is the one form that every reading of that rule accepts.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass

MINIMUM = 16
"""Fewest characters of a service secret."""


class Secret:
    """A string that does not show up in a log, a traceback or an f-string.

    ``reveal()`` is the only way to its text, so that each place which shows it can be found.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._octets(), other._octets())

    def _octets(self) -> bytes:
        return self._text.encode("utf-8", "surrogatepass")

    def __hash__(self) -> int:
        return hash((Secret, self._text))


@dataclass(frozen=True, slots=True)
class Credentials:
    """What the PBX is given to authenticate with, for one action and one epoch.

    Attributes:
        username, password: for basic and digest.
        token: for bearer.
        key: for a header of the action's own (``secret_header=``).
    """

    username: str
    password: Secret
    token: Secret
    key: Secret = Secret("")


def derive_key(secret: Secret, purpose: str, identity: str, epoch: int = 1) -> bytes:
    """32 bytes that only a holder of ``secret`` can compute.

    Parameters:
        secret: the service secret (``RECEIVER_SECRET``).
        purpose: what the key is for; two purposes never share a key.
        identity: what it is bound to, such as ``"8000/pick"``.
        epoch: counts rotations, from 1.
    """
    message = "\x00".join((purpose, identity, str(epoch))).encode()
    return hmac.digest(secret.reveal().encode(), message, hashlib.sha256)


def derive(secret: Secret, identity: str, epoch: int = 1) -> Credentials:
    """The credentials of one action; parameters as for `derive_key`."""

    def text(purpose: str, length: int) -> str:
        key = derive_key(secret, purpose, identity, epoch)
        return base64.b32encode(key).decode().lower()[:length]

    return Credentials(
        username=text("username", 16),
        password=Secret(text("password", 32)),
        token=Secret(text("token", 48)),
        key=Secret(text("key", 32)),
    )
