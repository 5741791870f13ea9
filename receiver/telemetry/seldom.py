"""Says the same thing once a minute: who floods the service shall not flood its log too.

Rule 1: what was left out is counted, and told with the next line.
Rule 2: many different lines are a flood as well: no more than a fixed number are said in a minute.
"""

from __future__ import annotations

from collections import OrderedDict

INTERVAL = 60.0
"""Seconds until the same is said again."""


class Seldom:
    """Which lines are due.

    Parameters:
        most: how many different lines are said in an `INTERVAL`.
    """

    def __init__(self, most: int = 1000) -> None:
        self._most = most
        self._said: OrderedDict[str, tuple[float, int]] = OrderedDict()  # the latest stands last
        self._unsaid = 0

    def due(self, line: str, now: float) -> str | None:
        """What to add to a line if it is said ``now``; None if it is left out.

        Parameters:
            line: what would be said, or what lines that count as the same have in common.
            now: in seconds, by a clock of the caller's choice.
        """
        said, left_out = self._said.get(line, (float("-inf"), 0))
        if 0 <= now - said < INTERVAL:
            self._said[line] = (said, left_out + 1)
            return None
        if line not in self._said and not self._make_room(now):
            self._unsaid += 1
            return None
        self._said[line] = (now, 0)
        self._said.move_to_end(line)
        unsaid, self._unsaid = self._unsaid, 0
        return (f", and {left_out} times since that was said last" if left_out else "") + (
            f" (and {unsaid} lines like it were left out)" if unsaid else ""
        )

    def _make_room(self, now: float) -> bool:
        """Forget the line said longest ago; False if that was just now."""
        if len(self._said) < self._most:
            return True
        oldest, (said, _) = next(iter(self._said.items()))
        if 0 <= now - said < INTERVAL:
            return False
        del self._said[oldest]
        return True
