"""A second factor: a secret in a header of the action URL.

The PBX sends the additional headers of an action URL ("Managing Virtual Receptionist", Additional
Headers). With a secret in one of them, an action without authentication still refuses other
clients, and an action with authentication requires both.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from receiver.auth.known_secrets import KnownSecrets
from receiver.auth.scheme import AuthRequest, AuthResult, Refused, Scheme
from receiver.credentials import Credentials


class SecretHeader:
    """A scheme that also requires a header with the key of one of ``credentials``.

    Parameters:
        scheme: checks the credentials; its refusals and those of the header are equal.
        credentials: whose keys the header may have.
    """

    def __init__(self, scheme: Scheme, credentials: Sequence[Credentials]) -> None:
        self._scheme = scheme
        self._accepted = KnownSecrets(c.key for c in credentials)

    def check(self, request: AuthRequest, now: float) -> AuthResult:
        sent = [key.strip(" \t").encode("latin-1", "backslashreplace") for key in request.keys]
        matches = len(sent) == 1 and self._accepted.match(sent[0])
        result = self._scheme.check(request, now)
        if matches:
            return result
        if isinstance(result, Refused) and not result.stale:
            return result
        if not sent:  # the action URL may not have the header yet: nothing wrong was sent
            return replace(self.refuse("no key in the secret header", now), wrong=False)
        return self.refuse("a wrong key in the secret header", now)

    def refuse(self, reason: str, now: float, *, stale: bool = False) -> Refused:
        return self._scheme.refuse(reason, now, stale=stale)
