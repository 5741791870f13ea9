"""The protocols of a storage backend and its four parts.

Authentication: rule 1: all times are the caller's, in seconds since the epoch.
Rule 2: `AuthStore.use` and `AuthStore.failed` are atomic: of any number of workers that use one
        count exactly one gets True, and no failure is lost.
Rule 3: every store is bounded, for any input.
Sessions: rule 4: the holder of a session has it for `SESSION_LEASE` seconds and no other process
        does; the session of a holder that died is free after that.
Rule 5: only the holder may change a session: a write after the end of the lease is refused.
Rule 6: taking a session that does not exist stores nothing once it is given back.
JobQueue: see `receiver.storage.job_queue`. Leases: see `receiver.storage.leases`.

Every method that uses a shared store raises `receiver.storage.breaker.StoreError` if that fails;
``close`` closes connections and threads and raises nothing.
"""

from __future__ import annotations

from typing import Protocol

from receiver.auth.throttle import FailureRecord
from receiver.storage.job_queue import JobQueue

SESSION_LEASE = 40.0
"""Seconds for which a session is held; longer than any callback: the longest ``request_timeout`` is
30."""


class AuthStore(Protocol):
    """Nonce counts that were used, and failures by client address."""

    async def use(self, nonce: str, count: int, made: float, now: float) -> bool:
        """Record the use of ``count``; return False if it was used before or may have been.

        Parameters:
            nonce: with a valid signature and age, from a client that knows the password.
            count: ``nc``, or 0 for the form of RFC 2069, whose nonces are valid once.
            made: when the nonce was made.
            now: the time.
        """
        ...

    async def failed(self, key: str, now: float) -> FailureRecord:
        """Count a failure of ``key`` (a client address at an action); return its record."""
        ...

    async def reach(self) -> None:
        """Send a request without effect, to detect an outage when the service starts."""
        ...

    async def close(self) -> None: ...


class SessionStore(Protocol):
    """Sessions by name, each with a lock."""

    async def acquire(self, name: str, token: str, life: float) -> bytes | None:
        """Return what ``name`` holds, empty for nothing; None while another process holds it.

        Parameters:
            name: of a `receiver.dispatch.session_key.Key`.
            token: identifies the holder; no two are alike.
            life: seconds that the session is kept for, counted from the end of the lease.
        """
        ...

    async def release(self, name: str, token: str, data: bytes | None, life: float) -> bool:
        """Save and unlock the session; return False without a change if the lock expired.

        Parameters:
            name, token: as they were for `acquire`.
            data: the new content, empty for nothing; None leaves the content as it is.
            life: seconds that the session is kept for, from now on.
        """
        ...

    async def close(self) -> None: ...


class Lease(Protocol):
    """One named lease, which one of many processes can hold."""

    async def take(self, life: float) -> bool:
        """Take or renew it for ``life`` seconds; False if another process holds it."""
        ...

    async def leave(self) -> None:
        """Release the lease, if this process holds it."""
        ...

    async def close(self) -> None: ...


class Backend(Protocol):
    """A storage backend: one class in one file, registered in `backends`."""

    name: str

    def auth(self, *, life: float) -> AuthStore:
        """Open the store of nonce counts and failures.

        Parameters:
            life: seconds for which a nonce is valid.
        """
        ...

    def sessions(self) -> SessionStore:
        """Open the store of sessions."""
        ...

    def lease(self, name: str) -> Lease:
        """Open the lease of this name."""
        ...

    def jobs(self) -> JobQueue[str]:
        """Open the queue of durable background jobs."""
        ...
