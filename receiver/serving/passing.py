"""Connections passed on from a worker whose event loop is stuck to one whose loop runs.

Rule 1: all workers share one pair of sockets. Into the one end goes what a stuck worker cannot
        answer, and out of the other end whoever's loop runs takes it.
Rule 2: what was read of a request already goes along; so it is answered as if it had come there.
Rule 3: nothing here blocks: what cannot be passed on at once stays where it is.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
from typing import Self

MOST = 65536
"""Octets of a request that are passed on at most."""

_MARK = b"."  # a message has at least one octet, or it would look like the end


class Passage:
    """The pair of sockets.

    Parameters:
        into: the end for what is passed on.
        out: the end where it is taken.
    """

    def __init__(self, into: socket.socket, out: socket.socket) -> None:
        self._into, self._out = into, out
        for end in (into, out):
            end.setblocking(False)
            end.set_inheritable(False)

    @classmethod
    def make(cls) -> Self:
        """A new one, for the parent of the workers."""
        return cls(*socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM))

    def fileno(self) -> int:
        """What the loop watches."""
        return self._out.fileno()

    def close(self) -> None:
        self._into.close()
        self._out.close()

    def lay(self, channel: socket.socket) -> None:
        """Give the other end of ``channel`` this passage, see `laid`."""
        socket.send_fds(channel, [_MARK], [self._into.fileno(), self._out.fileno()])

    @classmethod
    def laid(cls, channel: socket.socket) -> Passage | None:
        """That which came through ``channel``, if one did."""
        with contextlib.suppress(BlockingIOError):
            _, found, _, _ = socket.recv_fds(channel, 1, 2)
            if len(found) == 2:
                return cls(*(socket.socket(fileno=descriptor) for descriptor in found))
        return None

    def give(self, connected: socket.socket, data: bytes) -> bool:
        """Pass a connection on, with what was read from it; False if that cannot be now."""
        sent = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [connected.fileno()]))
        try:
            return self._into.sendmsg([_MARK, data], [sent]) > 0
        except OSError:
            return False

    def take(self) -> tuple[socket.socket, bytes] | None:
        """A connection that was passed on, and what was read from it; None if none is there."""
        try:
            data, found, _, _ = socket.recv_fds(self._out, 1 + MOST, 1)
        except OSError:  # another was faster
            return None
        if not found:  # there was no descriptor left for it
            return None
        connected = tcp(found[0])
        connected.setblocking(False)
        return connected, data[len(_MARK) :]


def tcp(descriptor: int) -> socket.socket:
    """A socket of TCP that came from another process.

    It has the protocol's number, as those of `receiver.serving.listening.bind` have: not every
    system tells it.

    Raises:
        OSError: it is no socket.
    """
    with socket.socket(fileno=descriptor) as found:
        family, kept = found.family, found.detach()
    return socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, fileno=kept)


def pass_on(passage: Passage, descriptor: int, before: bytes = b"") -> bytes | None:
    """Pass a connection on if something came that was not answered.

    Parameters:
        passage: where to.
        descriptor: of the connection; it stays open.
        before: what was read of the request already.

    Returns:
        None if it was passed on; or else what was read now, which is the caller's to deal with.
    """
    data = b""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(descriptor)) as connected:
        connected.settimeout(0)  # whatever the app told all new sockets (setdefaulttimeout)
        with contextlib.suppress(BlockingIOError):
            data = connected.recv(max(MOST - len(before), 0))
        if before + data and passage.give(connected, before + data):
            return None
    return data


def has_unread(descriptor: int) -> bool:
    """Whether something came on a connection that nobody has read yet; not if only its end came.

    Parameters:
        descriptor: of the connection, which is not closed meanwhile.
    """
    connected = socket.socket(fileno=descriptor)
    try:
        connected.settimeout(0)
        return bool(connected.recv(1, socket.MSG_PEEK))
    except OSError:
        return False
    finally:
        connected.detach()
