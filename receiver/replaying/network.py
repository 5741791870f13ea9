"""The network, kept shut while calls are replayed: a CRM shall not hear of them again.

Rule: who tries gets an error as of a host that refuses, and each try is counted. It counts for
Python's own sockets, from all threads; a library that opens connections in C passes by, and so do
programs that a handler starts.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Tries:
    """How often somebody tried."""

    count: int = 0


class NetworkShut(ConnectionRefusedError):
    """`receiver replay` without ``--network`` connects nowhere."""


_METHODS = ("connect", "connect_ex", "sendto", "sendmsg")
_FUNCTIONS = ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr")


@contextmanager
def shut() -> Iterator[Tries]:
    """Keep it shut meanwhile."""
    tries = Tries()

    def refuse(*_: Any, **__: Any) -> None:
        tries.count += 1
        raise NetworkShut("receiver replay keeps the network shut: --network opens it")

    with ExitStack() as doors:
        for name in _METHODS:
            doors.enter_context(_replaced(socket.socket, name, refuse))
        for name in _FUNCTIONS:
            doors.enter_context(_replaced(socket, name, refuse))
        yield tries


@contextmanager
def _replaced(place: Any, name: str, other: object) -> Iterator[None]:
    """Have ``other`` stand at ``name`` meanwhile."""
    own, before = name in vars(place), getattr(place, name)
    setattr(place, name, other)
    try:
        yield
    finally:
        if own:
            setattr(place, name, before)
        else:  # it was inherited
            delattr(place, name)
