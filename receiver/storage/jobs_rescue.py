"""Move a damaged file of jobs aside, and put its jobs into a new one.

Rule 1: the service may run meanwhile: it uses the new file from the next question on.
Rule 2: nothing is deleted, and doing it again changes nothing: a key is taken once.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from receiver.errors import LoadError
from receiver.storage import quarantine
from receiver.storage.breaker import StoreError
from receiver.storage.jobs_salvage import read_jobs
from receiver.storage.jobs_sqlite import RESCUE_COMMAND, SqliteJobs
from receiver.storage.sqlite_file import Waits

SETTLE_TIME = 1.0
"""Seconds in which a worker ends what it is writing to the file that was moved."""

_WAITS = Waits(busy=5.0)  # no caller waits


class RescueResult(NamedTuple):
    """The result of a rescue.

    Attributes:
        source: the damaged file, by the name that it has now.
        states: jobs in it, by their state: open, dead, done.
        new: those whose keys the queue did not have.
    """

    source: Path
    states: Counter[str]
    new: int


async def rescue(
    queue: Path,
    setting: str,
    damaged: Path | None = None,
    sleep: Callable[[float], None] = time.sleep,
) -> RescueResult:
    """Put the jobs of a damaged file into the queue.

    Parameters:
        queue: the file of the queue, which is moved aside if it is the damaged one.
        setting: the variable that names it, for the text of errors.
        damaged: the file, if it is another one, such as one that was moved aside already.
        sleep: waits for seconds.

    Raises:
        LoadError: there is no such file, it is sound, or it cannot be moved or read.
        StoreError: the new file cannot be used; the damaged one has its new name by then.
    """
    source = damaged or queue
    try:
        if _same(source, queue):
            await _refuse_sound(queue, setting)
            source = _move(queue)
            sleep(SETTLE_TIME)
        file, log = _read(source), _read(Path(f"{source}-wal"))
    except OSError as error:
        raise LoadError(f"{source} cannot be rescued: {os.strerror(error.errno or 0)}") from None
    if file is None and log is None:
        raise LoadError(f"there is no file {source}")
    found = read_jobs(file or b"", log or b"")
    jobs = SqliteJobs(queue, setting, waits=_WAITS)
    try:
        new = await jobs.put_back(found)
    except StoreError as error:
        again = f"then rescue them again: {RESCUE_COMMAND} {shlex.quote(str(source))}"
        raise StoreError(str(error), f"{error.advice}; {again}") from None
    finally:
        await jobs.close()
    return RescueResult(source, Counter(job.state for job in found), new)


def _same(one: Path, other: Path) -> bool:
    return one.absolute() == other.absolute()


async def _refuse_sound(queue: Path, setting: str) -> None:
    if _read(queue) is None:  # deleted: its write-ahead log may hold jobs
        return
    jobs = SqliteJobs(queue, setting, waits=_WAITS)
    try:
        await jobs.check()
    except StoreError as error:
        if str(error) in ("SQLITE_CORRUPT", "SQLITE_NOTADB") or "_CORRUPT_" in str(error):
            return
        raise
    finally:
        await jobs.close()
    hint = "".join(  # a rescue may have been interrupted
        f"; for the jobs in the damaged file before it: {RESCUE_COMMAND} {shlex.quote(name)}"
        for name in quarantine.moved_aside(queue)[-1:]
    )
    raise LoadError(f"nothing was changed: {queue} is sound{hint}")


def _move(queue: Path) -> Path:
    """Rename the damaged file; the new one keeps its owner."""
    owner = None
    with contextlib.suppress(FileNotFoundError):
        owner = os.stat(queue)
    if owner is None and not os.path.exists(f"{queue}-wal"):
        raise LoadError(f"there is no file {queue}")
    moved = quarantine.set_aside(queue, None)
    if owner and hasattr(os, "geteuid") and os.geteuid() == 0:
        os.chown(queue, owner.st_uid, owner.st_gid)
    return moved or queue


def _read(path: Path) -> bytes | None:
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return None
