"""Which hosts are left alone for a while, since they failed again and again.

Rule 1: ``failures`` in a row open the circuit of a host: it is not asked. A rate would open it for
        a host that still answers half of the callers; a row is broken by the first good answer.
Rule 2: while it is open one request per ``pause`` is let through, as a probe. A probe that comes to
        nothing, whatever the reason, is followed by the next one a pause later.
Rule 3: any answer that shows the host alive closes the circuit.
Rule 4: only hosts that fail are remembered, and ``most`` of them.

Written here, for the library that came nearest, purgatory, reads the wall clock and lets every
request through as a probe. The time is passed in, in seconds of any clock that does not go back.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

from receiver.errors import CircuitOpen

FAILURES = 5
"""Failures in a row that open a circuit."""

PAUSE = 5.0
"""Seconds for which it is open, and between two probes."""

MOST = 1000
"""Failing hosts that are remembered."""


class Circuits:
    """The circuits of all hosts, named by their origin, as in ``https://crm.example.com``."""

    def __init__(self, failures: int = FAILURES, pause: float = PAUSE, most: int = MOST) -> None:
        self._failures = failures
        self._pause = pause
        self._most = most
        self._failing: OrderedDict[str, _Failing] = OrderedDict()

    def admit(self, origin: str, now: float) -> None:
        """Let a request through, or not.

        Raises:
            CircuitOpen: the host is left alone ``now``.
        """
        failing = self._failing.get(origin)
        if failing is None or failing.count < self._failures:
            return
        if now < failing.shut_until:
            raise CircuitOpen(f"{origin} was not asked: it failed {failing.count} times in a row")
        failing.shut_until = now + self._pause

    def failed(self, origin: str, now: float) -> bool:
        """Note a failure; True if it opened the circuit."""
        failing = self._failing.setdefault(origin, _Failing())
        failing.count += 1
        failing.shut_until = now + self._pause
        self._failing.move_to_end(origin)
        if len(self._failing) > self._most:
            self._failing.popitem(last=False)
        return failing.count == self._failures

    def alive(self, origin: str) -> bool:
        """Note an answer; True if it closed an open circuit."""
        failing = self._failing.pop(origin, None)
        return failing is not None and failing.count >= self._failures


@dataclass(slots=True)
class _Failing:
    count: int = 0
    shut_until: float = -math.inf
