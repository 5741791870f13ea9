"""Where workers and machines put what they share for authentication.

RECEIVER_STORE names the place: nothing (one worker, its own memory), a path (the workers of one
machine, a SQLite file) or the URL of a Redis (several machines).
"""

from __future__ import annotations

from receiver.secrets import Secret
from receiver.stores.guarded import Guarded
from receiver.stores.memory import Memory
from receiver.stores.place import path_of
from receiver.stores.sqlite import Sqlite
from receiver.stores.store import Store, StoreError

__all__ = ["Memory", "Store", "StoreError", "open_store"]


def open_store(where: Secret, *, life: float) -> Store:
    """The store that RECEIVER_STORE names; a shared one is `Guarded`, so none raises `StoreError`.

    Parameters:
        where: empty, a path, or the URL of a Redis, which may hold a password.
        life: seconds for which a nonce is good.

    Raises:
        SettingsError: that cannot be, whatever happens next. A Redis that is down is no such case.
    """
    memory = Memory(life=life)
    if not where:
        return memory
    path = path_of(where, "RECEIVER_STORE")
    if path is None:
        from receiver.stores.redis import Redis  # noqa: PLC0415 - slow to import

        return Guarded(Redis(where, life=life), "Redis", memory)
    return Guarded(Sqlite(path, life=life), "SQLite", memory)
