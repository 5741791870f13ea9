"""Records the callbacks of an app, if the operator says so (``RECEIVER_RECORD``).

Rule: masking and writing are done by a thread of its own, see `receiver.recordings.gathering`; what
is lost is told of in the log now and then.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from receiver.actions import Action
from receiver.recordings.files import Files
from receiver.recordings.gathering import Answered, Gathering, utc
from receiver.recordings.lines import Lost, encode
from receiver.recordings.masking import Masker
from receiver.secrets import Secret, derive_key
from receiver.telemetry.counts import COUNTS, UNRECORDED
from receiver.telemetry.seldom import Seldom

MOST = 2000
"""Callbacks that may wait to be written."""

log = logging.getLogger("receiver")


class Recorder(Gathering):
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
        self._seldom = Seldom()
        name = "receiver-recording"
        super().__init__(self._write, lost=_lost, most=MOST, name=name, clock=clock)

    def _write(self, callbacks: list[Answered], lost: int) -> int:
        told = encode(Lost(time=utc(self._clock()), lost=lost)) if lost else b""
        fresh = 0
        for place, callback in enumerate(callbacks):
            try:
                self._files.write(told + encode(callback.masked(self._masker)))
                told = b""
            except OSError as error:  # a full disk, a folder that is gone: the rest fares alike
                self._say(f"callbacks cannot be recorded: {error.strerror}")
                return fresh + len(callbacks) - place
            except Exception as error:  # this one cannot be written
                self._say(f"a callback could not be recorded: {type(error).__name__}")
                fresh += 1
        return fresh

    def _say(self, line: str) -> None:
        more = self._seldom.due(line, time.monotonic())
        if more is not None:
            log.error("%s; the calls themselves go on%s", line, more)


def _lost(many: int) -> None:
    COUNTS.cell(UNRECORDED)[0] += many
