"""Records the callbacks of an app, if the operator says so (``RECEIVER_RECORD``).

Rule: a callback costs its caller no more than the making of a tuple. Masking and writing are done
by a thread of its own; what it cannot write, or not fast enough, is lost, counted, and told of in
the log now and then.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from receiver.actions import Action
from receiver.calls import Call
from receiver.counts import COUNTS, UNRECORDED
from receiver.dispatch import Decision
from receiver.observing import Times
from receiver.recordings.files import Files
from receiver.recordings.lines import Lost, encode
from receiver.recordings.masking import Masker
from receiver.replies import Reply
from receiver.secrets import Secret, derive_key
from receiver.seldom import Seldom
from receiver.spools import Spool

MOST = 2000
"""Callbacks that may wait to be written."""

PAUSE = 0.1
"""Seconds for which they gather."""

CLOSING = 2.0
"""Seconds that the last ones have when the service stops."""

log = logging.getLogger("receiver")


class _Answered(NamedTuple):
    """One callback, as it waits to be masked."""

    action: Action
    call: Call
    reply: Reply
    reason: str
    when: float
    times: Times


class Recorder:
    """Owner of an app's recording.

    Parameters:
        folder: where to.
        secret: the service's.
        actions: all that the app has.
        caller_data: whether digits, numbers and names are shown, but for sensitive actions.
        megabytes: that all files in the folder may have together.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        folder: Path,
        secret: Secret,
        actions: Iterable[Action],
        *,
        caller_data: bool = False,
        megabytes: int = 100,
        clock: Callable[[], float] = time.time,
    ) -> None:
        how = "with digits, numbers and names" if caller_data else "masked"
        log.info("callbacks are recorded in %s, %s", folder, how)
        key = derive_key(secret, "recording", "alias")
        self._masker = Masker(key, actions, caller_data=caller_data)
        self._files = Files(folder, megabytes * 1_000_000, clock=clock)
        self._clock = clock
        self._seldom = Seldom()
        self._spool: Spool[_Answered] = Spool(
            self._write, lost=self._lost, most=MOST, pause=PAUSE, name="receiver-recording"
        )

    def of(self, action: Action) -> Callable[[Call, Decision, Times], None]:
        """What is told of each callback of ``action``."""
        put, clock = self._spool.put, self._clock

        def record(call: Call, decision: Decision, times: Times) -> None:
            put(_Answered(action, call, decision.reply, decision.reason, clock(), times))

        return record

    def close(self) -> None:
        """Write what is left, for up to `CLOSING` seconds."""
        self._spool.close(CLOSING)

    def _write(self, callbacks: list[_Answered], lost: int) -> int:
        told = encode(Lost(time=_time(self._clock()), lost=lost)) if lost else b""
        fresh = 0
        for place, callback in enumerate(callbacks):
            try:
                self._files.write(told + self._line(callback))
                told = b""
            except OSError as error:  # a full disk, a folder that is gone: the rest fares alike
                self._say(f"callbacks cannot be recorded: {error.strerror}")
                return fresh + len(callbacks) - place
            except Exception as error:  # this one cannot be written
                self._say(f"a callback could not be recorded: {type(error).__name__}")
                fresh += 1
        return fresh

    def _line(self, answered: _Answered) -> bytes:
        times = answered.times
        record = self._masker.record(
            answered.action,
            answered.call,
            answered.reply,
            answered.reason,
            time=_time(answered.when),
            seconds=times.answered - times.arrived,
            handler=times.handled - times.read,
        )
        return encode(record)

    def _lost(self, many: int) -> None:
        COUNTS.cell(UNRECORDED)[0] += many

    def _say(self, line: str) -> None:
        more = self._seldom.due(line, time.monotonic())
        if more is not None:
            log.error("%s; the calls themselves go on%s", line, more)


def _time(when: float) -> str:
    return datetime.fromtimestamp(when, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"
