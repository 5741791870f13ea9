"""The key of a call's session, and its lifetime.

Rule 1: the name is a keyed hash (BLAKE2, RFC 7693, which takes a fifth of an HMAC's time), so no
        file, Redis or log contains a caller's number, and the name is short and plain for any text
        of the PBX.
Rule 2: calls that cannot be distinguished share no session: without a ``session_id`` and without
        a number there is no key.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b

from msgspec import Struct

from receiver.credentials import Secret, derive_key

LIFE = 3600.0
"""Seconds since its last callback for which a call is remembered."""

LONG_LIFE = 6 * 3600.0
"""The same where handlers of events are declared: a call may last for hours after the IVR."""

SHORT_LIFE = 60.0
"""The same if only caller and IVR identify the call: the caller's next call must start empty."""


class Key(Struct, frozen=True, gc=False):
    """The key of a session.

    Attributes:
        name: short, of hexadecimal digits.
        life: seconds since the last use for which it is kept.
    """

    name: str
    life: float = LIFE


def key_of(
    session_id: str, caller: str, ivr: str, pbx: str, *, secret: Secret, life: float = LIFE
) -> Key | None:
    """Return the key of a call; None if nothing distinguishes it from other calls.

    Parameters:
        session_id, caller, ivr: of the `Call`, any text.
        pbx: the label of the PBX; session ids are unique for one PBX only.
        secret: the service secret, which all workers have in common.
        life: seconds, where there is a ``session_id``.
    """
    if session_id:
        return Key(_name(secret, ["s", pbx, session_id]), life)
    if caller:
        return Key(_name(secret, ["c", pbx, ivr, caller]), SHORT_LIFE)
    return None


def history_key(session_id: str, pbx: str, *, secret: Secret, life: float = LONG_LIFE) -> Key:
    """Return the key of the callbacks of a call; parameters as for `key_of`."""
    return Key(_name(secret, ["h", pbx, session_id]), life)


def _name(secret: Secret, parts: list[str]) -> str:
    name = _keyed(secret).copy()  # half the cost of a new one
    # Quoted and escaped: the parts stay apart, and any text can be encoded.
    name.update(ascii(parts).encode())
    return name.hexdigest()


@lru_cache(4)
def _keyed(secret: Secret) -> blake2b:
    return blake2b(key=derive_key(secret, "session", "names"), digest_size=20)
