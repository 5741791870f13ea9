"""How long a source that keeps failing must wait before its credentials are looked at again.

Rule 1: the first `FREE` failures cost nothing: Java's HTTP client tries a wrong password 19 times
        by itself (measured).
Rule 2: past them it is slowed down to one try in `SLOW` seconds, and from `SHUT_AFTER` failures on
        shut out for `SHUT` seconds after the last one. What is sent while it must wait is not
        examined, and so is no failure.
Rule 3: `FORGET` seconds without a failure wipe the record.
Rule 4: nobody is shut out by a clock that was set back: a failure that lies ahead counts as one of
        this moment, and further than `SHUT` ahead as none.

Values in, values out: the time is passed in, in seconds since the epoch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, IPv6Network

FREE = 20
"""Failures that cost nothing."""

SLOW = 1
"""Seconds between two tries of a source that is slowed down."""

SHUT_AFTER = 50
"""Failures from which on a source is shut out."""

SHUT = 60
"""Seconds for which it is."""

FORGET = 300
"""Seconds without a failure after which there was none."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of a source: how often it failed, and when last."""

    failures: int = 0
    last: float = -math.inf

    def at(self, now: float) -> Standing:
        """Itself, or an empty one if it is forgotten by ``now``."""
        return self if -SHUT <= now - self.last < FORGET else GOOD

    def wait(self, now: float, patience: int = 1) -> int:
        """Whole seconds until the source is examined again; 0 if it may try ``now``.

        Parameters:
            patience: how many times as many failures are put up with.
        """
        failures = self.at(now).failures
        if failures <= FREE * patience:
            return 0
        pause = SHUT if failures >= SHUT_AFTER * patience else SLOW
        return math.ceil(max(0.0, pause - max(0.0, now - self.last)))

    def failed(self, now: float) -> Standing:
        """It, after one more failure ``now``."""
        return Standing(self.at(now).failures + 1, now)

    def joined(self, other: Standing, now: float) -> Standing:
        """It and what somebody else knows of the same source: never milder than either."""
        mine, theirs = self.at(now), other.at(now)
        return Standing(max(mine.failures, theirs.failures), max(mine.last, theirs.last))


GOOD = Standing()
"""Of a source that never failed, as far as is known."""


def group(address: IPv4Address | IPv6Address | None) -> str:
    """The key under which failures are added up.

    An IPv4 address stands for itself, also where it is mapped into IPv6. Whoever has one IPv6
    address has 2**64 of them, so those of one /64 are one source.
    """
    if address is None:
        return "unknown"
    if isinstance(address, IPv4Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address) >> 64 << 64, 64)))
