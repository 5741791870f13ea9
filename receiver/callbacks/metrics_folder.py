"""The metrics of all workers of a machine, in a shared folder.

Rule 1: each worker writes a copy of its counts, ``PID-RANDOM.json``, and holds a lock file beside
        it for as long as it runs.
Rule 2: a file whose lock is free belongs to a dead worker. The next worker that writes adds it to
        `TOTAL` and removes it, so there are never more files than workers, and no count is lost.
Rule 3: no count is added twice: `TOTAL` names the files that it includes, and is replaced before
        they are removed. Reading and adding exclude each other.
Rule 4: a copy also describes the process itself; this part is deleted when the worker ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import msgspec

from receiver.observability.log_setup import BACKGROUND_HANDLERS
from receiver.observability.metrics import PROCESS, Counts, Snapshot, add_up
from receiver.storage.file_lock import acquire, locked

TOTAL = "total"
"""The name of the file with the counts of dead workers, without its ending."""

LOCK_TIMEOUT = 0.5
"""Seconds that a reader waits for the worker that adds up."""

log = logging.getLogger("receiver")


class Total(msgspec.Struct):
    """The counts of dead workers, and the names of their files, which may still be there."""

    counts: Snapshot = {}
    names: list[str] = []


class Folder:
    """The metrics of all workers of a machine; all methods but `close` do blocking I/O.

    Parameters:
        counts: of this process.
        path: the folder; None if there are no other workers.
        describe: returns the families that describe this process; they begin with `PROCESS`.
        ended: called with the process id of each worker that ended.
    """

    def __init__(
        self,
        counts: Counts,
        path: Path | None,
        *,
        describe: Callable[[], Snapshot] = dict,
        ended: Callable[[int], object] | None = None,
    ) -> None:
        self._counts = counts
        self._path = path
        self._describe = describe
        self._ended = ended
        self._own = ""
        self._lock: int | None = None
        self._failed = False

    def read(self) -> list[Snapshot]:
        """Return the counts of each worker."""
        return [self._snapshot(), *self._others()]

    def write(self) -> None:
        """Write this worker's counts, and add those of dead workers to the total."""
        if self._path is None:
            return
        try:
            self._own = self._own or f"{os.getpid()}-{secrets.token_hex(8)}"
            lock = self._path / f"{self._own}.lock"
            if self._lock is not None and not lock.exists():  # the folder was emptied or replaced
                os.close(self._lock)
                self._lock = None
            if self._lock is None:
                self._lock = acquire(lock, 0)
            _replace(self._path / f"{self._own}.json", self._snapshot())
            self._add_up(self._path)
        except OSError as error:
            if not self._failed:
                message = (
                    "the metrics cannot be shared, each worker shows its own: %s in %s; create it, "
                )
                message += "or name another in RECEIVER_METRICS_FOLDER"
                log.warning(message, (error.strerror or str(error)).lower(), self._path)
            self._failed = True
        else:
            self._failed = False

    def close(self) -> None:
        """Stop; the written counts stay for the other workers."""
        if self._lock is not None and self._path is not None:
            with contextlib.suppress(OSError):
                (self._path / f"{self._own}.lock").unlink()
            os.close(self._lock)
            self._lock = None

    def _snapshot(self) -> Snapshot:
        for handler in BACKGROUND_HANDLERS:  # count the latest callbacks
            handler.settle()
        return {**self._counts.snapshot(), **self._describe()}

    def _others(self) -> list[Snapshot]:
        if self._path is None:
            return []
        try:
            with locked(self._path / f"{TOTAL}.lock", LOCK_TIMEOUT):
                return list(self._snapshots(self._path))
        except OSError:  # it may be read anyway; at worst a count is missing or there twice
            return list(self._snapshots(self._path))

    def _snapshots(self, path: Path) -> Iterator[Snapshot]:
        total = _read_total(path)
        yield total.counts
        for file in path.glob("*.json"):
            if file.stem not in (self._own, TOTAL, *total.names):
                if (snapshot := _read(file)) is None:
                    log.warning("a file in RECEIVER_METRICS_FOLDER cannot be read")
                else:
                    yield snapshot

    def _add_up(self, path: Path) -> None:
        """Add the counts of dead workers to the total, and remove their files."""
        names = {file.stem for file in path.iterdir() if file.suffix in (".json", ".lock")}
        if not names - {self._own, TOTAL}:
            return
        with contextlib.ExitStack() as stack, contextlib.suppress(TimeoutError):
            stack.enter_context(locked(path / f"{TOTAL}.lock", 0))
            dead, ended = dict[str, Snapshot](), set[str]()
            for name in sorted(names - {self._own, TOTAL}):
                with contextlib.suppress(TimeoutError):  # it runs
                    stack.enter_context(locked(path / f"{name}.lock", 0))
                    (path / f"{name}.json.new").unlink(missing_ok=True)
                    if (snapshot := _read(path / f"{name}.json")) is not None:
                        dead[name] = snapshot
                    ended.add(name)
            if dead:
                _add(path, dead)
            for pid in _pids(ended) - _pids(names - ended):
                if self._ended is not None:
                    self._ended(pid)


def _add(path: Path, dead: dict[str, Snapshot]) -> None:
    total = _read_total(path)
    new = [_counted(counts) for name, counts in dead.items() if name not in total.names]
    _replace(path / f"{TOTAL}.json", Total(add_up([total.counts, *new]), list(dead)))
    for name in dead:
        (path / f"{name}.json").unlink(missing_ok=True)


def _pids(names: Iterable[str]) -> set[int]:
    pids = (name.partition("-")[0] for name in names)
    return {int(pid) for pid in pids if pid.isdecimal() and pid.isascii()}


def _counted(counts: Snapshot) -> Snapshot:
    return {name: cells for name, cells in counts.items() if not name.startswith(PROCESS)}


def _replace(file: Path, value: Snapshot | Total) -> None:
    new = file.with_name(f"{file.name}.new")
    new.write_bytes(msgspec.json.encode(value))
    new.replace(file)


def _read(file: Path) -> Snapshot | None:
    try:
        return msgspec.json.decode(file.read_bytes(), type=Snapshot)
    except (OSError, RecursionError, msgspec.DecodeError):
        return None


def _read_total(path: Path) -> Total:
    try:
        return msgspec.json.decode((path / f"{TOTAL}.json").read_bytes(), type=Total)
    except FileNotFoundError:
        return Total()
    except (OSError, RecursionError, msgspec.DecodeError):
        log.warning("the counts of dead workers in RECEIVER_METRICS_FOLDER cannot be read")
        return Total()
