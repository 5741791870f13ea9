"""Read recordings, one file or all files of a folder, as calls.

Rule 1: a damaged line, such as the last one of a worker that was killed, is counted and skipped.
Rule 2: only regular files are read, and lines have a maximum length.
Rule 3: callbacks of one call are grouped, from all workers, in the order of time. Without a session
        they are grouped by caller and IVR, for as long as the service keeps a session for them.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from receiver.dispatch.session_key import SHORT_LIFE
from receiver.recording.format import Lost, Recorded, RecordingError, decode
from receiver.recording.recording_files import PATTERN

MAX_LINE = 1024 * 1024
"""Bytes of a line; a longer one counts as damaged, piece by piece."""


class Recording(NamedTuple):
    """The calls of a recording.

    Attributes:
        calls: the callbacks of each call; the calls in the order in which they began.
        damaged: lines that could not be read.
        lost: callbacks that could not be recorded.
    """

    calls: list[list[Recorded]]
    damaged: int
    lost: int


def read(path: Path, *, ivr: str = "", session: str = "") -> Recording:
    """Read a file, or all files of a folder.

    Parameters:
        path: of the file or folder.
        ivr: only callbacks of actions of this IVR, as in ``8000`` or ``north/8000``.
        session: only calls whose session starts with this.

    Raises:
        RecordingError: there is no recording, it cannot be read, or has another version.
    """
    records: list[Recorded] = []
    damaged = lost = 0
    for line in _lines(path):
        match decode(line):
            case Recorded() as record:
                if record.session.startswith(session) and _is_of(record, ivr):
                    records.append(record)
            case Lost() as line_of_lost:
                lost += line_of_lost.lost
            case None:
                damaged += 1
    return Recording(_by_call(records), damaged, lost)


def _lines(path: Path) -> Iterator[bytes]:
    paths = [path]
    if os.path.isdir(path):  # a worker may delete the oldest at this moment
        paths = sorted(one for one in path.glob(PATTERN) if one.is_file())
    elif os.path.exists(path) and not os.path.isfile(path):
        raise RecordingError(f"{path} cannot be read: it is neither a file nor a folder")
    if not paths:
        raise RecordingError(
            f"there is no recording in {path}: RECEIVER_RECORD names the folder that the service "
            "records to, in files named calls-….jsonl"
        )
    try:
        for one in paths:
            with one.open("rb") as file:
                yield from iter(functools.partial(file.readline, MAX_LINE), b"")
    except OSError as error:
        raise RecordingError(f"{error.filename} cannot be read: {error.strerror}") from None


def _is_of(record: Recorded, ivr: str) -> bool:
    number = record.action.rpartition("/")[0]
    return ivr in ("", number, number.rpartition("/")[2])


def _by_call(records: Iterable[Recorded]) -> list[list[Recorded]]:
    calls: list[list[Recorded]] = []
    latest: dict[object, list[Recorded]] = {}
    for record in sorted(records, key=lambda record: record.time):
        key = (record.pbx, record.session, *(() if record.session else (record.ivr, record.caller)))
        call = latest.get(key)
        if call is None or not (record.session or _continues(call, record)):
            call = latest[key] = []
            calls.append(call)
        call.append(record)
    return calls


def _continues(call: list[Recorded], record: Recorded) -> bool:
    """Return whether ``record``, which has no session, continues ``call``."""
    return bool(record.caller) and seconds(record) - seconds(call[-1]) <= SHORT_LIFE


def seconds(record: Recorded) -> float:
    """Return when a callback was answered, in seconds since the epoch.

    Raises:
        RecordingError: the record's time is invalid.
    """
    try:
        return datetime.fromisoformat(record.time).timestamp()
    except ValueError:
        raise RecordingError("the recording has an invalid time: it was altered") from None
