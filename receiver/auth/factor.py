"""A further factor: a secret in a header of the action's own.

The PBX sends whatever headers an action URL has ("Managing Virtual Receptionist", Additional
Headers). With one that holds a secret, an action that has no authentication is not open to all,
and one that has is not opened by its credentials alone.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import replace

from receiver.auth.scheme import Asked, Refused, Scheme, Verdict
from receiver.secrets import Credentials


class Factor:
    """Accepts what ``scheme`` accepts, if the header has the key of one of ``credentials`` too.

    From outside it cannot be told which of the two was wrong.
    """

    def __init__(self, scheme: Scheme, credentials: Sequence[Credentials]) -> None:
        self._scheme = scheme
        self._accepted = tuple(c.key.reveal().encode() for c in credentials)
        if not all(self._accepted):
            raise ValueError("credentials without a key, anybody could be let in")

    def check(self, asked: Asked, now: float) -> Verdict:
        sent = [key.strip(" \t").encode("latin-1", "backslashreplace") for key in asked.keys]
        matches = [hmac.compare_digest(key, mine) for key in sent[:1] for mine in self._accepted]
        verdict = self._scheme.check(asked, now)
        if any(matches) and len(sent) == 1:
            return verdict
        if isinstance(verdict, Refused) and not verdict.stale:
            return verdict
        if not sent:  # the action URL has none yet: nobody tried anything
            return replace(self.refuse("no key in the header of its own", now), wrong=False)
        return self.refuse("a wrong key in the header of its own", now)

    def refuse(self, reason: str, now: float, *, stale: bool = False) -> Refused:
        return self._scheme.refuse(reason, now, stale=stale)
