"""The sockets through which a worker hands connections over."""

from __future__ import annotations

import socket
import time

import pytest

from receiver.server.handover import MAX_OCTETS, Handover, Pending
from receiver.server.sockets import has_unread, stream_socket
from tests.server.conftest import Pair


def test_a_connection_goes_on_elsewhere(pair: Pair, handover: Handover) -> None:
    ours, theirs = pair
    assert handover.receive() is None
    theirs.sendall(b"two")
    assert ours.recv(0, socket.MSG_PEEK) == b""  # it is there
    pending = Pending(ours, before=b"one ")
    assert pending.receive(7.25)
    assert handover.send(pending)
    ours.close()
    taken = handover.receive()
    assert taken is not None
    with taken.connected as connected:
        assert (taken.data, taken.since) == (b"one two", 7.25)
        assert connected.getpeername() == theirs.getsockname()
        connected.sendall(b"three")
        assert theirs.recv(5) == b"three"
    assert handover.receive() is None


def test_a_silent_or_long_request_stays(pair: Pair, handover: Handover) -> None:
    ours, theirs = pair
    silent = Pending(ours)
    assert silent.receive(1.0)
    assert (silent.data, silent.since) == (b"", 0.0)
    theirs.sendall(b"more")
    assert Pending(ours, before=bytes(MAX_OCTETS)).receive(1.0)
    long = Pending(ours, bytes(MAX_OCTETS - 4), before=b"be")
    assert long.receive(1.0)
    assert long.data[MAX_OCTETS - 4 :] == b"mo"
    handover.close()
    assert not handover.send(long)
    theirs.shutdown(socket.SHUT_WR)
    assert silent.receive(2.0)
    assert (silent.data, silent.since) == (b"re", 2.0)
    assert not silent.receive(3.0)
    ours.close()
    assert not silent.receive(4.0)
    assert (silent.data, silent.since) == (b"re", 2.0)


def test_reading_never_blocks_with_a_default_timeout(pair: Pair) -> None:
    ours, _ = pair
    socket.setdefaulttimeout(60)
    try:
        begin = time.monotonic()
        assert Pending(ours).receive(1.0)
        assert not has_unread(ours.fileno())
        assert time.monotonic() - begin < 50
    finally:
        socket.setdefaulttimeout(None)


def test_unread_octets_are_seen_and_stay(pair: Pair) -> None:
    ours, theirs = pair
    assert not has_unread(ours.fileno())
    theirs.sendall(b"here")
    assert ours.recv(0, socket.MSG_PEEK) == b""
    assert has_unread(ours.fileno())
    assert ours.recv(4) == b"here"
    theirs.shutdown(socket.SHUT_WR)
    assert ours.recv(4) == b""
    assert not has_unread(ours.fileno())


def test_the_pair_is_shared_through_a_channel(pair: Pair, handover: Handover) -> None:
    near, far = socket.socketpair()
    far.setblocking(False)
    with near, far:
        assert Handover.received(far) is None
        handover.share(near)
        other = Handover.received(far)
        assert other is not None
        assert other.send(Pending(pair[0], b"hello", 1.0))
        taken = handover.receive()
        assert taken is not None
        assert taken.data == b"hello"
        taken.connected.close()
        other.close()


def test_a_descriptor_of_a_file_is_refused() -> None:
    with open("/dev/null", "rb") as file, pytest.raises(OSError, match="non-socket"):
        stream_socket(file.fileno())
