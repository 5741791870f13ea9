"""The throttle: the answer to a client that keeps sending wrong credentials.

Rule 1: the first `FREE_FAILURES` failures are not throttled: Java's HTTP client tries a wrong
        password 19 times (measured).
Rule 2: further failures are answered with `Retry-After`: `SLOW_RETRY_AFTER` seconds, or from
        `BLOCK_AFTER` failures on `BLOCK_TIME` seconds. Only wrong credentials are throttled: valid
        ones are accepted at any time (`receiver.callbacks.authenticate`).
Rule 3: `FAILURE_LIFE` seconds without a failure delete the record.
Rule 4: a failure more than `BLOCK_TIME` seconds in the future is not counted, so records expire
        also after the clock was set back.

Values in, values out: the time is passed in, in seconds since the epoch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network

FREE_FAILURES = 20
"""Failures that are not throttled."""

SLOW_RETRY_AFTER = 1
"""Seconds in `Retry-After` past `FREE_FAILURES` failures."""

BLOCK_AFTER = 50
"""Number of failures from which `Retry-After` is `BLOCK_TIME`."""

BLOCK_TIME = 60
"""Seconds in `Retry-After` from `BLOCK_AFTER` failures on."""

FAILURE_LIFE = 300
"""Seconds without a failure after which the record is deleted."""


@dataclass(frozen=True, slots=True)
class FailureRecord:
    """The failures of one address.

    Attributes:
        failures: their number.
        last: when the last one was, in seconds since the epoch.
    """

    failures: int = 0
    last: float = -math.inf

    def at(self, now: float) -> FailureRecord:
        """Return this record, or an empty one if it has expired ``now``."""
        return self if -BLOCK_TIME <= now - self.last < FAILURE_LIFE else NO_FAILURES

    def retry_after(self, factor: int = 1) -> int:
        """Return the seconds for `Retry-After` after a failure; 0 if it is not throttled.

        Parameters:
            factor: multiplies both limits.
        """
        if self.failures <= FREE_FAILURES * factor:
            return 0
        return BLOCK_TIME if self.failures >= BLOCK_AFTER * factor else SLOW_RETRY_AFTER

    def failed(self, now: float) -> FailureRecord:
        """Return the record after one more failure ``now``."""
        return FailureRecord(self.at(now).failures + 1, now)

    def joined(self, other: FailureRecord, now: float) -> FailureRecord:
        """Return this record merged with another of the same address: the higher values of both."""
        mine, theirs = self.at(now), other.at(now)
        return FailureRecord(max(mine.failures, theirs.failures), max(mine.last, theirs.last))


NO_FAILURES = FailureRecord()
"""The record of an address without failures."""


@lru_cache(1024)
def group(address: IPv4Address | IPv6Address | None) -> str:
    """Return the key by which the failures of an address are counted.

    An IPv4 address is its own key, also where it is mapped into IPv6. A client with one IPv6
    address can usually use its whole /64, so a /64 is one key.
    """
    if address is None:
        return "unknown"
    if isinstance(address, IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address) >> 64 << 64, 64)))
