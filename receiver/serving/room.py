"""Room for connections: there are no more of them than descriptors.

Rule: one that has sent no request makes room for a new one, the oldest first: a caller speaks at
      once, so whoever is silent longest is the least likely one. Not within `YOUNG` seconds, nor if
      something came that is not read yet: where there is nobody else, who comes waits to be
      accepted.
"""

from __future__ import annotations

import asyncio
import logging
import time
from itertools import islice
from typing import Protocol

from uvicorn.server import ServerState

from receiver.serving.listening import MOST_CONNECTIONS
from receiver.serving.watchdog import Watchdog
from receiver.telemetry.seldom import Seldom

YOUNG = 0.05
"""Seconds for which a connection may be silent whoever else comes: the way of a caller's request,
or of the second leg of digest."""

_LOOKS = 16  # connections that are looked at to find a silent one

log = logging.getLogger("receiver")


class Idle(Protocol):
    """A connection without a request."""

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport

    def is_silent(self) -> bool: ...


class Watched(ServerState):
    """What the connections of one server share, with the watchdog that stands by."""

    def __init__(self, watchdog: Watchdog | None, most: int = MOST_CONNECTIONS) -> None:
        super().__init__()
        self.watchdog = watchdog
        self.stopping = False
        self.most = most
        self.idle: dict[Idle, float] = {}  # those without a request, and since when, in order
        self._seldom = Seldom()

    def full(self, making: int) -> bool:
        """Whether there is no room besides so many that were accepted, and nobody to make some."""
        return len(self.connections) + making >= self.most and self._silent() is None

    def _silent(self) -> Idle | None:
        """The one that says nothing longest, if that is long."""
        for one, since in islice(self.idle.items(), _LOOKS):
            if one.loop.time() - since < YOUNG:
                return None
            if one.is_silent():
                return one
        return None

    def make_room(self) -> None:
        """A connection was made: end the one that is without a request longest, if need be."""
        if len(self.connections) <= self.most:
            return
        silent = self._silent()
        if silent is None:
            return
        del self.idle[silent]
        silent.transport.abort()
        said = "too many connections: those without a request make room"
        if (more := self._seldom.due(said, time.monotonic())) is not None:
            log.warning("%s%s", said, more)
