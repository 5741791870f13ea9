"""Takes connections in, as many as there are descriptors for.

Rule 1: one that this process has no descriptor for stays where it waits: another worker takes it,
        or this one a moment later. uvloop would take it and close it, and the call were lost.
Rule 2: one connection in one turn of the loop. So workers share what comes at once, and a handler
        that blocks the loop holds up few besides its own call.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from receiver.seldom import Seldom

PAUSE = 0.02
"""Seconds until the next try, where a connection could not be taken."""

log = logging.getLogger("receiver")


class Acceptor:
    """Makes a protocol for each connection that comes to ``listener``; begins at once.

    It stands where uvicorn has an `asyncio.Server`.

    Parameters:
        listener: bound, and listening.
        protocol: makes one for each connection.
        tls: the options of `loop.connect_accepted_socket` for TLS.
    """

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], asyncio.BaseProtocol],
        tls: Mapping[str, Any],
    ) -> None:
        self._listener = listener
        self._protocol = protocol
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._making: set[asyncio.Task[None]] = set()
        self._pause: asyncio.TimerHandle | None = None
        self._seldom = Seldom()
        listener.setblocking(False)
        self._listen()

    @property
    def expects(self) -> bool:
        """Whether a connection is on its way to its protocol."""
        return bool(self._making)

    def close(self) -> None:
        """Take no more connections; those that were taken go on."""
        if self._pause is None:
            self._loop.remove_reader(self._listener)
        else:
            self._pause.cancel()

    async def wait_closed(self) -> None:
        """End what is not a connection yet."""
        for task in self._making:
            task.cancel()
        await asyncio.gather(*self._making, return_exceptions=True)

    def _listen(self) -> None:
        self._pause = None
        self._loop.add_reader(self._listener, self._accept)

    def _accept(self) -> None:
        try:
            connected, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another worker has it, or it is gone
        except OSError as error:
            self._loop.remove_reader(self._listener)
            self._pause = self._loop.call_later(PAUSE, self._listen)
            said = f"a connection has to wait: {error.strerror}"
            if (more := self._seldom.due(said, time.monotonic())) is not None:
                log.error("%s%s", said, more)
            return
        connected.setblocking(False)
        task = self._loop.create_task(self._make(connected))
        self._making.add(task)
        task.add_done_callback(self._making.discard)

    async def _make(self, connected: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connected, **self._tls)
        except OSError:  # also what is wrong with its TLS
            connected.close()
        except Exception as error:
            connected.close()
            log.error("a connection could not be made: %s", type(error).__name__)
