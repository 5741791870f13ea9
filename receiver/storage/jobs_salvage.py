"""Read jobs from a damaged SQLite file without SQLite.

Each page of a table's rows describes itself (https://www.sqlite.org/fileformat2.html, sections 1.6,
2.1 and 4.2). So every intact page gives its rows, even if the header, the schema, inner
pages or other rows are damaged.

Rule 1: a row that does not look like a job is passed over; nothing in the file raises an error.
Rule 2: pages of the write-ahead log replace those of the file, up to its last complete transaction.
Rule 3: of several rows with one key the one that was written last counts: done, or claimed most
        often. Deleted rows are not found: `receiver.storage.sqlite_file` has SQLite overwrite them.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from receiver.storage.sqlite_file import PAGE_SIZE

MAX_ROW_SIZE = 4 * 1024 * 1024
"""Largest size of a row in octets; what claims to be larger is none."""

_MAGIC = b"SQLite format 3\0"
_LOG_MAGIC = (0x377F0682, 0x377F0683)
_TABLE_LEAF = 13
_WIDTHS = {1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8}  # octets of integers, by serial type


class SavedJob(NamedTuple):
    """A row of the table of jobs; see `receiver.storage.jobs_sqlite`."""

    key: str
    body: str
    state: str
    at: float
    claim: int
    tries: int
    reason: str


def read_jobs(file: bytes, log: bytes = b"") -> list[SavedJob]:
    """Return the jobs in ``file`` and its write-ahead log ``log``; either may be empty."""
    size = _page_size(file, log)
    pages = {
        number + 1: file[number * size : (number + 1) * size] for number in range(len(file) // size)
    }
    _apply(pages, log, size)
    found: dict[str, SavedJob] = {}
    for number, page in pages.items():
        for payload in _payloads(page, 100 if number == 1 else 0, pages):
            job = _job(payload)
            if job and _rank(job) >= _rank(found.get(job.key, job)):
                found[job.key] = job
    return list(found.values())


def _rank(job: SavedJob) -> tuple[bool, int]:
    return job.state == "done", job.claim


def _page_size(file: bytes, log: bytes) -> int:
    size = 0
    if file.startswith(_MAGIC) and len(file) >= 100:
        size = int.from_bytes(file[16:18])
        size = 65_536 if size == 1 else size
    elif len(log) >= 32 and int.from_bytes(log[:4]) in _LOG_MAGIC:
        size = int.from_bytes(log[8:12])
    return size if size in {1 << power for power in range(9, 17)} else PAGE_SIZE


def _apply(pages: dict[int, bytes], log: bytes, size: int) -> None:
    """Apply the pages of the complete transactions in the write-ahead log."""
    if len(log) < 32 or int.from_bytes(log[:4]) not in _LOG_MAGIC:
        return
    salt, changed = log[16:24], dict[int, bytes]()
    for start in range(32, len(log) - size - 23, size + 24):
        number, count = struct.unpack_from(">II", log, start)
        if log[start + 8 : start + 16] != salt:
            return  # left over from before the log was restarted
        changed[number] = log[start + 24 : start + 24 + size]
        if count:  # the end of a transaction, and the pages that the file has from there on
            pages.update(changed)
            changed.clear()
            for beyond in [number for number in pages if number > count]:
                del pages[beyond]


def _payloads(page: bytes, start: int, pages: Mapping[int, bytes]) -> Iterator[bytes]:
    """Yield the records of a table page; none for other pages."""
    if len(page) < start + 8 or page[start] != _TABLE_LEAF:
        return
    count = int.from_bytes(page[start + 3 : start + 5])
    for place in range(start + 8, min(start + 8 + 2 * count, len(page) - 1), 2):
        try:
            length, at = _varint(page, int.from_bytes(page[place : place + 2]))
            _, at = _varint(page, at)  # the row's number
            if length <= MAX_ROW_SIZE:
                yield _whole(page, at, length, pages)
        except (IndexError, KeyError, struct.error):
            continue


def _whole(page: bytes, at: int, length: int, pages: Mapping[int, bytes]) -> bytes:
    """Return a record, including its overflow pages."""
    usable = len(page)
    if length <= usable - 35:
        return page[at : at + length]
    least = (usable - 12) * 32 // 255 - 23
    here = least + (length - least) % (usable - 4)
    here = here if here <= usable - 35 else least
    parts, left = [page[at : at + here]], length - here
    (following,) = struct.unpack_from(">I", page, at + here)
    while left > 0:
        (after,) = struct.unpack_from(">I", pages[following])
        parts.append(pages[following][4 : 4 + left])
        left -= usable - 4
        following = after
    return b"".join(parts)


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a varint of 1 to 9 octets, and the offset after it."""
    value = 0
    for place in range(at, at + 8):
        value = value << 7 | data[place] & 0x7F
        if data[place] < 0x80:
            return value, place + 1
    return value << 8 | data[at + 8], at + 9


def _values(record: bytes) -> Iterator[object]:
    end, place = _varint(record, 0)
    at = end
    while place < end:
        kind, place = _varint(record, place)
        width = _WIDTHS.get(kind, 8 if kind == 7 else max(0, kind - 12) // 2)
        octets = record[at : at + width]
        if len(octets) < width:
            raise IndexError
        at += width
        if kind in _WIDTHS:
            yield int.from_bytes(octets, signed=True)
        elif kind == 7:
            yield struct.unpack(">d", octets)[0]
        elif kind >= 13 and kind % 2:
            yield octets.decode()
        else:
            yield {8: 0, 9: 1}.get(kind)


def _job(record: bytes) -> SavedJob | None:
    try:
        key, body, state, at, claim, tries, reason = _values(record)
    except (IndexError, ValueError, struct.error):
        return None
    texts = all(isinstance(one, str) for one in (key, body, state, reason))
    numbers = isinstance(at, int | float) and isinstance(claim, int) and isinstance(tries, int)
    if not (texts and numbers and state in ("open", "done", "dead")):
        return None
    job = SavedJob(key, body, state, at, claim, tries, reason)  # type: ignore[arg-type]
    return job if job.at == job.at else None
