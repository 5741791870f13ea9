"""Which counts of which nonces were used: a captured digest request is good for nothing.

Rule 1: a count is good once; gaps, disorder within a window and a start at 2 are tolerated, for
        real clients do all of that.
Rule 2: only who knows the password gets something remembered, and never more than a fixed number
        of nonces: when that is reached the oldest is forgotten, and with it every nonce that was
        made before it is refused.
Rule 3: what knows nothing of a nonce that a restart forgot lets it in once more at most; nonces
        live for minutes.
Rule 4: a clock that was set back lets calls in: what was forgotten in a time that is yet to come
        refuses no nonce of now.
"""

from __future__ import annotations

from dataclasses import dataclass

WINDOW = 64
"""How far below the highest count that was seen a lower one is still taken."""

SKEW = 60.0
"""Seconds by which two clocks may differ, or one may be set back, without a used count being good
again."""


@dataclass(slots=True)
class _Seen:
    made: float
    highest: int
    bits: int  # bit n: the count ``highest - n`` was used


class Counters:
    """The counts used, in the memory of one process.

    Parameters:
        most: nonces that are remembered at once.
        life: seconds for which a nonce is good; older ones are forgotten.
    """

    def __init__(self, *, life: float, most: int = 100_000) -> None:
        self._life = life
        self._most = most
        self._seen: dict[str, _Seen] = {}
        self._floor = float("-inf")

    def __len__(self) -> int:
        return len(self._seen)

    def use(self, nonce: str, count: int, made: float, now: float) -> bool:
        """Use ``count`` of ``nonce`` up; False if it was used already or cannot be known.

        Parameters:
            nonce: with a good signature and age, from somebody who knows the password.
            count: ``nc``, or 0 for the form of RFC 2069, whose nonces are good once.
            made: when the nonce was made, in seconds since the epoch.
            now: the time likewise.
        """
        self._forget(now)
        seen = self._seen.get(nonce)
        if seen is None:
            if made <= self._floor <= now + SKEW:
                return False
            self._seen[nonce] = _Seen(made, count, 1)
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

    def _forget(self, now: float) -> None:
        """The oldest first: nonces are used soon after they are made, so in that order."""
        while self._seen:
            nonce, oldest = next(iter(self._seen.items()))
            if now - oldest.made <= self._life and len(self._seen) < self._most:
                return
            del self._seen[nonce]
            self._floor = max(self._floor, min(oldest.made, now))
