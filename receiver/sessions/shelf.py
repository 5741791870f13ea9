"""Where sessions lie: each under its name, with a lock on it while somebody has it.

Rule 1: who takes a session has it for `LEASE` seconds and nobody else; a holder that died needs no
        help to be forgotten.
Rule 2: only who still has it may change it: what a holder writes whose lease ran out is refused,
        for somebody else may have read and written since.
Rule 3: taking what is not there leaves nothing behind once it is given back.
"""

from __future__ import annotations

from typing import Protocol

LEASE = 40.0
"""Seconds. No callback lasts as long: the longest ``request_timeout`` is 30."""


class Shelf(Protocol):
    """One place for sessions."""

    async def take(self, name: str, token: str, life: float) -> bytes | None:
        """What lies under ``name``, empty for nothing; None while somebody else has it.

        Parameters:
            name: of a `Key`.
            token: names the holder; no two are alike.
            life: seconds that it is kept for, counted anew from the end of the lease.

        Raises:
            StoreError: a shared shelf is out of order.
        """
        ...

    async def give(self, name: str, token: str, data: bytes | None, life: float) -> bool:
        """Give back what was taken; False, and nothing is changed, if the lease is over.

        Parameters:
            name, token: as they were for `take`.
            data: what lies there from now on, empty for nothing; None leaves what lies there.
            life: seconds that it is kept for, from now on.

        Raises:
            StoreError: a shared shelf is out of order.
        """
        ...

    async def close(self) -> None:
        """Give back connections and threads."""
        ...
