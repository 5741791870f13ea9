"""The sessions of browsers that are signed in to the console, and their cookie.

Rule 1: sessions are kept as hashes in this process, and their number is bounded. They end after a
        time or by a logout.
Rule 2: the value of a cookie is random, and is made for one session only.

The time and the randomness are passed in.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Iterable

LIFETIME = 12 * 3600.0
"""Seconds that a session lasts."""

MAX_SESSIONS = 100
"""Sessions at the same time; the oldest ends first."""


class BrowserSessions:
    """The sessions of browsers that are signed in.

    Parameters:
        ended: called when a session has ended.
        clock: returns monotonic seconds.
        entropy: returns a number of random bytes.
        lifetime: seconds that a session lasts.
        max_sessions: at the same time.
    """

    def __init__(
        self,
        ended: Callable[[], object],
        clock: Callable[[], float],
        entropy: Callable[[int], bytes],
        *,
        lifetime: float = LIFETIME,
        max_sessions: int = MAX_SESSIONS,
    ) -> None:
        self._ended = ended
        self._clock = clock
        self._entropy = entropy
        self._lifetime = lifetime
        self._max_sessions = max_sessions
        self._until: OrderedDict[bytes, float] = OrderedDict()

    def begin(self) -> str:
        """Begin a session; return the value of its cookie."""
        value = self._entropy(32).hex()
        self._until[_hash(value)] = self._clock() + self._lifetime
        if len(self._until) > self._max_sessions:
            self._until.popitem(last=False)
            self._ended()
        return value

    def has(self, value: str) -> bool:
        """Return whether the value of a cookie is a session's."""
        return self._until.get(_hash(value), 0.0) > self._clock()

    def end(self, value: str) -> None:
        """End a session."""
        if self._until.pop(_hash(value), None) is not None:
            self._ended()

    def sweep(self) -> None:
        """End the sessions that have expired."""
        now, before = self._clock(), len(self._until)
        self._until = OrderedDict(item for item in self._until.items() if item[1] > now)
        if len(self._until) < before:
            self._ended()


def cookie_of(headers: Iterable[tuple[bytes, bytes]], name: str) -> str:
    """Return the value of the cookie ``name`` of a request; empty if it has none.

    Not by `http.cookies`, which removes quotes in quadratic time before Python 3.11.10
    (CVE-2024-7592): a client needs no session to send a cookie, and the ones of a session have no
    quotes.
    """
    for key, header in headers:
        if key == b"cookie":
            for pair in header.decode("latin-1").split(";"):
                cookie, _, value = pair.strip(" \t").partition("=")
                if cookie == name:
                    return value
    return ""


def _hash(value: str) -> bytes:
    return hashlib.sha256(value.encode()).digest()
