"""What workers and machines share for authentication: counts used up, and who failed how often.

Rule 1: all times are the caller's, in seconds since the epoch; a store reads no clock for them.
Rule 2: both questions that change something are atomic: of any number of workers that use up one
        count exactly one is told True, and no failure is lost.
Rule 3: a store is bounded, whatever is sent.
"""

from __future__ import annotations

from typing import Protocol

from receiver.auth.throttle import Standing


class Store(Protocol):
    """One place for what was seen."""

    async def use(self, nonce: str, count: int, made: float, now: float) -> bool:
        """Use ``count`` of ``nonce`` up; False if it was used already or cannot be known.

        Parameters:
            nonce: with a good signature and age, from somebody who knows the password.
            count: ``nc``, or 0 for the form of RFC 2069, whose nonces are good once.
            made: when the nonce was made.
            now: the time.

        Raises:
            StoreError: a shared store is out of order.
        """
        ...

    async def failed(self, key: str, now: float) -> Standing:
        """Count a failure of ``key`` (a source at an action); how it stands after that.

        Raises:
            StoreError: a shared store is out of order.
        """
        ...

    async def standing(self, key: str, now: float) -> Standing:
        """How ``key`` stands.

        Raises:
            StoreError: a shared store is out of order.
        """
        ...

    async def reach(self) -> None:
        """Ask one question that changes nothing, so that what is wrong shows when a service starts.

        Raises:
            StoreError: a shared store is out of order.
        """
        ...

    async def close(self) -> None:
        """Give back connections and threads; raises nothing."""
        ...
