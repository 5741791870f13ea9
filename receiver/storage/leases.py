"""Elect one of several guards: the one that holds a lease acts.

Rule 1: a lease expires by a clock that all its clients share: Redis's own, or for a file
        the one that this machine counts from its start. No wall clock is trusted.
Rule 2: the holder counts from before its request, by a clock that is never set and continues while
        the process is paused, and starts nothing in the last part of a lease (`END_MARGIN`). So two
        holders never act at once, except for one request in progress when a holder is paused.
Rule 3: a store that does not answer neither grants nor renews a lease.
Rule 4: leases are lost with a file that is deleted or replaced: the holder keeps its lease until it
        expires, and another process may hold the new one meanwhile.
Rule 5: without a store the lease is not shared: a single guard always holds it.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable

from receiver.credentials import Secret
from receiver.storage.backends import open_backend
from receiver.storage.breaker import StoreError
from receiver.storage.protocols import Lease

LEASE_LIFETIME = 20.0
"""Seconds until a lease that is not renewed is free."""

RENEW_INTERVAL = 5.0
"""Seconds between two requests to renew or take a lease."""

END_MARGIN = 0.25
"""Share of a lease at its end in which the holder starts nothing."""


def open_lease(where: Secret, *of: str) -> Lease:
    """Return the lease on what ``of`` names, in the store that RECEIVER_STORE names.

    Parameters:
        where: empty, the path of a file, or the URL of a Redis.
        of: what is held, such as a public URL and the label of a PBX.

    Raises:
        SettingsError: the value can never work.
    """
    name = hashlib.sha256("\n".join(of).encode()).hexdigest()[:32]
    return open_backend(where).lease(name)


class HeldLease:
    """A lease, and whether this process holds it now.

    Parameters:
        lease: what is held.
        clock: seconds, by a clock that is never set.
        life: seconds for which it is taken each time.
    """

    def __init__(
        self,
        lease: Lease,
        *,
        clock: Callable[[], float] = time.monotonic,
        life: float = LEASE_LIFETIME,
    ) -> None:
        self._lease, self._clock, self._life = lease, clock, life
        self._until = float("-inf")

    @property
    def held(self) -> bool:
        """Whether this process holds the lease."""
        return self._clock() < self._until

    async def renew(self) -> None:
        """Take or renew the lease.

        Raises:
            StoreError: the store is unavailable; a lease that is held is held until its end.
        """
        begun = self._clock()
        taken = await self._lease.take(self._life)
        self._until = begun + self._life * (1 - END_MARGIN) if taken else float("-inf")

    async def end(self) -> None:
        """Release the lease, if the store can be reached."""
        self._until = float("-inf")
        with contextlib.suppress(StoreError):
            await self._lease.leave()
        await self._lease.close()
