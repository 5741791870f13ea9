"""A handover between two workers, and a connection to hand over."""

import socket
from collections.abc import Iterator

import pytest

from receiver.server.handover import Handover
from receiver.server.sockets import bind

Pair = tuple[socket.socket, socket.socket]


@pytest.fixture
def handover() -> Iterator[Handover]:
    handover = Handover.make()
    yield handover
    handover.close()


@pytest.fixture
def pair() -> Iterator[Pair]:
    with bind("127.0.0.1", 0) as listener:
        theirs = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    with ours, theirs:
        theirs.settimeout(60)
        yield ours, theirs
