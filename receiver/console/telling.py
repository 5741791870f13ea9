"""What the workers of a machine tell the console in production, and how: a worker's end.

Rule 1: a worker tells of callbacks that were answered, masked as in a recording
        (`receiver.recordings.masking`), in datagrams, from a thread of its own. No callback waits
        for the console; what it does not take in time is lost, counted, and told of by number.
Rule 2: a destination that the declarations name is told as it is, whatever the caller keyed in, but
        for sensitive actions: the map of where calls go is made of them.
Rule 3: a datagram stands for itself; all workers send into the same socket, which they inherit.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec
from msgspec import Struct, structs

from receiver.actions import Action
from receiver.console.destinations import declared
from receiver.ladders import Fallback
from receiver.recordings.gathering import Answered, Gathering
from receiver.recordings.lines import Recorded
from receiver.recordings.masking import Masker
from receiver.replies import Forward
from receiver.secrets import Secret, derive_key

MOST = 2000
"""Callbacks that may wait to be told of."""

AT_ONCE = 20
"""Callbacks in one datagram."""

PATIENCE = 1.0
"""Seconds that the console has to take a datagram."""

LARGEST = 1024 * 1024
"""Octets that a datagram, or those that wait, may have."""

log = logging.getLogger("receiver")


class Told(Struct, frozen=True, array_like=True):
    """One callback.

    Attributes:
        record: what was decided, masked.
        arrived: seconds since the epoch.
        authentication, body: seconds that these stages took.
        budget: seconds that the PBX waits.
    """

    record: Recorded
    arrived: float
    authentication: float
    body: float
    budget: float


class Message(Struct, frozen=True, array_like=True):
    """What one worker tells.

    Attributes:
        worker: its number as a process.
        callbacks: that it answered.
        lost: how many before these it could not tell of.
    """

    worker: int
    callbacks: tuple[Told, ...]
    lost: int = 0


_encode = msgspec.msgpack.Encoder().encode
_decode: Callable[[bytes], Message] = msgspec.msgpack.Decoder(Message).decode


def lay() -> tuple[socket.socket, socket.socket]:
    """The end for the workers, and that for the console; for the parent of both."""
    workers, console = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    workers.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST)
    return workers, console


def read(console: socket.socket) -> Iterator[Message]:
    """What is there to be read now; a datagram that is none of ours is passed over."""
    while True:
        try:
            yield _decode(console.recv(LARGEST))
        except BlockingIOError:
            return
        except msgspec.MsgspecError:
            continue


class Teller(Gathering):
    """Tells of the callbacks of an app.

    Parameters:
        end: the socket, see `lay`.
        secret: the service's.
        actions: all that the app has.
        fallbacks: the app's, by the label of a PBX.
        caller_data: whether digits, numbers and names are told, but for sensitive actions.
        clock: seconds since the epoch.
    """

    def __init__(
        self,
        end: socket.socket,
        secret: Secret,
        actions: Iterable[Action],
        fallbacks: Mapping[str, Fallback],
        *,
        caller_data: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        end.settimeout(PATIENCE)
        self._end = end
        key = derive_key(secret, "console", "alias")
        actions = tuple(actions)
        self._masker = Masker(key, actions, caller_data=caller_data)
        self._named = {
            identity: frozenset((*one.names, *one.fallback))
            for identity, one in declared(actions, fallbacks).items()
        }
        super().__init__(
            self._write, lost=lambda many: None, most=MOST, name="receiver-console", clock=clock
        )

    def close(self) -> None:
        """Tell of what is left; nothing is told afterwards."""
        super().close()
        self._end.close()

    def _write(self, callbacks: list[Answered], lost: int) -> int:
        left = len(callbacks)
        for first in range(0, len(callbacks), AT_ONCE):
            told = tuple(map(self._told, callbacks[first : first + AT_ONCE]))
            try:
                self._end.send(_encode(Message(os.getpid(), told, lost)))
            except OSError:  # nobody reads, in time or at all: the rest fares alike
                return left
            left -= len(told)
            lost = 0
        return 0

    def _told(self, answered: Answered) -> Told:
        times, record = answered.times, answered.masked(self._masker)
        match answered.decision.reply:
            case Forward(to) if to in self._named[record.action] and not answered.action.sensitive:
                record = structs.replace(record, destination=to)
        return Told(
            record,
            answered.when - (times.answered - times.arrived),
            round(times.admitted - times.arrived, 6),
            round(times.read - times.admitted, 6),
            float(answered.action.request_timeout),
        )
