"""Recordings, read: one file or all of a folder, as calls.

Rule 1: a line that is damaged, as the last one of a worker that was killed, is counted and passed
        over.
Rule 2: it reads files, and no more of a line than one could have; a pipe or a device is none.
Rule 3: what belongs to one call is one call, whichever worker wrote it, in the order of time. Where
        the PBX gave no session, the caller and the IVR tell it, for as long as the service would.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from receiver.recordings.files import PATTERN
from receiver.recordings.lines import Lost, Recorded, RecordingError, decode
from receiver.sessions.keys import SHORT_LIFE

LONGEST = 1024 * 1024
"""Octets of a line; what is longer is damaged, piece by piece."""


class Recording(NamedTuple):
    """What was recorded.

    Attributes:
        calls: the callbacks of each call; calls in the order in which they began.
        damaged: lines that could not be read.
        lost: callbacks that could not be recorded.
    """

    calls: list[list[Recorded]]
    damaged: int
    lost: int


def read(path: Path, *, ivr: str = "", session: str = "") -> Recording:
    """The recording in a file, or in all files of a folder.

    Parameters:
        ivr: only what an action of this IVR was asked, as in ``8000`` or ``north/8000``.
        session: only calls whose session begins so.

    Raises:
        RecordingError: there is none, it cannot be read, or is of another version.
    """
    records: list[Recorded] = []
    damaged = lost = 0
    for line in _lines(path):
        match decode(line):
            case Recorded() as record:
                if record.session.startswith(session) and _is_of(record, ivr):
                    records.append(record)
            case Lost() as told:
                lost += told.lost
            case None:
                damaged += 1
    return Recording(_by_call(records), damaged, lost)


def _lines(path: Path) -> Iterator[bytes]:
    paths = [path]
    if path.is_dir():  # the oldest may be dropped at this very moment
        paths = sorted(one for one in path.glob(PATTERN) if one.is_file())
    elif path.exists() and not path.is_file():
        raise RecordingError(f"{path} cannot be read: it is no file and no folder")
    if not paths:
        raise RecordingError(
            f"there is no recording in {path}: RECEIVER_RECORD names the folder that the service "
            "records to, in files named calls-….jsonl"
        )
    try:
        for one in paths:
            with one.open("rb") as file:
                yield from iter(functools.partial(file.readline, LONGEST), b"")
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
    """Whether ``record``, which has no session, is of the same call by its caller and its time."""
    return bool(record.caller) and seconds(record) - seconds(call[-1]) <= SHORT_LIFE


def seconds(record: Recorded) -> float:
    """When it was answered, in seconds since the epoch.

    Raises:
        RecordingError: its time is none.
    """
    try:
        return datetime.fromisoformat(record.time).timestamp()
    except ValueError:
        raise RecordingError("the recording has a time that is none: it was altered") from None
