"""The addresses of host names, resolved in the background.

Rule 1: a callback never waits for the DNS: it is checked against the known addresses, and one
        look-up at a time runs in a thread.
Rule 2: addresses are looked up when the app is created, and again when they are
        `REFRESH_INTERVAL` seconds old, or `MIN_INTERVAL` seconds if an unknown address sends a
        request: the PBX may have moved.
Rule 3: a name whose look-up fails keeps its last addresses, and the log gets a warning. Before the
        first look-up a name has no addresses, so it allows none.
"""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from functools import lru_cache

from receiver.auth.client_address import Address, read_address
from receiver.observability.log_throttle import LogThrottle

REFRESH_INTERVAL = 60.0
"""Seconds for which addresses count as fresh."""

MIN_INTERVAL = 5.0
"""Shortest seconds between two look-ups that unknown addresses cause."""

log = logging.getLogger("receiver")

Lookup = Callable[[str], Sequence[str]]
"""From a host name to its addresses; raises OSError."""


class HostAddresses:
    """The addresses of host names, as a container.

    Parameters:
        names: the host names.
        lookup: resolves a name; by default with the DNS.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        names: Sequence[str],
        *,
        lookup: Lookup | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._names = tuple(names)
        self._lookup = lookup or _ask_dns
        self._clock = clock
        self._found: dict[str, frozenset[Address]] = {}
        self._all: frozenset[Address] = frozenset()
        self._looked = clock()
        self._log_throttle = LogThrottle()
        self._thread = threading.Thread()
        if self._names:
            self._begin()

    def __contains__(self, address: object) -> bool:
        known = address in self._all
        if self._names and self._clock() - self._looked >= (
            REFRESH_INTERVAL if known else MIN_INTERVAL
        ):
            self._begin()
        return known

    def wait(self, seconds: float) -> None:
        """Wait for the running look-up, up to a limit in seconds."""
        if self._thread.is_alive():
            self._thread.join(seconds)

    def _begin(self) -> None:
        if self._thread.is_alive():
            return
        self._looked = self._clock()
        self._thread = threading.Thread(target=self._look, name="receiver-dns", daemon=True)
        self._thread.start()

    def _look(self) -> None:
        for name in self._names:
            try:
                addresses = self._lookup(name)
            except (OSError, UnicodeError) as error:
                self._report(name, error)
                continue
            parsed = (read_address(text) for text in addresses)
            self._found[name] = frozenset(one for one in parsed if one is not None)
        everything = frozenset[Address]().union(*self._found.values())
        if everything != self._all:
            shown = ", ".join(map(str, sorted(everything, key=str))) or "none"
            log.info("RECEIVER_ALLOWED_SOURCES: the host names have the addresses %s", shown)
        self._all = everything

    def _report(self, name: str, error: Exception) -> None:
        kept = "its last addresses stay allowed" if name in self._found else "none is allowed yet"
        line = f"RECEIVER_ALLOWED_SOURCES: {name} cannot be resolved, {kept}"
        if (more := self._log_throttle.due(line, self._clock())) is not None:
            log.warning("%s (%s): look at the DNS%s", line, type(error).__name__, more)


@lru_cache(64)
def addresses_of(names: tuple[str, ...]) -> HostAddresses:
    """Return the addresses of these names, which all actions of a process share."""
    return HostAddresses(names)


def _ask_dns(name: str) -> list[str]:
    entries = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in entries]
