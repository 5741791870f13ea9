"""Hand a connection over to another worker, through a pair of sockets.

Rule 1: all workers share one pair. A worker whose event loop is blocked sends connections to one
        end; any worker whose loop runs receives them from the other.
Rule 2: the octets that were read, and the time of their arrival, are sent along, so the request is
        answered as if it had arrived at the other worker.
Rule 3: no call blocks: a connection that cannot be sent now is kept.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
import struct
from dataclasses import dataclass, field
from typing import Self

from receiver.server.sockets import stream_socket

MAX_OCTETS = 65536
"""Most octets of a request that are read without the event loop, and handed over."""

_TIME = struct.Struct("d")
_MARK = b"."  # a message needs an octet: an empty one is the end


@dataclass(slots=True, eq=False)
class Pending:
    """A connection that the watchdog's thread reads while the event loop is blocked.

    Attributes:
        connected: its socket.
        before: the octets of a request that the event loop has read.
        data: the octets after ``before`` that the thread has read; the event loop continues with
            them.
        since: when ``data`` arrived, in the event loop's time; 0 without data.
        is_shared: whether another worker may have it open too.
        is_copy: whether ``connected`` is a copy of a socket of the event loop.
        is_made: whether the event loop makes a protocol for ``connected``.
        ended: whether it was answered, handed over or closed by the client.
    """

    connected: socket.socket
    data: bytes = b""
    since: float = 0.0
    before: bytes = b""
    is_shared: bool = False
    is_copy: bool = False
    is_made: bool = False
    ended: bool = False
    inode: int = field(init=False)

    def __post_init__(self) -> None:
        self.inode = os.fstat(self.connected.fileno()).st_ino  # the same for all copies

    def receive(self, since: float) -> bool:
        """Read what arrived after ``since``; return whether the connection is open for reading.

        At most `MAX_OCTETS` octets are read in total.
        """
        room = MAX_OCTETS - len(self.before) - len(self.data)
        try:
            self.connected.settimeout(0)  # also if the app has set a default (setdefaulttimeout)
            data = self.connected.recv(room) if room > 0 else None
        except BlockingIOError:
            data = None
        except OSError:
            data = b""
        if data:
            self.since = self.since or since
            self.data += data
        return data != b""


class Handover:
    """The pair of sockets.

    Parameters:
        into: the end to send connections to.
        out: the end to receive them from.
    """

    def __init__(self, into: socket.socket, out: socket.socket) -> None:
        self._into, self._out = into, out
        for end in (into, out):
            end.setblocking(False)
            end.set_inheritable(False)

    @classmethod
    def make(cls) -> Self:
        """Return a new pair, for the parent of the workers."""
        return cls(*socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))

    def fileno(self) -> int:
        """Return the descriptor that is readable when a connection can be received."""
        return self._out.fileno()

    def close(self) -> None:
        self._into.close()
        self._out.close()

    def share(self, channel: socket.socket) -> None:
        """Send this pair to the other end of ``channel``, see `received`."""
        socket.send_fds(channel, [_MARK], [self._into.fileno(), self._out.fileno()])

    @classmethod
    def received(cls, channel: socket.socket) -> Handover | None:
        """Return the pair that arrived on ``channel``, if one did."""
        with contextlib.suppress(BlockingIOError):
            _, descriptors, _, _ = socket.recv_fds(channel, 1, 2)
            if len(descriptors) == 2:
                return cls(*(socket.socket(fileno=descriptor) for descriptor in descriptors))
        return None

    def send(self, pending: Pending) -> bool:
        """Hand a connection over; return False if that is not possible now."""
        descriptors = array.array("i", [pending.connected.fileno()])
        sent = (socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)
        message = [_MARK, _TIME.pack(pending.since), pending.before, pending.data]
        try:
            return self._into.sendmsg(message, [sent]) > 0
        except OSError:
            return False

    def receive(self) -> Pending | None:
        """Return a connection that another worker handed over; None without one."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._out, 1 + _TIME.size + MAX_OCTETS, 1)
        except OSError:  # another worker was faster
            return None
        if not descriptors:  # no descriptor was left for it
            return None
        connected = stream_socket(descriptors[0])
        connected.setblocking(False)
        begin = len(_MARK) + _TIME.size
        since: float = _TIME.unpack_from(data, len(_MARK))[0]
        return Pending(connected, data[begin:], since, is_shared=True)
