"""A progress bar on standard error, if that is a terminal.

Rule: no escape codes: spaces overwrite the line, so it works on any terminal and with ``NO_COLOR``.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from receiver.text import line

INTERVAL = 0.1
"""Seconds between two updates of the line; the last update is always shown."""

_WIDTH = 24  # characters of the bar
_MEGABYTE = 1_000_000


def is_terminal(stream: TextIO) -> bool:
    """Return whether the stream is a terminal."""
    return stream.isatty()


class ProgressBar:
    """A line such as ``reading IVRs  [########----------------]  12 of 40``.

    Parameters:
        what: the work.
        clock: monotonic seconds.
        amount: returns a number of units as text.
    """

    def __init__(
        self,
        what: str,
        clock: Callable[[], float] = time.monotonic,
        amount: Callable[[int], str] = str,
    ) -> None:
        self._what = line(what)
        self._clock = clock
        self._amount = amount
        self._shown = 0
        self._next = float("-inf")

    def show(self, done: int, total: int) -> None:
        """Show that ``done`` units of ``total`` are done; 0 for a total that is not known."""
        now = self._clock()
        if not is_terminal(sys.stderr) or (now < self._next and done != total):
            return
        self._next = now + INTERVAL
        of = f" of {self._amount(total)}" if total else ""
        self._write(f"{self._what}  {bar(done, total)}  {self._amount(done)}{of}")

    def clear(self) -> None:
        """Remove the line."""
        if self._shown:
            self._write("")

    def _write(self, text: str) -> None:
        text = text[: shutil.get_terminal_size().columns - 1]
        blank = " " * max(0, self._shown - len(text))
        sys.stderr.write(f"\r{text}{blank}" if text else f"\r{blank}\r")
        sys.stderr.flush()
        self._shown = len(text)


def bar(done: int, total: int, width: int = _WIDTH) -> str:
    """Return a bar of ``width`` characters in brackets; empty without a total."""
    full = min(width, width * done // total) if total else 0
    return f"[{'#' * full}{'-' * (width - full)}]" if total else ""


def megabytes(count: int) -> str:
    """Return a number of bytes as text."""
    return f"{count / _MEGABYTE:.1f} MB"


@contextmanager
def progress_bar(
    what: str, amount: Callable[[int], str] = str
) -> Iterator[Callable[[int, int], None]]:
    """Yield a function that shows progress: the units that are done, and the total."""
    made = ProgressBar(what, amount=amount)
    try:
        yield made.show
    finally:
        made.clear()
