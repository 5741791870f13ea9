"""The head of an answer goes out with the body that follows, in one packet.

uvicorn writes one after the other, and each would be a call of the system, which is a sixth of all
that a callback costs a server, and a packet of its own.

Rule 1: nothing waits that is complete: what is written behind a head takes it along, at once. A
        head that nothing follows goes out when the event loop has its next turn, so an app that
        blocks the loop before its first octet delays its head, too.
Rule 2: what waits counts as not sent, and is sent before the connection closes, if it is not lost.
"""

from __future__ import annotations

import asyncio
from typing import Any

_FINAL = (b"HTTP/1.1 2", b"HTTP/1.1 3", b"HTTP/1.1 4", b"HTTP/1.1 5")  # no 100 (Continue)


class Joining:
    """``transport``, as uvicorn's connections use one.

    Parameters:
        transport: of one connection.
        loop: the one that runs.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._head = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._head:
            self._head, data = b"", b"".join((self._head, data))
        elif type(data) is bytes and data.startswith(_FINAL) and data.endswith(b"\r\n\r\n"):
            self._head = data
            self._loop.call_soon(self._flush)
            return
        self._transport.write(data)

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def get_write_buffer_size(self) -> int:
        return len(self._head) + self._transport.get_write_buffer_size()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            head, self._head = self._head, b""
            if not self._transport.is_closing():
                self._transport.write(head)
