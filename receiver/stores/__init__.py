"""Where workers and machines put what they share for authentication."""

from __future__ import annotations

from pathlib import Path

from receiver.secrets import Secret
from receiver.shared.patience import StoreError
from receiver.shared.place import read_place
from receiver.stores.guarded import Guarded
from receiver.stores.memory import Memory
from receiver.stores.sqlite import Sqlite
from receiver.stores.store import Store

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
    place = read_place(where)
    if place is None:
        return memory
    if isinstance(place, Path):
        return Guarded(Sqlite(place, life=life), "SQLite", memory)
    from receiver.stores.redis import Redis  # noqa: PLC0415 - an extra, and slow to import

    return Guarded(Redis(place, life=life), "Redis", memory)
