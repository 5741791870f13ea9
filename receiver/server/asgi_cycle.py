"""One request for the ASGI app and its answer, for all paths except those of actions.

Rule: the head of an answer is written together with the first part of its body.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from starlette.types import Message, Scope

from receiver.callbacks.http_limits import APART, TRAILERS
from receiver.callbacks.request import CLOSE, CONNECTION, RESCUE, Answer, Request
from receiver.server.exchange import Exchange, first_lines

MAX_BUFFERED = 65_536
"""Octets of a body that may wait for the app."""


class Cycle(Exchange):
    """A request for the app; ``version`` is that of HTTP, ``path`` the raw one."""

    request: Request

    def __init__(
        self, connection: Any, request: Request, version: str, keep_alive: bool, path: bytes
    ) -> None:
        super().__init__(connection, request, keep_alive)
        self._version, self._path = version, path
        self._body = bytearray()
        self._changed, self._writable = asyncio.Event(), asyncio.Event()
        self._writable.set()
        self._is_complete = self._is_over = self._has_begun = self._is_chunked = False
        self._head = b""
        self._left: int | None = None

    def take(self, body: bytes) -> None:
        if not self._is_over:
            self._body += body
            if len(self._body) > MAX_BUFFERED:
                self.connection.transport.pause_reading()
            self._changed.set()

    def end(self) -> None:
        self._is_complete = True
        self._changed.set()

    def gone(self) -> None:
        self._is_over = True
        self._changed.set()
        self._writable.set()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def begin(self) -> None:
        shared = self.connection.shared
        task = self.connection.loop.create_task(self._run())
        shared.tasks.add(task)
        task.add_done_callback(shared.tasks.discard)

    async def _run(self) -> None:
        shared = self.connection.shared
        try:
            if not self._is_over:
                await shared.app(self._scope(), self._receive, self._send)
        except BaseException as error:
            shared.log_error(error)
            if not isinstance(error, Exception | asyncio.CancelledError):
                raise
        finally:
            if not self._is_over:
                self._close_up()
            self._is_over = True
            self.connection.resume()

    def _close_up(self) -> None:
        """End the answer if the app did not."""
        if not (self._has_begun or self.late):
            self.connection.respond(self, Answer(500, b"", (CLOSE,)))
            return
        if not self._has_begun:
            self.give_up()
        self.keep_alive = False
        self.connection.finish(self)

    def _scope(self) -> Scope:
        connection, request = self.connection, self.request
        root = connection.shared.root_path
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": self._version,
            "server": connection.server,
            "client": connection.client,
            "scheme": "https" if connection.is_secure else "http",
            "method": request.method,
            "root_path": root,
            "path": root + request.path,
            "raw_path": root.encode() + self._path,
            "query_string": request.query,
            "headers": request.headers,
            "state": connection.shared.app_state.copy(),
            TRAILERS: APART,
            CONNECTION: connection.transport,
            RESCUE: self,
        }

    async def _receive(self) -> Message:
        while not (self._body or self._is_complete or self._is_over):
            if self.request.fields.get(b"expect", b"").lower() == b"100-continue":
                self.connection.expect_more()
                self.request.fields = {}
            self._changed.clear()
            await self._changed.wait()
        if self._is_over:
            return {"type": "http.disconnect"}
        body, self._body = bytes(self._body), bytearray()
        self.connection.transport.resume_reading()
        more, self._is_complete = not self._is_complete, False  # the end follows it
        return {"type": "http.request", "body": body, "more_body": more}

    async def _send(self, message: Message) -> None:
        await self._writable.wait()
        if self._is_over:
            return
        if message["type"] == "http.response.start":
            self._begin_answer(message["status"], list(message.get("headers", ())))
        elif message["type"] == "http.response.body":
            self._write(message.get("body", b""), message.get("more_body", False))

    def _begin_answer(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        if self._has_begun:
            raise RuntimeError("the answer has begun already")
        self._has_begun = True
        fields = {name.lower(): value for name, value in headers}
        if fields.get(b"connection", b"").lower() == b"close" or self.connection.shared.is_stopping:
            self.keep_alive = False
        length = fields.get(b"content-length", b"")
        if self.request.method == "HEAD" or status in (204, 304):
            self._left = 0
        elif length.isdigit():
            self._left = int(length)
        elif self._version == "1.1":
            self._is_chunked = True
            headers.append((b"transfer-encoding", b"chunked"))
        else:  # the end of the connection ends the body
            self.keep_alive = False
        if not self.keep_alive and b"connection" not in fields:
            headers.append(CLOSE)
        lines = b"".join(b"%b: %b\r\n" % field for field in headers)
        self._head = b"%b%b\r\n" % (first_lines(status, int(time.time()), False), lines)

    def _write(self, body: bytes, more: bool) -> None:
        if not self._has_begun:
            raise RuntimeError("the answer has not begun")
        if self._left is not None:
            body = body[: self._left]
            self._left -= len(body)
        elif self._is_chunked:
            body = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body += b"" if more else b"0\r\n\r\n"
        head, self._head = self._head, b""
        if head or body:
            self.connection.transport.write(head + body)
        if not more:
            self._is_over = True
            if self._left:
                self.keep_alive = False
            self._changed.set()
            self.connection.finish(self)
            self.connection.resume()
