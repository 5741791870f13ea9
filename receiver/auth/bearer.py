"""Bearer tokens, RFC 6750, in the header only.

Whether the PBX adds the word "Bearer" to a token that has it already is not documented, so one
doubled "Bearer " is forgiven.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from receiver.auth.scheme import (
    ACCEPTED,
    NO_CREDENTIALS,
    OTHER_CREDENTIALS,
    REALM,
    Asked,
    Refused,
    Verdict,
    split_authorization,
)
from receiver.secrets import Credentials

_CHALLENGE = f'Bearer realm="{REALM}"'
_INVALID = _CHALLENGE + ', error="invalid_token"'


class Bearer:
    """Accepts the token of any of ``credentials``, in constant time."""

    def __init__(self, credentials: Sequence[Credentials]) -> None:
        self._accepted = tuple(c.token.reveal().encode() for c in credentials)

    def check(self, asked: Asked, now: float) -> Verdict:
        found = split_authorization(asked)
        if isinstance(found, Refused):
            return found
        name, token = found
        if name != "bearer":
            return Refused(OTHER_CREDENTIALS if name else NO_CREDENTIALS, (_CHALLENGE,))
        if token[:7].lower() == "bearer ":
            token = token[7:].strip(" \t")
        sent = token.encode("latin-1", "backslashreplace")
        matches = [hmac.compare_digest(sent, accepted) for accepted in self._accepted]
        return ACCEPTED if any(matches) else self.refuse("wrong token", now)

    def refuse(self, reason: str, now: float, *, stale: bool = False) -> Refused:
        return Refused(reason, (_INVALID,), wrong=not stale)
