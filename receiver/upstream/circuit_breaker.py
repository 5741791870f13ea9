"""Circuit breaker: stop requests to hosts that fail repeatedly.

Rule 1: ``failures`` in a row open the circuit of a host. A failure rate would also open it for a
        host that still answers half of the requests; a row ends with the first good answer.
Rule 2: While the circuit is open, one request per ``pause`` is sent as a probe. After a probe
        without a result the next one follows a pause later.
Rule 3: Any answer that shows the host alive closes the circuit.
Rule 4: Only failing hosts are stored, at most ``max_hosts``.

The nearest library, purgatory, reads the wall clock and sends every request as a probe. Times are
arguments, in seconds of any monotonic clock.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass

from receiver.errors import CircuitOpen

MAX_FAILURES = 5
"""Consecutive failures that open a circuit."""

OPEN_TIME = 5.0
"""Seconds for which a circuit is open, and between two probes."""

MAX_HOSTS = 1000
"""Failing hosts that are stored."""


class CircuitBreaker:
    """The circuits of all hosts, by origin, as in ``https://crm.example.com``."""

    def __init__(
        self, failures: int = MAX_FAILURES, pause: float = OPEN_TIME, max_hosts: int = MAX_HOSTS
    ) -> None:
        self._failures = failures
        self._pause = pause
        self._max_hosts = max_hosts
        self._failing: OrderedDict[str, _Failing] = OrderedDict()

    def check(self, origin: str, now: float) -> None:
        """Allow a request, or a probe, to a host.

        Raises:
            CircuitOpen: the circuit is open.
        """
        failing = self._failing.get(origin)
        if failing is None or failing.count < self._failures:
            return
        if now < failing.open_until:
            raise CircuitOpen(f"circuit open: {origin} failed {failing.count} times in a row")
        failing.open_until = now + self._pause

    def record_failure(self, origin: str, now: float) -> bool:
        """Record a failure; return True if it opened the circuit."""
        failing = self._failing.setdefault(origin, _Failing())
        failing.count += 1
        failing.open_until = now + self._pause
        self._failing.move_to_end(origin)
        if len(self._failing) > self._max_hosts:
            self._failing.popitem(last=False)
        return failing.count == self._failures

    def record_success(self, origin: str) -> bool:
        """Record an answer; return True if it closed an open circuit."""
        failing = self._failing.pop(origin, None)
        return failing is not None and failing.count >= self._failures


@dataclass(slots=True)
class _Failing:
    count: int = 0
    open_until: float = -math.inf
