"""Bearer tokens, RFC 6750, in the header only.

Whether the PBX adds the word "Bearer" to a token that begins with it is not documented, so
"Bearer Bearer" followed by a token is accepted.
"""

from __future__ import annotations

from collections.abc import Sequence

from receiver.auth.known_secrets import KnownSecrets
from receiver.auth.scheme import (
    ACCEPTED,
    REALM,
    AuthRequest,
    AuthResult,
    Refused,
    read_credentials,
)
from receiver.credentials import Credentials

_CHALLENGE = f'Bearer realm="{REALM}"'
_INVALID = _CHALLENGE + ', error="invalid_token"'


class Bearer:
    """Accepts the token of any of ``credentials``, in constant time."""

    def __init__(self, credentials: Sequence[Credentials]) -> None:
        self._accepted = KnownSecrets(c.token for c in credentials)

    def check(self, request: AuthRequest, now: float) -> AuthResult:
        token = read_credentials(request, "bearer", lambda: (_CHALLENGE,))
        if isinstance(token, Refused):
            return token
        if token[:7].lower() == "bearer ":
            token = token[7:].strip(" \t")
        sent = token.encode("latin-1", "backslashreplace")
        return ACCEPTED if self._accepted.match(sent) else self.refuse("wrong token", now)

    def refuse(self, reason: str, now: float, *, stale: bool = False) -> Refused:
        return Refused(reason, (_INVALID,), wrong=not stale)
