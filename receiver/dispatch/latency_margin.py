"""The latency margin: the part of a ``request_timeout`` that is kept for the network.

Rule 1: the margin is at least ``RECEIVER_MARGIN``, and larger if round trips are slower: their
        smoothed time plus four times its deviation, like TCP's retransmission timeout (RFC 6298);
        at most half of the timeout. The round trip of digest is measured here, that of other
        requests by the kernel (`receiver.callbacks.tcp_rtt`).
Rule 2: one slow packet changes little; a slow network is learned within a few callbacks.
"""

from __future__ import annotations


class Margin:
    """The latency margin for one PBX.

    Parameters:
        least: seconds.
    """

    def __init__(self, least: float) -> None:
        self._least = least
        self._smooth = 0.0
        self._deviation = 0.0
        self._next = float("-inf")  # the time of the next measurement

    def is_due(self, now: float) -> bool:
        """Return whether to measure the round trip now: once a second, because it costs time."""
        if now < self._next:
            return False
        self._next = now + 1.0
        return True

    def learn(self, seconds: float) -> None:
        """Record a round-trip time in seconds; 0 if it is unknown."""
        if not seconds:
            return
        if self._smooth:
            self._deviation += (abs(seconds - self._smooth) - self._deviation) / 4
            self._smooth += (seconds - self._smooth) / 8
        else:
            self._smooth, self._deviation = seconds, seconds / 2

    def of(self, timeout: float) -> float:
        """Return the margin of a ``timeout``, both in seconds."""
        if not self._smooth:
            return self._least
        return max(self._least, min(self._smooth + 4 * self._deviation, timeout / 2))
