"""Block the network while calls are replayed: a CRM must not get the same requests again.

Rule: a connection attempt fails as if the host refused it, and is counted. This covers sockets of
Python in all threads, but not libraries that connect in C, and not programs that a handler starts.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Attempts:
    """The number of connection attempts."""

    count: int = 0


class NetworkBlocked(ConnectionRefusedError):
    """`receiver replay` without ``--network`` connects nowhere."""


_METHODS = ("connect", "connect_ex", "sendto", "sendmsg")
_FUNCTIONS = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr")


@contextmanager
def blocked_network() -> Iterator[Attempts]:
    """Block the network in the ``with`` block."""
    attempts = Attempts()

    def refuse(*_: Any, **__: Any) -> None:
        attempts.count += 1
        raise NetworkBlocked("receiver replay blocks the network: --network allows it")

    with ExitStack() as stack:
        for name in _METHODS:
            stack.enter_context(_replaced(socket.socket, name, refuse))
        for name in _FUNCTIONS:
            stack.enter_context(_replaced(socket, name, refuse))
        yield attempts


@contextmanager
def _replaced(place: Any, name: str, other: object) -> Iterator[None]:
    """Replace the attribute ``name`` in the ``with`` block."""
    is_own, before = name in vars(place), getattr(place, name)
    setattr(place, name, other)
    try:
        yield
    finally:
        if is_own:
            setattr(place, name, before)
        else:  # it was inherited
            delattr(place, name)
