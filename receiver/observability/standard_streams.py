"""Standard output and error that never block, for `print` in handlers.

Rule 1: a printed line is put into a bounded queue, which a thread writes. If the queue is full,
        because a pipe or a disk is blocked, lines are dropped and counted, and the log reports
        their number as soon as a line can be written.
Rule 2: a terminal is not changed, for debuggers and prompts; nor is a stream without a file.
Rule 3: a forked child writes directly: it answers no callbacks, and may be killed.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from collections.abc import Iterator
from typing import Any

from receiver.observability.background_writer import BackgroundWriter, forks, write_all
from receiver.observability.metrics import COUNTS, DROPPED
from receiver.text import counted

MAX_LINES = 10_000
"""Pieces that may wait to be written."""

PIECE_SIZE = 4096
"""Most octets of a piece."""

BATCH_INTERVAL = 0.02
"""Seconds for which pieces gather before they are written together."""

CLOSE_TIMEOUT = 1.0
"""Seconds in which the last pieces must be written when the process ends."""

log = logging.getLogger("receiver")


class BackgroundRawIO(io.RawIOBase):
    """A raw stream; a thread writes its octets to a descriptor.

    Parameters:
        descriptor: stays open.
        name: of the stream.
        max_waiting: see `MAX_LINES`.
    """

    def __init__(self, descriptor: int, name: str, max_waiting: int = MAX_LINES) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._name = name
        self._forks = forks()
        self._writer = BackgroundWriter[bytes](
            self._write,
            lost=_count,
            max_waiting=max_waiting,
            pause=BATCH_INTERVAL,
            name=f"receiver-{name}",
        )

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def write(self, octets: Any) -> int:
        data = bytes(octets)
        if self._forks != forks():
            write_all(self._descriptor, data)
        else:
            for begin in range(0, len(data), PIECE_SIZE):
                self._writer.put(data[begin : begin + PIECE_SIZE])
        return len(data)

    def end(self) -> None:
        """Write the remaining lines, within `CLOSE_TIMEOUT` seconds."""
        self._writer.close(CLOSE_TIMEOUT)

    def _write(self, pieces: list[bytes], lost: int) -> int:
        write_all(self._descriptor, b"".join(pieces))
        if lost:
            log.error("%s printed to %s could not be written", counted(lost, "line"), self._name)
        return 0


def _count(lost: int) -> None:
    COUNTS.cell(DROPPED)[0] += lost


@contextlib.contextmanager
def printed() -> Iterator[None]:
    """Let a thread write `sys.stdout` and `sys.stderr` in the ``with`` block."""
    with contextlib.ExitStack() as stack:
        for name in ("stdout", "stderr"):
            stack.enter_context(_printed(name))
        yield


@contextlib.contextmanager
def _printed(name: str) -> Iterator[None]:
    before = getattr(sys, name)
    try:
        raw = BackgroundRawIO(before.fileno(), name)
        is_terminal = before.isatty()
    except (AttributeError, OSError, ValueError):  # closed, or not a file
        is_terminal = True
    if is_terminal:
        yield
        return
    before.flush()
    own = io.TextIOWrapper(
        io.BufferedWriter(raw), before.encoding, before.errors, line_buffering=True
    )
    setattr(sys, name, own)
    try:
        yield
    finally:
        with contextlib.suppress(OSError, ValueError):
            own.flush()
        raw.end()
        setattr(sys, name, before)
