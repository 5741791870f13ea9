"""Collect answered callbacks for a thread that masks and writes them.

Rule: a callback only creates a tuple. Tuples that the thread cannot write in time are dropped and
counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

from receiver.callbacks.observer import Times
from receiver.calls import Call
from receiver.declarations.actions import Action
from receiver.dispatch.dispatcher import Decision
from receiver.observability.background_writer import BackgroundWriter
from receiver.recording.format import Recorded
from receiver.recording.masking import Masker

COLLECT_TIME = 0.1
"""Seconds for which callbacks are collected."""

CLOSE_TIMEOUT = 2.0
"""Seconds in which the last callbacks must be written when the service stops."""


class Answered(NamedTuple):
    """One callback before masking; ``when`` it was answered is in seconds since the epoch."""

    action: Action
    call: Call
    decision: Decision
    when: float
    times: Times

    def masked(self, masker: Masker) -> Recorded:
        """Return the record."""
        times = self.times
        return masker.record(
            self.action,
            self.call,
            self.decision.reply,
            self.decision.reason,
            time=utc(self.when),
            seconds=times.answered - times.arrived,
            handler=times.handled - times.read,
        )


class Collector:
    """Passes callbacks to ``write`` in a thread.

    Parameters:
        write, lost, max_waiting, name: as for
            `receiver.observability.background_writer.BackgroundWriter`.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        write: Callable[[list[Any], int], int],
        *,
        lost: Callable[[int], object],
        max_waiting: int,
        name: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._writer: BackgroundWriter[Any] = BackgroundWriter(
            write, lost=lost, max_waiting=max_waiting, pause=COLLECT_TIME, name=name
        )

    def of(self, action: Action) -> Callable[[Call, Decision, Times], None]:
        """Return a function that collects a callback of ``action``."""
        put, clock = self._writer.put, self._clock

        def collect(call: Call, decision: Decision, times: Times) -> None:
            put(Answered(action, call, decision, clock(), times))

        return collect

    def close(self) -> None:
        """Write the remaining callbacks, for up to `CLOSE_TIMEOUT` seconds."""
        self._writer.close(CLOSE_TIMEOUT)


def utc(when: float) -> str:
    """Return seconds since the epoch in the format of RFC 3339, with milliseconds."""
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
