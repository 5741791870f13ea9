"""Background jobs: work after the callback was answered.

RECEIVER_JOBS names where durable jobs are kept: a path (the workers of one machine, a SQLite file)
or the URL of a Redis (several machines). If it is empty the queue is the file `DEFAULT`, which is
made when the first job is accepted.
"""

from __future__ import annotations

import os
from pathlib import Path

from receiver.background.after import After, BackgroundJobs
from receiver.background.job_codec import arguments_in, name_in
from receiver.background.runner import idempotency_key
from receiver.credentials import Secret
from receiver.errors import SettingsError
from receiver.storage.backends import open_backend
from receiver.storage.breaker import REQUEST_TIMEOUT
from receiver.storage.job_queue import AfterError, DeadJob, JobQueue
from receiver.storage.jobs_sqlite import DEFAULT
from receiver.storage.memory import Memory
from receiver.storage.sqlite import Sqlite

__all__ = [
    "DEFAULT",
    "SETTING",
    "After",
    "AfterError",
    "BackgroundJobs",
    "DeadJob",
    "JobQueue",
    "arguments_in",
    "find_jobs",
    "idempotency_key",
    "jobs_file",
    "name_in",
    "open_jobs",
]

SETTING = "RECEIVER_JOBS"
"""The variable that names the place of durable jobs."""


def open_jobs(
    where: Secret, store: Secret | None = None, *, limit: float = REQUEST_TIMEOUT
) -> JobQueue[str]:
    """Return the queue that RECEIVER_JOBS names; `BackgroundJobs` closes it.

    Parameters:
        where: empty, a path, or the URL of a Redis, which may hold a password.
        store: the value of RECEIVER_STORE.
        limit: seconds for a request to a queue that processes share.

    Raises:
        SettingsError: the value can never work (an unreadable URL, a package that is missing), or
            it names a file of the store, which is replaced when it is damaged. A store that is
            unavailable does not raise.
    """
    path = jobs_file(where)
    shared = open_backend(store) if store else None
    if path and isinstance(shared, Sqlite):
        files = (shared.path, f"{shared.path}.failures")
        if os.path.realpath(path) in [os.path.realpath(file) for file in files]:
            raise SettingsError(
                f"{SETTING} and RECEIVER_STORE name the same file: use another file for the jobs, "
                "because a damaged store is replaced and jobs must not be"
            )
    return open_backend(where, SETTING, limit=limit).jobs()


def jobs_file(where: Secret) -> Path | None:
    """Return the file of the queue that RECEIVER_JOBS names; None for a queue that is no file.

    Raises:
        SettingsError: as for `open_jobs`.
    """
    backend = open_backend(where, SETTING)
    if isinstance(backend, Memory):
        return DEFAULT
    return backend.path if isinstance(backend, Sqlite) else None


def find_jobs(where: Secret) -> JobQueue[str]:
    """Return the queue as `open_jobs` does, but make no file; no caller waits for its requests.

    Raises:
        SettingsError: as for `open_jobs`, or the file does not exist.
    """
    path = jobs_file(where)
    if path and not os.path.isfile(path):
        named = f"file where {SETTING} says" if where else f"{DEFAULT} in this folder"
        raise SettingsError(
            f"there is no {named}: either no durable job was ever accepted, or the queue is "
            f"elsewhere: set {SETTING} as for the service, or change to its working directory"
        )
    return open_jobs(where, limit=5)
