"""Who is calling: the schemes that the PBX may be told to authenticate with.

Pure: the request, the time and the randomness are passed in, a verdict comes out. One scheme
guards one action, with credentials of its own; there is no place where two could be mixed up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from receiver.auth.basic import Basic
from receiver.auth.bearer import Bearer
from receiver.auth.digest import NONCE_LIFE, Algorithm, Digest
from receiver.auth.factor import Factor
from receiver.auth.scheme import (
    NO_CREDENTIALS,
    Accepted,
    Asked,
    Once,
    Open,
    Refused,
    Scheme,
    Verdict,
)
from receiver.secrets import Credentials

Auth = Literal["bearer", "basic", "digest"]
"""The schemes by the names that a declaration uses; None stands for no authentication."""

__all__ = [
    "NONCE_LIFE",
    "NO_CREDENTIALS",
    "Accepted",
    "Algorithm",
    "Asked",
    "Auth",
    "Basic",
    "Bearer",
    "Digest",
    "Factor",
    "Once",
    "Open",
    "Refused",
    "Scheme",
    "Verdict",
    "make_scheme",
]


def make_scheme(
    auth: Auth | None,
    credentials: Sequence[Credentials],
    nonce_key: bytes,
    entropy: Callable[[int], bytes],
    *,
    algorithms: Sequence[Algorithm] = ("MD5",),
    keyed: bool = False,
) -> Scheme:
    """The scheme that guards one action.

    Parameters:
        auth: which one; None lets everybody in.
        credentials: those accepted, the newest first (two sets during a rotation).
        nonce_key: signs the nonces of this action.
        entropy: gives that many random bytes.
        algorithms: of digest, in the order in which they are offered.
        keyed: whether a header has to hold the key of the credentials, too.
    """
    if not credentials:
        raise ValueError("no credentials, nobody could be let in")
    if keyed:
        bare = make_scheme(auth, credentials, nonce_key, entropy, algorithms=algorithms)
        return Factor(bare, credentials)
    if auth is None:
        return Open()
    if auth == "basic":
        return Basic(credentials)
    if auth == "bearer":
        return Bearer(credentials)
    return Digest(
        credentials,
        nonce_key=nonce_key,
        entropy=entropy,
        algorithms=algorithms,
    )
