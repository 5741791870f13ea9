"""Log the same line once a minute: a flood of requests must not flood the log.

Rule 1: omitted lines are counted, and the next line reports their number.
Rule 2: many different lines are a flood as well: their number in a minute is limited.
"""

from __future__ import annotations

from collections import OrderedDict

from receiver.text import counted

INTERVAL = 60.0
"""Seconds until the same line is logged again."""


class LogThrottle:
    """Decides which lines are logged.

    Parameters:
        max_lines: the most different lines that are logged in an `INTERVAL`.
    """

    def __init__(self, max_lines: int = 1000) -> None:
        self._max_lines = max_lines
        self._logged: OrderedDict[str, tuple[float, int]] = OrderedDict()  # the latest is last
        self._omitted = 0

    def due(self, line: str, now: float) -> str | None:
        """Return a suffix for a line that is logged ``now``; None if it is left out.

        Parameters:
            line: the line, or the common part of lines that count as the same.
            now: in seconds, of any clock.
        """
        logged_at, left_out = self._logged.get(line, (float("-inf"), 0))
        if 0 <= now - logged_at < INTERVAL:
            self._logged[line] = (logged_at, left_out + 1)
            return None
        if line not in self._logged and not self._evict(now):
            self._omitted += 1
            return None
        self._logged[line] = (now, 0)
        self._logged.move_to_end(line)
        omitted, self._omitted = self._omitted, 0
        return (
            f", and {counted(left_out, 'time')} since it was last logged" if left_out else ""
        ) + (f" ({counted(omitted, 'line')} like it omitted)" if omitted else "")

    def _evict(self, now: float) -> bool:
        """Drop the oldest line; return False if it was logged within an `INTERVAL`."""
        if len(self._logged) < self._max_lines:
            return True
        oldest, (logged_at, _) = next(iter(self._logged.items()))
        if 0 <= now - logged_at < INTERVAL:
            return False
        del self._logged[oldest]
        return True
