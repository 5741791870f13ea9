"""The formats of a log line: text and JSON.

Rule 1: one record is one line. In JSON always; as text a traceback continues in indented lines,
        so that no text of a client can look like another line.
Rule 2: control characters, which could move a terminal's cursor or change its text, are escaped.
Rule 3: the text of an exception may contain digits of a caller: its type and location are written,
        and the text only with ``RECEIVER_LOG_CALLER_DATA``.
"""

from __future__ import annotations

import contextlib
import functools
import json
import logging
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import msgspec

from receiver.observability.callback_record import Record

_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if code != 10}
_ESCAPES |= {
    code: f"\\u{code:04x}"
    for code in (0x61C, 0x200E, 0x200F, *range(0x2028, 0x202F), *range(0x2066, 0x206A), 0xFEFF)
}
_slow = json.JSONEncoder(separators=(",", ":")).encode


class Formatter(logging.Formatter, ABC):
    """The base of both formats.

    Parameters:
        caller_data: whether exceptions are written with their text.
    """

    def __init__(self, caller_data: bool = False) -> None:
        super().__init__()
        self._caller_data = caller_data

    def trace(self, record: logging.LogRecord) -> str:
        """Return the traceback of a record, ``""`` without one."""
        there = record.exc_info and record.exc_info[0]
        return _trace(record.exc_info, self._caller_data) if there else ""

    @abstractmethod
    def callback(self, record: Record, when: float) -> str:
        """Return the line of a callback: the result of `format` for its log record, but faster."""


class TextFormatter(Formatter):
    """A log line as text."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"{_moment(record.created, False)} {record.levelname} {record.getMessage()}"
        if trace := self.trace(record):
            line += "\n" + trace
        return _escaped(line)

    def callback(self, record: Record, when: float) -> str:
        return f"{_moment(when, False)} INFO {record}"  # of printable characters only


def _escaped(line: str) -> str:
    if line.isascii() and line.isprintable():
        return line
    return line.translate(_ESCAPES).replace("\n", "\n    ")


class Json(Formatter):
    """One object, in ASCII: time (RFC 3339, UTC), level, logger, message; for a callback also the
    fields of `receiver.observability.callback_record.Record.fields`.
    """

    def format(self, record: logging.LogRecord) -> str:
        found: dict[str, object] = {
            "time": f"{_moment(record.created, True)}Z",
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

    def callback(self, record: Record, when: float) -> str:
        time = f"{_moment(when, True)}Z"
        head = {"time": time, "level": "INFO", "logger": "receiver", "message": "callback"}
        return _encode({**head, **record.fields()})


def _encode(fields: dict[str, object]) -> str:
    """Encode a line as ASCII; nearly all lines need no escaping."""
    with contextlib.suppress(UnicodeEncodeError):
        line = msgspec.json.encode(fields).decode()
        if line.isascii() and line.isprintable():
            return line
    return _slow(fields).replace("\x7f", "\\u007f")


def _moment(when: float, utc: bool) -> str:
    """Return a time, in seconds since the epoch, as it is written: RFC 3339, or local time."""
    second = int(when)
    return f"{_second(second, utc)}{int((when - second) * 1000):03}"


@functools.lru_cache(4)
def _second(when: int, utc: bool) -> str:
    if utc:
        return time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(when))
    return time.strftime("%Y-%m-%d %H:%M:%S,", time.localtime(when))


FORMATS: dict[str, Callable[[bool], logging.Formatter]] = {"text": TextFormatter, "json": Json}


def _trace(info: Any, caller_data: bool) -> str:
    kind, error, trace = info
    if caller_data:
        return "".join(traceback.format_exception(kind, error, trace)).rstrip()
    return f"{''.join(traceback.format_tb(trace))}{kind.__name__}"
