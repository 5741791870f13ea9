"""The comparison of what a client sent with the secrets that are accepted.

Rule 1: it takes the same time wherever the first difference is, and whichever secret matches.
Rule 2: it fails closed: an empty secret would match an empty header, so it is refused.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from receiver.credentials import Secret


class KnownSecrets:
    """The accepted secrets: two during a rotation, else one.

    Parameters:
        secrets: the accepted ones.

    Raises:
        ValueError: there is no secret, or one is empty.
    """

    def __init__(self, secrets: Iterable[Secret]) -> None:
        self._accepted = tuple(secret.octets() for secret in secrets)
        if not self._accepted or not all(self._accepted):
            raise ValueError("without a secret every request would be accepted")

    def match(self, sent: bytes) -> bool:
        """Return whether ``sent`` is an accepted secret, in UTF-8."""
        matches = [hmac.compare_digest(sent, accepted) for accepted in self._accepted]
        return any(matches)
