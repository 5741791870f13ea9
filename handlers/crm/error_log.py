"""Log errors of another service with their text, an equal one once in a while.

Rule 1: The text of a `receiver.Unavailable` is logged, for it contains no data of callers; of any
        other exception only its type.
Rule 2: An equal message is logged once in `LOG_INTERVAL` seconds, with the number of omitted ones.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

from receiver import Unavailable

LOG_INTERVAL = 60.0
"""Seconds between two equal log messages."""

_MAX_MESSAGES = 100  # that are remembered

_logger = logging.getLogger("receiver.handlers")


class ErrorLog:
    """Logs what failed, and why.

    Parameters:
        clock: seconds, monotonic.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._logged: dict[str, tuple[float, int]] = {}  # time and omitted messages by message

    def warn(self, what: str, error: Exception) -> None:
        """Log that ``what`` happened because of ``error``."""
        text = str(error) if isinstance(error, Unavailable) else type(error).__name__
        message, now = f"{what}: {text}", self._clock()
        last, omitted = self._logged.pop(message, (-math.inf, 0))
        if now - last < LOG_INTERVAL:
            self._logged[message] = last, omitted + 1
            return
        self._logged[message] = now, 0
        if len(self._logged) > _MAX_MESSAGES:
            del self._logged[next(iter(self._logged))]
        times = f" (omitted since the last message: {omitted})" if omitted else ""
        _logger.warning("%s%s", message, times)
