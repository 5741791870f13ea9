"""The authentication schemes that an action URL can have on the PBX.

Pure: the request, the time and the randomness are arguments, and the result is a value. Each
action has one scheme object, which holds the credentials of that action only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from receiver.auth.basic import Basic
from receiver.auth.bearer import Bearer
from receiver.auth.digest import NONCE_LIFE, Algorithm, Digest
from receiver.auth.scheme import (
    NO_CREDENTIALS,
    Accepted,
    AuthRequest,
    AuthResult,
    NonceUse,
    Open,
    Refused,
    Scheme,
)
from receiver.auth.secret_header import SecretHeader
from receiver.credentials import Credentials

Auth = Literal["bearer", "basic", "digest"]
"""The schemes by the names that a declaration uses; None stands for no authentication."""

__all__ = [
    "NONCE_LIFE",
    "NO_CREDENTIALS",
    "Accepted",
    "Algorithm",
    "Auth",
    "AuthRequest",
    "AuthResult",
    "Basic",
    "Bearer",
    "Digest",
    "NonceUse",
    "Open",
    "Refused",
    "Scheme",
    "SecretHeader",
    "make_scheme",
]


def make_scheme(
    auth: Auth | None,
    credentials: Sequence[Credentials],
    nonce_key: bytes,
    entropy: Callable[[int], bytes],
    *,
    algorithms: Sequence[Algorithm] = ("MD5",),
    uri_without_query: bool = False,
    keyed: bool = False,
) -> Scheme:
    """Return the scheme that authenticates one action.

    Parameters:
        auth: its name; None accepts every request.
        credentials: the accepted ones, newest first (two sets during a rotation).
        nonce_key: signs the nonces of this action.
        entropy: returns that many random bytes.
        algorithms: of digest, in the order of the challenges.
        uri_without_query: of digest, see `Digest`.
        keyed: whether the action's secret header must hold the key of the credentials, too.

    Raises:
        ValueError: ``credentials`` is empty.
    """
    if not credentials:
        raise ValueError("no credentials, so every request would be refused")
    scheme: Scheme
    if auth is None:
        scheme = Open()
    elif auth == "basic":
        scheme = Basic(credentials)
    elif auth == "bearer":
        scheme = Bearer(credentials)
    else:
        scheme = Digest(
            credentials,
            nonce_key=nonce_key,
            entropy=entropy,
            algorithms=algorithms,
            uri_without_query=uri_without_query,
        )
    return SecretHeader(scheme, credentials) if keyed else scheme
