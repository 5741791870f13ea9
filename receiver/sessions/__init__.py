"""What a call remembers between its callbacks.

``async with sessions.open(key_of(…), until=…) as session:`` gives a `Session`, a mapping that is
saved at the end.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from receiver.secrets import Secret
from receiver.sessions.keys import LIFE, Key, key_of
from receiver.sessions.memory import Memory
from receiver.sessions.session import Session, SessionError, SessionLost, Value
from receiver.sessions.sessions import Sessions
from receiver.sessions.shelf import Shelf
from receiver.sessions.sqlite import Sqlite
from receiver.shared.patience import Patience, loop_time
from receiver.shared.place import read_place

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


def open_sessions(where: Secret, *, clock: Callable[[], float] = loop_time) -> Sessions:
    """The sessions where RECEIVER_STORE says.

    Parameters:
        where: empty, a path, or the URL of a Redis, which may hold a password.
        clock: by which a shared place is left in peace after it failed, in seconds.

    Raises:
        SettingsError: that cannot be, whatever happens next. A Redis that is down is no such case.
    """
    place = read_place(where)
    if place is None:
        return Sessions(Memory())
    if isinstance(place, Path):
        return _shared(Sqlite(place), "SQLite", clock)
    from receiver.sessions.redis import Redis  # noqa: PLC0415 - an extra, and slow to import

    return _shared(Redis(place), "Redis", clock)


def _shared(shelf: Shelf, kind: str, clock: Callable[[], float]) -> Sessions:
    meanwhile = "callbacks that need a session get their fallback"
    return Sessions(shelf, Patience(f"the store of sessions ({kind})", meanwhile, clock))
