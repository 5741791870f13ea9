"""Records the callbacks of an app (``RECEIVER_RECORD``).

Rule: a thread masks and writes, see `receiver.recording.collector`; losses are logged, throttled.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from msgspec import structs

from receiver.credentials import Secret, derive_key
from receiver.declarations.actions import Action
from receiver.observability.log_throttle import LogThrottle
from receiver.observability.metrics import COUNTS, UNRECORDED
from receiver.recording.collector import Answered, Collector, utc
from receiver.recording.format import Lost, Recorded, encode
from receiver.recording.masking import Masker
from receiver.recording.recording_files import Files
from receiver.recording.upstream_answers import AnswerMasker

MAX_WAITING = 2000
"""Callbacks that may wait to be written."""

log = logging.getLogger("receiver")


class Recorder(Collector):
    """Records into a folder.

    Parameters:
        folder: created if it does not exist.
        secret: of the service.
        actions: all actions of the app.
        caller_data: whether digits, numbers and names are shown, except for sensitive actions.
        fields: names of fields in answers of other services whose values are shown.
        megabytes: the limit of all files in the folder together.
        clock: seconds since the epoch.
        max_waiting: callbacks that may wait to be written.
    """

    def __init__(
        self,
        folder: Path,
        secret: Secret,
        actions: Iterable[Action],
        *,
        caller_data: bool = False,
        fields: Collection[str] = (),
        megabytes: int = 100,
        clock: Callable[[], float] = time.time,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        how = "with digits, numbers and names" if caller_data else "masked"
        log.info("callbacks are recorded in %s, %s", folder, how)
        key = derive_key(secret, "recording", "alias")
        self._masker = Masker(key, actions, caller_data=caller_data)
        answers = derive_key(secret, "recording", "answer")
        self._answer_masker = AnswerMasker(answers, caller_data=caller_data, fields=fields)
        self._files = Files(folder, megabytes * 1_000_000, clock=clock)
        self._log_throttle = LogThrottle()
        name = "receiver-recording"
        super().__init__(self._write, lost=_lost, max_waiting=max_waiting, name=name, clock=clock)

    def _write(self, callbacks: list[Answered], lost: int) -> int:
        loss = encode(Lost(time=utc(self._clock()), lost=lost)) if lost else b""
        dropped = 0
        for index, callback in enumerate(callbacks):
            try:
                self._files.write(loss + encode(self._record(callback)))
                loss = b""
            except OSError as error:  # a full disk, a file in its place: drop the rest
                reason = (error.strerror or str(error)).lower()
                self._log(f"callbacks cannot be recorded in RECEIVER_RECORD: {reason}")
                return dropped + len(callbacks) - index
            except Exception as error:  # skip this one
                self._log(f"a callback could not be recorded: {type(error).__name__}")
                dropped += 1
        return dropped

    def _record(self, callback: Answered) -> Recorded:
        """Return the record of a callback, with the answers that its handler got."""
        record, log = callback.masked(self._masker), callback.times.requests
        if log is None or callback.action.sensitive:
            return record
        destination = record.destination if isinstance(record.destination, str) else ""
        upstream = self._answer_masker.mask(tuple(log.requests), callback.call, destination)
        return structs.replace(record, upstream=upstream)

    def _log(self, line: str) -> None:
        more = self._log_throttle.due(line, time.monotonic())
        if more is not None:
            log.error("%s; calls are not affected%s", line, more)


def _lost(count: int) -> None:
    COUNTS.cell(UNRECORDED)[0] += count
