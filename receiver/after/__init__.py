"""Work that goes on after the caller was answered.

RECEIVER_AFTER names where durable jobs are kept: a path (the workers of one machine, a SQLite file)
or the URL of a Redis (several machines). If it is empty it is `DEFAULT`, which is made when the
first job is accepted.
"""

from __future__ import annotations

from pathlib import Path

from receiver.after.bodies import arguments_in, name_in
from receiver.after.jobs import AfterError, DeadJob, Jobs
from receiver.after.running import idempotency_key
from receiver.after.sqlite import SqliteJobs
from receiver.after.work import After, AfterWork
from receiver.errors import SettingsError
from receiver.secrets import Secret
from receiver.shared.place import read_place

__all__ = [
    "After",
    "AfterError",
    "AfterWork",
    "DeadJob",
    "Jobs",
    "arguments_in",
    "find_jobs",
    "idempotency_key",
    "name_in",
    "open_jobs",
]

DEFAULT = Path("receiver-after.db")
"""A file in the working directory."""

_SETTING = "RECEIVER_AFTER"


def open_jobs(where: Secret) -> Jobs:
    """The queue that RECEIVER_AFTER names; `AfterWork` closes it.

    Parameters:
        where: empty, a path, or the URL of a Redis, which may hold a password.

    Raises:
        SettingsError: that cannot be, whatever happens next. A Redis that is down is no such case.
    """
    place = read_place(where, _SETTING)
    if place is None:
        return SqliteJobs(DEFAULT, _SETTING, at_once=False)
    if isinstance(place, Path):
        return SqliteJobs(place, _SETTING)
    from receiver.after.redis import RedisJobs  # noqa: PLC0415 - slow to import

    return RedisJobs(place, _SETTING)


def find_jobs(where: Secret) -> Jobs:
    """As `open_jobs`, but no file is made.

    Raises:
        SettingsError: as there; or there is no such file.
    """
    place = read_place(where, _SETTING) or DEFAULT
    if isinstance(place, Path) and not place.is_file():
        named = f"file where {_SETTING} says" if where else f"{DEFAULT} in this folder"
        raise SettingsError(
            f"there is no {named}: either no durable work was ever accepted, or it is elsewhere: "
            f"set {_SETTING} as for the service, or go to its working directory"
        )
    return open_jobs(where)
