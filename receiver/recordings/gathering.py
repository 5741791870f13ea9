"""Callbacks that were answered, gathered for a thread that masks them and tells of them.

Rule: a callback costs its caller no more than the making of a tuple. What the thread cannot tell
of, or not fast enough, is lost, and counted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from receiver.actions import Action
from receiver.calls import Call
from receiver.dispatch.dispatcher import Decision
from receiver.recordings.lines import Recorded
from receiver.recordings.masking import Masker
from receiver.telemetry.observing import Times
from receiver.telemetry.spools import Spool

PAUSE = 0.1
"""Seconds for which they gather."""

CLOSING = 2.0
"""Seconds that the last ones have when the service stops."""


class Answered(NamedTuple):
    """One callback, as it waits to be masked; ``when`` it was answered, in the epoch's seconds."""

    action: Action
    call: Call
    decision: Decision
    when: float
    times: Times

    def masked(self, masker: Masker) -> Recorded:
        """What may be told of it."""
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


class Gathering:
    """Gives callbacks to ``write``; parameters as for `receiver.telemetry.spools.Spool`.

    ``clock`` gives seconds since the epoch.
    """

    def __init__(
        self,
        write: Callable[[list[Answered], int], int],
        *,
        lost: Callable[[int], object],
        most: int,
        name: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._spool: Spool[Answered] = Spool(write, lost=lost, most=most, pause=PAUSE, name=name)

    def of(self, action: Action) -> Callable[[Call, Decision, Times], None]:
        """What is told of each callback of ``action``."""
        put, clock = self._spool.put, self._clock

        def tell(call: Call, decision: Decision, times: Times) -> None:
            put(Answered(action, call, decision, clock(), times))

        return tell

    def close(self) -> None:
        """Tell of what is left, for up to `CLOSING` seconds."""
        self._spool.close(CLOSING)


def utc(when: float) -> str:
    """RFC 3339, with milliseconds."""
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
