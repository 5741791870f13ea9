"""Where log lines go: written by a thread of their own, for people or as JSON.

Rule 1: who logs never waits for whoever reads: a line is put into a bounded queue. When that is
        full, because a pipe is blocked or a disk is, lines are dropped and counted, and the next
        one that can be written says how many.
Rule 2: one record is one line. In JSON always; for people a traceback goes on in indented lines,
        so that no text that was sent can look like a line of its own.
Rule 3: what would move a terminal's cursor or turn its text is escaped.
Rule 4: the text of an exception may hold what the caller keyed in: its type and place are written,
        and the text only if the operator says so.
Rule 5: uvicorn's access log, if somebody serves the app with it, has no query strings.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import msgspec

from receiver.telemetry import spools
from receiver.telemetry.counts import COUNTS, DROPPED
from receiver.telemetry.records import Record

MOST = 10_000
"""Lines that may wait to be written."""

PAUSE = 0.02
"""Seconds for which lines gather before they are written together."""

CLOSING = 1.0
"""Seconds that the last lines have when the process ends."""

_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != 10}
_ESCAPES |= {
    code: f"\\u{code:04x}"
    for code in (0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF)
}
_slow = json.JSONEncoder(separators=(",", ":")).encode


class _Formatter(logging.Formatter):
    """Either.

    Parameters:
        caller_data: whether exceptions are written with their text.
    """

    def __init__(self, caller_data: bool = False) -> None:
        super().__init__()
        self._caller_data = caller_data

    def trace(self, record: logging.LogRecord) -> str:
        """The exception of a record, ``""`` if it has none."""
        there = record.exc_info and record.exc_info[0]
        return _trace(record.exc_info, self._caller_data) if there else ""


class People(_Formatter):
    """A line for people."""

    def format(self, record: logging.LogRecord) -> str:
        when = _second(int(record.created), False)
        line = f"{when},{int(record.msecs):03} {record.levelname} {record.getMessage()}"
        if trace := self.trace(record):
            line += "\n" + trace
        if line.isascii() and line.isprintable():
            return line
        return line.translate(_ESCAPES).replace("\n", "\n    ")


class Json(_Formatter):
    """One object, in ASCII: time (RFC 3339, UTC), level, logger, message; of a callback what
    `receiver.telemetry.records.Record.fields` has, too.
    """

    def format(self, record: logging.LogRecord) -> str:
        found: dict[str, object] = {
            "time": f"{_second(int(record.created), True)}.{int(record.msecs):03}Z",
            "level": record.levelname,
            "logger": record.name,
        }
        if isinstance(record.msg, Record):
            found["message"] = "callback"
            found |= record.msg.fields()
        else:
            found["message"] = record.getMessage()
        if trace := self.trace(record):
            found["traceback"] = trace
        return _encode(found)


def _encode(fields: dict[str, object]) -> str:
    """In ASCII; nearly all lines are, and are made the fast way."""
    with contextlib.suppress(UnicodeEncodeError):
        line = msgspec.json.encode(fields).decode()
        if line.isascii() and line.isprintable():
            return line
    return _slow(fields).replace("\x7f", "\\u007f")


@lru_cache(4)
def _second(when: int, utc: bool) -> str:
    """A second since the epoch as it is written: RFC 3339, or as people have it here."""
    if utc:
        return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(when))
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(when))


FORMATS: dict[str, Callable[[bool], logging.Formatter]] = {"people": People, "json": Json}


class Spool(logging.Handler):
    """Writes log lines in a thread of its own, see `receiver.telemetry.spools`.

    Parameters:
        write: takes octets and may block or raise.
        most: how many lines may wait.
    """

    def __init__(self, write: Callable[[bytes], object], most: int = MOST) -> None:
        super().__init__()
        self._write = write
        self._spool = spools.Spool(
            self._write_lines, lost=_lost, most=most, pause=PAUSE, name="receiver-log"
        )

    def emit(self, record: logging.LogRecord) -> None:
        if not isinstance(record.msg, Record):
            # Its arguments may be others by the time it is written. They may also be what cannot
            # be printed, which is not the business of whoever logs.
            try:
                record.msg, record.args = record.getMessage(), None
            except Exception:
                record.msg, record.args = f"{record.msg} (its arguments do not fit)", None
        self._spool.put(record)

    def close(self) -> None:
        """Write what is left, but for no longer than `CLOSING` seconds."""
        self._spool.close(CLOSING)
        super().close()

    def _write_lines(self, records: list[logging.LogRecord], lost: int) -> int:
        lines = [self._line(record) for record in records]
        if lost:
            told = f"{lost} log lines could not be written"
            made = logging.LogRecord("receiver", logging.ERROR, "", 0, told, None, None)
            lines.insert(0, self._line(made))
        self._write("".join(lines).encode(errors="backslashreplace"))
        return 0

    def _line(self, record: logging.LogRecord) -> str:
        try:
            return self.format(record) + "\n"
        except Exception as error:
            return f"a log line could not be formatted: {type(error).__name__}\n"


def _lost(many: int) -> None:
    COUNTS.cell(DROPPED)[0] += many


@contextlib.contextmanager
def written(form: str, caller_data: bool = False, fd: int | None = None) -> Iterator[None]:
    """Have all that is logged in this process written to ``fd`` meanwhile.

    Parameters:
        form: one of `FORMATS`.
        caller_data: whether exceptions are written with their text.
        fd: a file descriptor; by default that of the standard error.
    """
    root = logging.getLogger()
    before = [one for one in root.handlers if type(one) is logging.StreamHandler]
    spool = Spool(_writer(fd))
    spool.setFormatter(FORMATS[form](caller_data))
    for handler in before:
        root.removeHandler(handler)
    root.addHandler(spool)
    try:
        with _last_lines(spool):
            yield
    finally:
        root.removeHandler(spool)
        spool.close()
        for handler in before:
            root.addHandler(handler)


@contextlib.contextmanager
def _last_lines(spool: Spool) -> Iterator[None]:
    """Have them written when SIGTERM ends the process, which uvicorn raises again at its end."""
    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return

    def end(number: int, _: object) -> None:
        spool.close()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _writer(fd: int | None) -> Callable[[bytes], object]:
    """Past Python's buffers: a thread stuck with their lock would keep Python from ending."""
    if fd is None:
        stream = sys.stderr
        try:
            fd = stream.fileno()
        except OSError:  # it is no file
            return lambda octets: stream.write(octets.decode())
    where = fd

    def write(octets: bytes) -> None:
        rest = memoryview(octets)
        while rest:
            rest = rest[os.write(where, rest) :]

    return write


def hide_queries() -> None:
    """Have uvicorn's access log leave out what stands after the ``?``, for the whole process."""
    logging.getLogger("uvicorn.access").addFilter(_without_query)
    logging.getLogger("uvicorn.asgi").addFilter(_nothing)  # writes whole scopes when it traces


def _without_query(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(
            value.partition("?")[0] if isinstance(value, str) else value for value in record.args
        )
    return True


def _nothing(record: logging.LogRecord) -> bool:
    return False


def _trace(info: Any, caller_data: bool) -> str:
    kind, error, trace = info
    if caller_data:
        return "".join(traceback.format_exception(kind, error, trace)).rstrip()
    return f"{''.join(traceback.format_tb(trace))}{kind.__name__}"
