"""Basic authentication, RFC 7617.

The vendor's manual describes no other scheme for action URLs ("Managing Virtual Receptionist");
whether the PBX sends the credentials at once or after a challenge is not documented, so both work.
"""

from __future__ import annotations

import base64
import binascii
import hmac
from collections.abc import Sequence

from receiver.auth.scheme import (
    ACCEPTED,
    NO_CREDENTIALS,
    OTHER_CREDENTIALS,
    REALM,
    WRONG_PASSWORD,
    Asked,
    Refused,
    Verdict,
    split_authorization,
)
from receiver.secrets import Credentials

_CHALLENGE = f'Basic realm="{REALM}", charset="UTF-8"'


class Basic:
    """Accepts any of ``credentials``, compared as a whole in constant time."""

    def __init__(self, credentials: Sequence[Credentials]) -> None:
        self._accepted = tuple(f"{c.username}:{c.password.reveal()}".encode() for c in credentials)

    def check(self, asked: Asked, now: float) -> Verdict:
        found = split_authorization(asked)
        if isinstance(found, Refused):
            return found
        name, rest = found
        if name != "basic":
            return Refused(OTHER_CREDENTIALS if name else NO_CREDENTIALS, (_CHALLENGE,))
        try:
            sent = base64.b64decode(rest.encode(), validate=True)
        except (binascii.Error, ValueError):
            return self.refuse("credentials that are not base64", now)
        # The first colon ends the user name, and ours has none: comparing the whole is exact.
        matches = [hmac.compare_digest(sent, accepted) for accepted in self._accepted]
        return ACCEPTED if any(matches) else self.refuse(WRONG_PASSWORD, now)

    def refuse(self, reason: str, now: float, *, stale: bool = False) -> Refused:
        return Refused(reason, (_CHALLENGE,), wrong=not stale)
