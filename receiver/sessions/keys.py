"""Under which name a call is remembered, and for how long.

Rule 1: the name is a keyed hash (BLAKE2, RFC 7693, which takes a fifth of an HMAC's time), so that
        no file, no Redis and no log holds a caller's number in it, and whatever the PBX sends it
        is short and plain.
Rule 2: callers who cannot be told apart share nothing: without a ``session_id`` and without a
        number there is no key.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b
from typing import NamedTuple

from receiver.secrets import Secret, derive_key

LIFE = 3600.0
"""Seconds since its last callback for which a call is remembered."""

SHORT_LIFE = 60.0
"""The same where only caller and IVR tell it: the next call from there must find nothing."""


class Key(NamedTuple):
    """What a session is found by.

    Attributes:
        name: short, of hexadecimal digits.
        life: seconds since the last use for which it is kept.
    """

    name: str
    life: float = LIFE


def key_of(
    session_id: str, caller: str, ivr: str, pbx: str, *, secret: Secret, life: float = LIFE
) -> Key | None:
    """The key of a call; None if nothing tells it from others.

    Parameters:
        session_id, caller, ivr: of the `Call`, whatever they hold.
        pbx: the label of the PBX; session ids of two are strangers.
        secret: the service secret, which all workers have in common.
        life: seconds, where there is a ``session_id``.
    """
    if session_id:
        return _key(secret, ["s", pbx, session_id], life)
    if caller:
        return _key(secret, ["c", pbx, ivr, caller], SHORT_LIFE)
    return None


def _key(secret: Secret, parts: list[str], life: float) -> Key:
    # Quoted and escaped: the parts stay apart whatever is in them, and all can be encoded.
    name = blake2b(ascii(parts).encode(), key=_hidden(secret), digest_size=20)
    return Key(name.hexdigest(), life)


@lru_cache(4)
def _hidden(secret: Secret) -> bytes:
    return derive_key(secret, "session", "names")
