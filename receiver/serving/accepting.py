"""Takes connections in, as many as there are descriptors for.

Rule 1: one that this process has no descriptor for stays where it waits: another worker takes it,
        or this one a moment later. uvloop would take it and close it, and the call were lost.
Rule 2: one connection in one turn of the loop. So workers share what comes at once, and a handler
        that blocks the loop holds up few besides its own call.
Rule 3: what another worker passed on is a connection like the others.
Rule 4: where there is no room, the TLS handshake that lasts longest makes some, as a connection
        without a request does later: whoever says nothing keeps nobody out. Not within `HANDSHAKE`
        seconds, nor if something came that is not read yet.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import socket
import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, NamedTuple, cast

from receiver.serving.passing import Passage, has_unread, pass_on
from receiver.telemetry.seldom import Seldom

PAUSE = 0.02
"""Seconds until the next try, where a connection could not be taken."""

HANDSHAKE = 0.3
"""Seconds that a TLS handshake has whoever else comes: two ways there and back, and the keys."""

_LOOKS = 16  # handshakes that are looked at to find one that may be ended

log = logging.getLogger("receiver")


class _Making(NamedTuple):
    """A connection on its way to its protocol, and the loop's time when it was taken in."""

    connected: socket.socket
    since: float


class Acceptor:
    """Makes a protocol for each connection that comes to ``listener``; begins at once.

    It stands where uvicorn has an `asyncio.Server`.

    Parameters:
        listener: bound, and listening.
        protocol: makes one for each connection.
        tls: the options of `loop.connect_accepted_socket` for TLS.
        full: whether whoever comes has to wait, while so many have no protocol yet.
    """

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], asyncio.BaseProtocol],
        tls: Mapping[str, Any],
        full: Callable[[int], bool] = lambda making: False,
    ) -> None:
        self._listener = listener
        self._protocol = protocol
        self._tls = tls
        self._full = full
        self._loop = asyncio.get_running_loop()
        self._making: dict[asyncio.Task[None], _Making] = {}  # the oldest first
        self._passed: set[socket.socket] = set()
        self._held: dict[socket.socket, bytes] = {}  # what was read and could not be passed on
        self._pause: asyncio.TimerHandle | None = None
        self._seldom = Seldom()
        listener.setblocking(False)
        self._listen()

    @property
    def expects(self) -> bool:
        """Whether a connection is on its way to its protocol."""
        return bool(self._making)

    def close(self) -> None:
        """Take no more connections; those that were taken go on. It may be said again."""
        if self._listener.fileno() < 0:
            return
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
        if self._full(len(self._making)) and not self._make_room():
            self._wait("too many at once")
            return
        try:
            connected, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another worker has it, or it is gone
        except OSError as error:
            self._wait(str(error.strerror))
            return
        self.make(connected, self._protocol)

    def _make_room(self) -> bool:
        """End the handshake that lasts longest; whether there is one that may be ended."""
        for task, (connected, since) in islice(self._making.items(), _LOOKS if self._tls else 0):
            if self._loop.time() - since < HANDSHAKE:
                return False
            descriptor = connected.fileno()
            if descriptor >= 0 and not has_unread(descriptor):
                del self._making[task]  # or it would be ended again for whoever comes next
                task.cancel()
                said = "too many connections: TLS handshakes that last make room"
                self._say(said, logging.WARNING)
                return True
        return False

    def _wait(self, why: str) -> None:
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(PAUSE, self._listen)
        self._say(f"a connection has to wait: {why}", logging.ERROR)

    def _say(self, said: str, level: int) -> None:
        if (more := self._seldom.due(said, time.monotonic())) is not None:
            log.log(level, "%s%s", said, more)

    def make(self, connected: socket.socket, protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        """Have a connection served."""
        connected.setblocking(False)
        task = self._loop.create_task(self._make(connected, protocol))
        self._making[task] = _Making(connected, self._loop.time())
        task.add_done_callback(lambda done: self._making.pop(done, None))

    def adopt(self, passage: Passage) -> None:
        """Serve a connection that another worker passed on."""
        if (taken := passage.take()) is not None:
            self.make(taken[0], functools.partial(_fed, self._protocol, taken[1]))

    def hand_over(self, passage: Passage) -> int:
        """Pass on what nobody has read from yet; how many. For the watchdog's thread."""
        before = len(self._passed)
        for connected, _ in () if self._tls else list(self._making.values()):
            held = self._held.get(connected, b"")
            data = pass_on(passage, connected.fileno(), held)
            if data is None:
                self._passed.add(connected)
            elif data:
                self._held[connected] = held + data
        return len(self._passed) - before

    async def _make(
        self, connected: socket.socket, protocol: Callable[[], asyncio.BaseProtocol]
    ) -> None:
        try:
            made = await self._loop.connect_accepted_socket(protocol, connected, **self._tls)
            if connected in self._passed:
                made[0].abort()
            elif held := self._held.get(connected):
                cast("asyncio.Protocol", made[1]).data_received(held)
        except OSError:  # also what is wrong with its TLS
            connected.close()
        except Exception as error:
            connected.close()
            log.error("a connection could not be made: %s", type(error).__name__)
        finally:
            self._passed.discard(connected)
            self._held.pop(connected, None)


def _fed(protocol: Callable[[], asyncio.BaseProtocol], data: bytes) -> asyncio.BaseProtocol:
    """A protocol that has received ``data`` before anything else comes."""
    fed: Any = protocol()
    made = fed.connection_made

    def connection_made(transport: asyncio.BaseTransport) -> None:
        made(transport)
        fed.data_received(data)

    fed.connection_made = connection_made
    return cast("asyncio.BaseProtocol", fed)
