"""The token that marks a request as a probe of ``receiver doctor``: no handler runs for it.

Rule 1: a token is an HMAC of the service secret over the action's identity and a time. It cannot be
        made without the secret, and is valid for one action and for two minutes.
Rule 2: it grants no access. It is checked after authentication, and its only effect is that the
        handler does not run; an invalid one has the same effect.

Values in, values out: the time is passed in.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Literal

from receiver.credentials import Secret, derive_key

HEADER = "Receiver-Check"
"""The header of the request that holds the token, and of the answer that holds the result."""

SOURCE = "source "
"""The prefix of the result if the client address was refused; the address follows."""

EPOCH = "epoch "
"""The prefix of the result if the credentials were refused; the service's epoch follows."""

UNKNOWN = "unknown"
"""The result if the service has no such action."""

LIFE = 120
"""Seconds for which a token is valid, and by which two clocks may differ."""

TokenState = Literal["ok", "expired", "wrong"]

_TOKEN = re.compile(r"([0-9]{1,12})-([0-9a-f]{64})")


def make_token(secret: Secret, identity: str, now: float) -> str:
    """Return a token for the action ``identity``, made ``now`` (seconds since the epoch)."""
    moment = str(int(now))
    return f"{moment}-{_sign(secret, identity, moment)}"


def check_token(secret: Secret, identity: str, token: str, now: float) -> TokenState:
    """Return the state of ``token`` for the action ``identity``, ``now`` (seconds since the epoch).

    The comparison takes constant time.
    """
    match = _TOKEN.fullmatch(token.strip())
    if match is None or not hmac.compare_digest(_sign(secret, identity, match[1]), match[2]):
        return "wrong"
    return "ok" if abs(now - int(match[1])) <= LIFE else "expired"


def _sign(secret: Secret, identity: str, moment: str) -> str:
    key = derive_key(secret, "check", identity)
    return hmac.digest(key, moment.encode(), hashlib.sha256).hex()
