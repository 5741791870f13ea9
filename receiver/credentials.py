"""Credentials that are derived instead of stored, and secret strings that are never printed.

Every action URL has separate credentials: an HMAC of the service's one secret over the action's
identity and an epoch. So every worker and every machine that holds the secret agrees, a leak
exposes one route, and a rotation is "accept epochs n and n+1, apply n+1, retire n".

The secret itself makes no key: it is stretched first (scrypt, RFC 7914), once in a process. A nonce
of a 401, which every client gets, lets a guess at the secret be tried offline; stretching lowers
that from 200,000 guesses a second on one core to about 30.

The alphabet is ``a-z2-7``: the PBX's API wants user names and passwords of 6 to 64 characters out
of ``[a-z0-9]``, and this is the one form that every reading of that rule accepts.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache


def problem_of_variable(text: str) -> str:
    """Say what is wrong with the text of a variable, without the text; empty if nothing is.

    A file for ``docker run --env-file`` is no shell: quotes in it become part of the value.
    """
    begin, end = text[:1], text[1:][-1:]
    if (begin in ("'", '"') and begin == end) or begin in tuple("“”„‘’«"):
        return (
            "is in quotes, which are part of its value: docker run --env-file keeps them, so "
            "write it without"
        )
    return ""


class Secret:
    """A string that does not show up in a log, a traceback or an f-string. ::

        assert "abc" not in f"{Secret('abc')}" and Secret("abc").reveal() == "abc"

    ``reveal()`` is the only way to its text, so that each place which shows it can be found.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        return self._text

    @property
    def problem(self) -> str:
        """See `problem_of_variable`."""
        return problem_of_variable(self._text)

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self.octets(), other.octets())

    def octets(self) -> bytes:
        """Its text in UTF-8, for a hash."""
        return self._text.encode("utf-8", "surrogatepass")

    def __hash__(self) -> int:
        return hash((Secret, self._text))


@dataclass(frozen=True, slots=True)
class Credentials:
    """The credentials with which the PBX authenticates, for one action and one epoch.

    Attributes:
        username, password: for basic and digest.
        token: for bearer.
        key: for a header of the action's own (``secret_header=``).
    """

    username: str
    password: Secret
    token: Secret
    key: Secret = Secret("")


@cache  # of the few secrets of the settings: stretching one during a callback would delay it
def stretch(secret: Secret) -> bytes:
    """Return the 32 bytes that all keys are derived from, in about 40 ms and 16 MiB, then cached.

    The salt is a constant: workers and machines have nothing in common but the secret.
    """
    return hashlib.scrypt(
        secret.octets(), salt=b"portsip-receiver", n=2**14, r=8, p=1, maxmem=2**25, dklen=32
    )


def derive_key(secret: Secret, purpose: str, identity: str, epoch: int = 1) -> bytes:
    """32 bytes that only a holder of ``secret`` can compute.

    Parameters:
        secret: the service secret (``RECEIVER_SECRET``).
        purpose: what the key is for; two purposes never share a key.
        identity: what it is bound to, such as ``"8000/pick"``.
        epoch: counts rotations, from 1.
    """
    message = "\x00".join((purpose, identity, str(epoch))).encode()
    return hmac.digest(stretch(secret), message, hashlib.sha256)


def derive(secret: Secret, identity: str, epoch: int = 1) -> Credentials:
    """The credentials of one action; parameters as for `derive_key`."""
    return _credentials(lambda purpose: derive_key(secret, purpose, identity, epoch))


def draw(entropy: Callable[[int], bytes]) -> Credentials:
    """Return random credentials, which are stored and known nowhere.

    Parameters:
        entropy: returns a number of random bytes.
    """
    return _credentials(lambda purpose: entropy(32))


def _credentials(key: Callable[[str], bytes]) -> Credentials:
    def text(purpose: str, length: int) -> str:
        return base64.b32encode(key(purpose)).decode().lower()[:length]

    return Credentials(
        username=text("username", 16),
        password=Secret(text("password", 32)),
        token=Secret(text("token", 48)),
        key=Secret(text("key", 32)),
    )
