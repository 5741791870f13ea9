"""Basic authentication, RFC 7617.

The vendor's manual describes no other scheme for action URLs ("Managing Virtual Receptionist");
whether the PBX sends the credentials at once or after a challenge is not documented, so both work.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from receiver.auth.known_secrets import KnownSecrets
from receiver.auth.scheme import (
    ACCEPTED,
    REALM,
    WRONG_PASSWORD,
    AuthRequest,
    AuthResult,
    Refused,
    read_credentials,
)
from receiver.credentials import Credentials, Secret

_CHALLENGE = f'Basic realm="{REALM}", charset="UTF-8"'


class Basic:
    """Accepts any of ``credentials``, compared as a whole in constant time."""

    def __init__(self, credentials: Sequence[Credentials]) -> None:
        self._accepted = KnownSecrets(
            Secret(f"{c.username}:{c.password.reveal()}") for c in credentials
        )

    def check(self, request: AuthRequest, now: float) -> AuthResult:
        encoded = read_credentials(request, "basic", lambda: (_CHALLENGE,))
        if isinstance(encoded, Refused):
            return encoded
        try:
            sent = base64.b64decode(encoded.encode(), validate=True)
        except (binascii.Error, ValueError):
            return self.refuse("credentials that are not base64", now)
        # The first colon ends the user name, and ours has none: comparing the whole is exact.
        return ACCEPTED if self._accepted.match(sent) else self.refuse(WRONG_PASSWORD, now)

    def refuse(self, reason: str, now: float, *, stale: bool = False) -> Refused:
        return Refused(reason, (_CHALLENGE,), wrong=not stale)
