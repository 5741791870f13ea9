"""Children that are forked from a process that serves."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from receiver.server.sockets import bind, close_in_children, is_served, place_of_listener


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_closes_the_listener_and_its_connections() -> None:
    with bind("127.0.0.1", 0) as listener:
        close_in_children(listener)
        address = listener.getsockname()
        with socket.create_connection(address) as client:
            connected, _ = listener.accept()
            read, write = os.pipe()
            if (child := os.fork()) == 0:
                os.read(read, 1)  # it lives until the parent has looked
                os._exit(0)
            connected.close()
            listener.close()
            try:
                client.settimeout(60)
                assert client.recv(1) == b""
                with pytest.raises(ConnectionRefusedError):
                    socket.create_connection(address)
            finally:
                os.write(write, b".")
                os.waitpid(child, 0)
                os.close(read)
                os.close(write)


@pytest.mark.parametrize(
    ("host", "to", "is_ours"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("0.0.0.0", "127.0.0.2", True),  # noqa: S104 - for the moment of a test
        ("::1", "::1", True),
        ("::", "127.0.0.1", True),
        ("::1", "127.0.0.1", False),
    ],
)
def test_connections_to_other_addresses_with_the_same_port_are_not_served(
    host: str, to: str, is_ours: bool
) -> None:
    with bind(host, 0) as listener:
        port = listener.getsockname()[1]
        places = {place_of_listener(listener)}
        with (
            listener.dup() if is_ours else bind(to, port) as asked,
            socket.create_connection((to, port)) as client,
        ):
            connected, _ = asked.accept()
            with connected:
                assert is_served(listener, places)
                assert is_served(connected, places) == is_ours
                assert not is_served(client, places)


def test_connections_to_a_path_and_datagrams(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        client.connect(str(tmp_path / "socket"))
        connected, _ = listener.accept()
        with connected:
            places = {place_of_listener(listener)}
            assert is_served(connected, places)
            assert not is_served(client, places)
    with bind("127.0.0.1", 0) as listener, socket.socket(type=socket.SOCK_DGRAM) as found:
        found.bind(listener.getsockname())
        assert not is_served(found, {place_of_listener(listener)})
