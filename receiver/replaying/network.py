"""The network, kept shut while calls are replayed: a CRM shall not hear of them again.

Rule: who tries gets an error as of a host that refuses, and each try is counted. It counts for
Python's own sockets, from all threads; a library that opens connections in C passes by, and so do
programs that a handler starts.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock


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

    doors = [(socket.socket, name) for name in _METHODS]
    doors += [(socket, name) for name in _FUNCTIONS]  # type: ignore[misc]  # a module, for once
    patches = [mock.patch.object(place, name, refuse, create=True) for place, name in doors]
    for patch in patches:
        patch.start()
    try:
        yield tries
    finally:
        for patch in patches:
            patch.stop()
