"""The store of one process.

Rule 1: nothing here waits, so no two requests ever stand inside it at once.
Rule 2: where there is no more room, the sources that have been idle longest are forgotten.
"""

from __future__ import annotations

from receiver.auth.counters import Counters
from receiver.auth.throttle import FORGET, GOOD, Standing


class Memory:
    """A `Store` in the memory of one process.

    Parameters:
        life: seconds for which a nonce is good.
        most_nonces: nonces that are remembered at once.
        most_sources: sources whose failures are remembered at once.
    """

    def __init__(
        self, *, life: float, most_nonces: int = 100_000, most_sources: int = 10_000
    ) -> None:
        self._counters = Counters(life=life, most=most_nonces)
        self._most = most_sources
        self._standings: dict[str, Standing] = {}  # the one that failed last stands last

    async def use(self, nonce: str, count: int, made: float, now: float) -> bool:
        return self._counters.use(nonce, count, made, now)

    async def failed(self, key: str, now: float) -> Standing:
        return self._keep(key, self._standings.get(key, GOOD).failed(now), now)

    async def standing(self, key: str, now: float) -> Standing:
        return self._standings.get(key, GOOD).at(now)

    def learn(self, key: str, standing: Standing, now: float) -> Standing:
        """Take over what a shared store knows of ``key``; how it stands by both."""
        return self._keep(key, self._standings.get(key, GOOD).joined(standing, now), now)

    async def reach(self) -> None:
        """It is here."""

    async def close(self) -> None:
        """There is nothing to give back."""

    def _keep(self, key: str, standing: Standing, now: float) -> Standing:
        self._standings.pop(key, None)
        self._standings[key] = standing
        while True:
            idle, oldest = next(iter(self._standings.items()))
            if len(self._standings) <= self._most and now - oldest.last < FORGET:
                return standing
            del self._standings[idle]
