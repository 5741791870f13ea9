"""Where workers and machines put what they share for authentication.

RECEIVER_STORE names the place: nothing (one worker, its own memory), a path (the workers of one
machine, a SQLite file) or the URL of a Redis (several machines).
"""

from __future__ import annotations

from pathlib import Path

from receiver.errors import SettingsError
from receiver.secrets import Secret
from receiver.stores.guarded import Guarded
from receiver.stores.memory import Memory
from receiver.stores.sqlite import Sqlite
from receiver.stores.store import Store, StoreError

__all__ = ["Memory", "Store", "StoreError", "open_store"]

_REDIS = ("redis://", "rediss://", "unix://")


def open_store(where: Secret, *, life: float) -> Store:
    """The store that RECEIVER_STORE names; a shared one is `Guarded`, so none raises `StoreError`.

    Parameters:
        where: empty, a path, or the URL of a Redis, which may hold a password.
        life: seconds for which a nonce is good.

    Raises:
        SettingsError: that cannot be, whatever happens next. A Redis that is down is no such case.
    """
    text = where.reveal()
    memory = Memory(life=life)
    if not text:
        return memory
    if text.lower().startswith(_REDIS):
        return Guarded(_open_redis(where, life), "Redis", memory)
    if "://" in text:
        raise SettingsError(
            "RECEIVER_STORE is neither the path of a file nor a URL that begins with "
            + ", ".join(_REDIS)
        )
    try:
        path = Path(text).expanduser()
    except RuntimeError:  # a home directory of nobody
        raise SettingsError("RECEIVER_STORE begins with a ~ that stands for nothing here") from None
    return Guarded(Sqlite(path, life=life), "SQLite", memory)


def _open_redis(url: Secret, life: float) -> Store:
    try:
        from receiver.stores.redis import Redis  # noqa: PLC0415 - an extra, and slow to import
    except ImportError:
        raise SettingsError(
            "RECEIVER_STORE names a Redis, for which a package is missing: "
            "pip install 'portsip-receiver[redis]'"
        ) from None
    return Redis(url, life=life)
