"""Open the sessions of calls in the store of the settings.

``async with sessions.open(key_of(…), until=…) as session:`` gives a `Session`, a mapping that is
saved at the end.
"""

from __future__ import annotations

from collections.abc import Callable

from receiver.credentials import Secret
from receiver.dispatch.session import Session, SessionError, SessionLost, Value
from receiver.dispatch.session_key import LIFE, Key, key_of
from receiver.dispatch.session_manager import Sessions
from receiver.storage.backends import open_backend
from receiver.storage.breaker import REQUEST_TIMEOUT, CircuitBreaker, loop_time
from receiver.storage.memory import MemorySessions

__all__ = [
    "LIFE",
    "Key",
    "Session",
    "SessionError",
    "SessionLost",
    "Sessions",
    "Value",
    "key_of",
    "open_sessions",
]


def open_sessions(
    where: Secret, *, clock: Callable[[], float] = loop_time, limit: float = REQUEST_TIMEOUT
) -> Sessions:
    """Return the sessions in the store that RECEIVER_STORE names.

    Parameters:
        where: empty, a path, or the URL of a Redis, which may hold a password.
        clock: of the circuit breaker of a shared store, in seconds.
        limit: seconds for a request to a shared store.

    Raises:
        SettingsError: the value can never work (an unreadable URL, a package that is missing). A
            store that is unavailable does not raise.
    """
    backend = open_backend(where, limit=limit)
    store = backend.sessions()
    if isinstance(store, MemorySessions):
        return Sessions(store)
    meanwhile = "callbacks that need a session get their fallback"
    name = f"the session store ({backend.name})"
    return Sessions(store, CircuitBreaker(name, meanwhile, clock, limit=limit))
