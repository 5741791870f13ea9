"""The replay window: which nonce counts were used, so that a captured request cannot be replayed.

Rule 1: a count is valid once. Gaps, unordered counts within a window and a start at 2 are
        accepted, because real clients send them.
Rule 2: only requests with the right password are recorded, and no more than a fixed number of
        nonces. At that number the oldest is dropped, and every nonce made before it is refused.
Rule 3: after a restart a nonce that was recorded before is accepted once more at most; nonces
        expire after minutes.
Rule 4: after the clock was set back calls are still accepted: a nonce dropped at a time that is now
        in the future does not cause the refusal of current ones.
"""

from __future__ import annotations

from msgspec import Struct

WINDOW = 64
"""The distance below the highest used count within which a lower one is accepted."""

SKEW = 60.0
"""Seconds by which two clocks may differ, or one may be set back, without a used count becoming
valid again."""


class _NonceRecord(Struct, gc=False):
    made: float
    highest: int
    bits: int  # bit n: the count ``highest - n`` was used


class NonceCounts:
    """The used counts, in the memory of one process.

    Parameters:
        max_nonces: maximum number of recorded nonces.
        life: seconds for which a nonce is valid; older ones are dropped.
    """

    def __init__(self, *, life: float, max_nonces: int = 100_000) -> None:
        self._life = life
        self._max_nonces = max_nonces
        self._seen: dict[str, _NonceRecord] = {}
        self._floor = float("-inf")

    def __len__(self) -> int:
        return len(self._seen)

    def use(self, nonce: str, count: int, made: float, now: float) -> bool:
        """Record the use of ``count``; return False if it was used before or may have been.

        Parameters:
            nonce: with a valid signature and age, from a client that knows the password.
            count: ``nc``, or 0 for the form of RFC 2069, whose nonces are valid once.
            made: when the nonce was made, in seconds since the epoch.
            now: the current time, in seconds since the epoch.
        """
        self._drop_old(now)
        seen = self._seen.get(nonce)
        if seen is None:
            if made <= self._floor <= now + SKEW:
                return False
            self._seen[nonce] = _NonceRecord(made, count, 1)
            return True
        if count > seen.highest:
            seen.bits = (seen.bits << min(count - seen.highest, WINDOW) | 1) & ((1 << WINDOW) - 1)
            seen.highest = count
            return True
        behind = seen.highest - count
        if behind >= WINDOW or seen.bits >> behind & 1:
            return False
        seen.bits |= 1 << behind
        return True

    def _drop_old(self, now: float) -> None:
        """Drop the oldest; nonces are used soon after they are made, so the order is by age."""
        while self._seen:
            nonce, oldest = next(iter(self._seen.items()))
            if now - oldest.made <= self._life and len(self._seen) < self._max_nonces:
                return
            del self._seen[nonce]
            self._floor = max(self._floor, min(oldest.made, now))
