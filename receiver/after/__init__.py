"""Work that goes on after the caller was answered.

RECEIVER_AFTER names where durable jobs are kept: a path (the workers of one machine, a SQLite file)
or the URL of a Redis (several machines). If it is empty it is `DEFAULT`, which is made when the
first job is accepted.
"""

from __future__ import annotations

from pathlib import Path

from receiver.after.bodies import name_in
from receiver.after.jobs import AfterError, DeadJob, Jobs
from receiver.after.running import idempotency_key
from receiver.after.sqlite import SqliteJobs
from receiver.after.work import After, AfterWork
from receiver.secrets import Secret
from receiver.shared.place import read_place

__all__ = [
    "After",
    "AfterError",
    "AfterWork",
    "DeadJob",
    "Jobs",
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
