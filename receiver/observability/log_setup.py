"""Set up logging: text or JSON lines, written by a separate thread.

Rule 1: logging never waits for the reader of the log: a line is put into a bounded queue. If the
        queue is full, because a pipe or a disk is blocked, lines are dropped and counted, and the
        next line that is written reports their number.
Rule 2: uvicorn's access log, if it is on, has no query strings.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from receiver.observability import background_writer
from receiver.observability.callback_record import Record
from receiver.observability.log_format import FORMATS, Formatter
from receiver.observability.metrics import COUNTS, DROPPED
from receiver.text import counted

MAX_LINES = 10_000
"""Lines that may wait to be written."""

BATCH_INTERVAL = 0.02
"""Seconds for which lines gather before they are written together."""

CLOSE_TIMEOUT = 1.0
"""Seconds in which the last lines must be written when the process ends."""


class DeferredRecord(Protocol):
    """A log record that the writing thread makes, so that the event loop need not.

    Attributes:
        when: in seconds since the epoch.
    """

    when: float

    def settle(self) -> Record | None:
        """Count it once; return its record if it is logged. One thread at a time calls this."""
        ...


Item = logging.LogRecord | DeferredRecord


class BackgroundHandler(logging.Handler):
    """Writes log lines in a separate thread, see `receiver.observability.background_writer`.

    Parameters:
        write: takes octets and may block or raise.
        max_waiting: the most lines that may wait.
        close_timeout: seconds in which the last lines must be written.
    """

    def __init__(
        self,
        write: Callable[[bytes], object],
        max_waiting: int = MAX_LINES,
        *,
        close_timeout: float = CLOSE_TIMEOUT,
    ) -> None:
        super().__init__()
        self._close_timeout = close_timeout
        self._write = write
        self._writer: background_writer.BackgroundWriter[Item] = background_writer.BackgroundWriter(
            self._write_lines,
            lost=_lost,
            max_waiting=max_waiting,
            pause=BATCH_INTERVAL,
            name="receiver-log",
        )
        self._settling = threading.Lock()
        self._forks = background_writer.forks()
        # Queue a callback to be counted and logged; returns whether the queue had space for it. If
        # not, it is logged like any other line, and counted as lost there.
        self.put_deferred: Callable[[DeferredRecord], bool] = functools.partial(
            self._writer.put, is_lost=False
        )

    def emit(self, record: logging.LogRecord) -> None:
        if not isinstance(record.msg, Record):
            # The arguments may change before it is written. If they cannot be formatted, the code
            # that logs must not fail.
            try:
                record.msg, record.args = record.getMessage(), None
            except Exception:
                record.msg, record.args = f"{record.msg} (its arguments do not fit)", None
        self._writer.put(record)

    def settle(self) -> None:
        """Count the waiting callbacks; they are written later."""
        self._settle(self._writer.waiting())

    def close(self) -> None:
        """Write the remaining lines, within ``close_timeout`` seconds."""
        self._writer.close(self._close_timeout)
        super().close()

    def _settle(self, items: Iterable[Item]) -> list[tuple[float, Record | logging.LogRecord]]:
        """Count callbacks; return the log records and their times."""
        if self._forks != background_writer.forks():  # the parent may have held it at the fork
            self._forks, self._settling = background_writer.forks(), threading.Lock()
        records: list[tuple[float, Record | logging.LogRecord]] = []
        with self._settling:
            for one in items:
                if isinstance(one, logging.LogRecord):
                    records.append((0.0, one))
                elif (record := _settled(one)) is not None:
                    records.append((one.when, record))
        return records

    def _write_lines(self, items: list[Item], lost: int) -> int:
        is_alone, form = self._is_alone(), self.formatter
        quick = form.callback if is_alone and isinstance(form, Formatter) else None
        lines, failed = list[str](), 0
        for when, record in self._settle(items):
            if isinstance(record, logging.LogRecord):
                lines.append(self._line(record))
            elif quick is not None:
                lines.append(quick(record, when))
            elif is_alone:
                lines.append(self._line(line_of(record, when)))
            else:  # it returns to this handler, unless a filter or a level stops it
                try:
                    _log.handle(line_of(record, when))
                except Exception:  # a handler or filter of the app failed: keep the others
                    failed += 1
        if lost:
            text = f"{counted(lost, 'log line')} could not be written"
            made = logging.LogRecord("receiver", logging.ERROR, "", 0, text, None, None)
            lines.insert(0, self._line(made))
        if lines:
            lines.append("")
            self._write("\n".join(lines).encode(errors="backslashreplace"))
        return failed

    def _is_alone(self) -> bool:
        """Return whether this is the only handler of log lines of this package."""
        root, quick = _log.parent, _log.propagate and not (_log.handlers or _log.filters)
        return bool(quick and root and root.handlers == [self] and not self.filters)

    def _line(self, record: logging.LogRecord) -> str:
        try:
            return self.format(record)
        except Exception as error:
            return f"a log line could not be formatted: {type(error).__name__}"


def _settled(one: DeferredRecord) -> Record | None:
    try:
        return one.settle()
    except Exception:  # one that gets callbacks too failed: count the others
        return None


_log = logging.getLogger("receiver")
_like = _log.makeRecord(_log.name, logging.INFO, __file__, 0, "", (), None).__dict__


def line_of(record: Record, when: float) -> logging.LogRecord:
    """Return a log record as ``log.info`` makes it, without the slow search for the caller."""
    line = logging.LogRecord.__new__(logging.LogRecord)
    values = _like.copy()
    # Its text is made when it is written.
    values["msg"], values["created"], values["msecs"] = record, when, when % 1 * 1000
    line.__dict__ = values
    return line


BACKGROUND_HANDLERS: list[BackgroundHandler] = []
"""The handlers that write in a thread; the last one is in use."""


def _lost(many: int) -> None:
    COUNTS.cell(DROPPED)[0] += many


@contextlib.contextmanager
def written(form: str, caller_data: bool = False, fd: int | None = None) -> Iterator[None]:
    """Write all log lines of this process to ``fd`` while the context is active.

    Parameters:
        form: one of `FORMATS`.
        caller_data: whether exceptions are written with their text.
        fd: a file descriptor; by default that of the standard error.
    """
    root = logging.getLogger()
    before = [one for one in root.handlers if type(one) is logging.StreamHandler]
    handler = BackgroundHandler(_writer(fd))
    handler.setFormatter(FORMATS[form](caller_data))
    for other in before:
        root.removeHandler(other)
    root.addHandler(handler)
    BACKGROUND_HANDLERS.append(handler)
    try:
        yield
    finally:
        BACKGROUND_HANDLERS.remove(handler)
        handler.close()  # while other handlers may still pass callbacks back to this one
        root.removeHandler(handler)
        handler.close()
        for other in before:
            root.addHandler(other)


def _writer(fd: int | None) -> Callable[[bytes], object]:
    if fd is None:
        stream = sys.stderr
        try:
            fd = stream.fileno()
        except OSError:  # it is not a file
            return lambda octets: stream.write(octets.decode())
    return functools.partial(background_writer.write_all, fd)


def hide_queries() -> None:
    """Remove query strings from uvicorn's access log, for the whole process."""
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
