"""Who is calling: the schemes that the PBX may be told to authenticate with.

Pure: the request, the time and the randomness are passed in, a verdict comes out. One scheme
guards one action, with credentials of its own; there is no place where two could be mixed up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from receiver.auth.basic import Basic
from receiver.auth.bearer import Bearer
from receiver.auth.digest import Digest
from receiver.auth.scheme import NO_CREDENTIALS, Accepted, Asked, Open, Refused, Scheme, Verdict
from receiver.secrets import Credentials

Auth = Literal["bearer", "basic", "digest"]
"""The schemes by the names that a declaration uses; None stands for no authentication."""

__all__ = [
    "NO_CREDENTIALS",
    "Accepted",
    "Asked",
    "Auth",
    "Basic",
    "Bearer",
    "Digest",
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
    public_path: str,
    entropy: Callable[[int], bytes],
) -> Scheme:
    """The scheme that guards one action.

    Parameters:
        auth: which one; None lets everybody in.
        credentials: those accepted, the newest first (two sets during a rotation).
        nonce_key: signs the nonces of this action.
        public_path: the path of the action's public URL, which a proxy may have shortened before
            the request came here.
        entropy: gives that many random bytes.
    """
    if auth is None:
        return Open()
    if not credentials:
        raise ValueError("no credentials, nobody could be let in")
    if auth == "basic":
        return Basic(credentials)
    if auth == "bearer":
        return Bearer(credentials)
    return Digest(credentials, nonce_key=nonce_key, public_path=public_path, entropy=entropy)
