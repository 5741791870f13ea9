"""A CRM on a real socket that answers from a script; a clock set by hand; a call with a time."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from receiver import Call

HANG = b"hang"
"""No answer until `Crm.released`, then `OK`."""

DROP = b""
"""The connection ends without an answer."""


def answer(body: bytes = b'{"name":"Ada"}', status: str = "200 OK", head: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{head}\r\n".encode() + body


OK = answer()
BROKEN = answer(b"sorry", "503 Service Unavailable")
CUT = OK[:-4]
"""The connection ends in the midst of the answer."""


@dataclass(frozen=True)
class Timed(Call):
    """A call that has ``left`` seconds."""

    left: float = math.inf

    def remaining(self) -> float:
        return self.left


class Crm:
    """Answers request after request with the steps of ``script``, the last one again and again."""

    def __init__(self, *script: bytes) -> None:
        self.script = list(script) or [OK]
        self.requests: list[str] = []
        self.connections = 0
        self.open: set[asyncio.StreamWriter] = set()
        self.released = asyncio.Event()
        self._changed = asyncio.Condition()

    @property
    def count(self) -> int:
        return len(self.requests)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        host, port = self._server.sockets[0].getsockname()
        self.url = f"http://{host}:{port}"

    def listen_no_more(self) -> None:
        self._server.close()

    async def stop(self) -> None:
        self.listen_no_more()
        self.released.set()
        for writer in self.open:
            writer.close()
        await self.until(lambda: not self.open)

    async def until(self, condition: Callable[[], bool]) -> None:
        async with self._changed, asyncio.timeout(60):
            await self._changed.wait_for(condition)

    async def received(self, count: int) -> None:
        """Wait until ``count`` requests have arrived."""
        await self.until(lambda: self.count >= count)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open.add(writer)
        try:
            while await self._serve(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has closed
        finally:
            writer.close()
            self.open.discard(writer)
            await self._tell()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        size = [line for line in head.lower().splitlines() if line.startswith("content-length")]
        body = await reader.readexactly(int(size[0].split()[1])) if size else b""
        self.requests.append(head + body.decode())
        step = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        await self._tell()
        if step == HANG:
            await self.released.wait()
            step = OK
        writer.write(step)
        await writer.drain()
        return step not in (CUT, DROP)

    async def _tell(self) -> None:
        async with self._changed:
            self._changed.notify_all()


class Clock:
    """The running loop's clock, which can be set forward; a frozen one advances only then."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *, frozen: bool = False) -> None:
        self._ahead = 0.0
        loop = asyncio.get_running_loop()
        real, begin = loop.time, loop.time()
        monkeypatch.setattr(loop, "time", lambda: (begin if frozen else real()) + self._ahead)

    def advance(self, seconds: float) -> None:
        self._ahead += seconds
