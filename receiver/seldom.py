"""Says the same thing once a minute: who floods the service shall not flood its log too.

Rule: what was left out is counted, and told with the next line.
"""

from __future__ import annotations

from collections import OrderedDict

INTERVAL = 60.0
"""Seconds until the same is said again."""


class Seldom:
    """Which lines are due.

    Parameters:
        most: how many different lines are remembered; the ones said longest ago are forgotten.
    """

    def __init__(self, most: int = 1000) -> None:
        self._most = most
        self._said: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def due(self, line: str, now: float) -> str | None:
        """What to add to ``line`` if it is said ``now``; None if it is left out.

        Parameters:
            line: what would be said.
            now: in seconds, by a clock of the caller's choice.
        """
        said, left_out = self._said.get(line, (float("-inf"), 0))
        if 0 <= now - said < INTERVAL:
            self._said[line] = (said, left_out + 1)
            return None
        self._said[line] = (now, 0)
        self._said.move_to_end(line)
        if len(self._said) > self._most:
            self._said.popitem(last=False)
        return f", and {left_out} times since that was said last" if left_out else ""
