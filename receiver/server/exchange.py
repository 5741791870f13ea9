"""One request on a connection, until it is answered: a callback, or a refusal.

Rule 1: a callback whose handler does not wait runs without a task, where the request was read.
Rule 2: after authentication a callback is always answered: if the core raises, or its task is
        cancelled, the caller gets the fallback.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from email.utils import formatdate
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any

from receiver.callbacks.asgi_messages import Answers
from receiver.callbacks.content_coding import TooLarge
from receiver.callbacks.http_limits import Bad
from receiver.callbacks.request import CLOSE, Answer, Gone, Request, Waiting
from receiver.dispatch.eager_task import begin

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus}
_JSON = b"content-type: application/json\r\n"
_CLOSE = b"connection: close\r\n"


class Exchange(ABC):
    """A request on ``connection``, of the kind `receiver.server.http.Http`.

    Attributes:
        keep_alive: whether the connection stays open after the answer.
        due: when the watchdog sends the fallback if the event loop is blocked; 0 for never.
        late: the fallback, JSON.
        written: whether it was sent without the event loop.
    """

    __slots__ = ("connection", "due", "keep_alive", "late", "request", "written")

    def __init__(self, connection: Any, request: Request | None, keep_alive: bool) -> None:
        self.connection, self.request, self.keep_alive = connection, request, keep_alive
        self.due, self.late, self.written = 0.0, b"", False

    @abstractmethod
    def begin(self) -> None:
        """Answer the request, now or later."""

    def take(self, body: bytes) -> None:
        """Receive a part of the body."""

    def end(self) -> None:
        """Handle the end of the request."""

    def gone(self) -> None:
        """Handle a closed connection, or a body that cannot be read."""

    def pause_writing(self) -> None:
        """Pause writing: the client does not read fast enough."""

    def resume_writing(self) -> None:
        """Resume writing: the client reads again."""

    def arm(self, deadline: float, answer: bytes) -> None:
        """Let the watchdog send ``answer``, JSON, if the event loop is blocked at ``deadline``."""
        self.due, self.late = deadline, answer
        watchdog = self.connection.watchdog  # a `receiver.server.watchdog.Watchdog`, or None
        # An earlier answer that is not yet sent must not be overtaken.
        if watchdog is not None and not self.connection.transport.get_write_buffer_size():
            watchdog.armed[self] = None

    def disarm(self) -> bool:
        """Return whether the event loop may answer; if not, the watchdog has answered."""
        if not self.due:
            return True
        watchdog = self.connection.watchdog
        if watchdog is None or watchdog.armed.pop(self, self) is None:
            return True
        with watchdog.writing:
            return not self.written

    def write_late(self) -> None:
        """Send the fallback; called by the watchdog's thread, which holds `Watchdog.writing`."""
        whole = head_of(Answer(200, self.late, (CLOSE,)), True)
        connected_socket: socket.socket = self.connection.transport.get_extra_info("socket")
        with contextlib.suppress(OSError), connected_socket.dup() as connected:
            self.written = send_last(connected, whole)

    def give_up(self) -> None:
        """Write the fallback immediately, if there is one: the event loop is about to end."""
        if self.late and self.disarm():
            self.connection.respond(self, Answer(200, self.late, (CLOSE,)))
            self.written = True  # the handler may still end, or be cancelled


class Refusal(Exchange):
    """A request with invalid framing."""

    def __init__(self, connection: Any, bad: Bad) -> None:
        super().__init__(connection, None, False)
        self._bad = bad

    def begin(self) -> None:
        self.connection.respond(self, Answer(self._bad.status, b"", (CLOSE,)))


class Callback(Exchange):
    """A request for an action, answered by the core."""

    __slots__ = ("_endpoint", "_is_gone", "_is_large", "_limit", "_parts", "_size", "_waiter")
    request: Request

    def __init__(
        self, connection: Any, request: Request, endpoint: Answers, keep_alive: bool
    ) -> None:
        super().__init__(connection, request, keep_alive)
        request.rescue = self
        request.transport = connection.transport
        self._endpoint = endpoint
        self._parts: list[bytes] = []
        self._size = 0
        self._limit = endpoint.body_limit
        length = request.fields.get(b"content-length", b"")
        self._is_large = len(length) > 4 and int(length) > self._limit
        self._waiter: asyncio.Future[bytes] | None = None
        self._is_gone = False

    def take(self, body: bytes) -> None:
        self._parts.append(body)
        self._size += len(body)
        if self._size > self._limit:
            self._is_large = True
            self._parts.clear()
            self._fail(TooLarge())

    def end(self) -> None:
        if not self._is_large:
            body = self.request.body = b"".join(self._parts)
            if self._waiter is not None and not self._waiter.done():
                self._waiter.set_result(body)

    def gone(self) -> None:
        self._is_gone = True
        self._fail(Gone())

    def begin(self) -> None:
        request, loop = self.request, self.connection.loop
        if request.body is None:
            request.read = self._read
        endpoint = self._endpoint
        try:
            if endpoint.may_wait(request):
                begun = begin(endpoint.answer(request), loop)
                if not begun.done():
                    self.connection.shared.tasks.add(begun.task)
                    begun.task.add_done_callback(self._ended)
                    return
                answer = begun.result()
            else:
                endpoint.answer(request).send(None)
                raise RuntimeError("the core waits outside of a task")
        except StopIteration as end:
            answer = end.value
        except BaseException as error:
            self._fell(error)
            return
        self._done(answer)

    def _ended(self, task: asyncio.Task[Answer | Waiting | None]) -> None:
        self.connection.shared.tasks.discard(task)
        self._go_on(task.result)

    def _go_on(self, result: Callable[[], Answer | Waiting | None]) -> None:
        """Send the answer of a task, and continue with the next request."""
        try:
            answer = result()
        except BaseException as error:
            self._fell(error)
        else:
            self._done(answer)
        self.connection.resume()

    def _fell(self, error: BaseException) -> None:
        """Answer after an exception that the core did not turn into an answer."""
        if not self.written:
            self.connection.shared.log_error(error)
        if self.late:  # the credentials were right
            self._done(self._endpoint.failed(self.request, error))
        else:
            self._done(Answer(500, b"", (CLOSE,)))

    def _done(self, answer: Answer | Waiting | None) -> None:
        if answer is not None and not isinstance(answer, Answer):
            answer.notify(partial(self._go_on, answer.finish))
            return
        connection, request = self.connection, self.request
        sent = self.disarm() and not self.written
        request.rescue = request.on_checked = (
            None  # reference cycles would need the garbage collector
        )
        if answer is None or not sent:  # the client has left, or has an answer
            self.keep_alive = False
            connection.finish(self)
        elif not self._is_gone:
            connection.respond(self, answer)
        if answer is not None and answer.after is not None:
            answer.after(sent)

    async def _read(self) -> bytes:
        if self._is_large:
            raise TooLarge
        if self._is_gone:
            raise Gone
        if self.request.body is not None:
            return self.request.body
        if self.request.fields.get(b"expect", b"").lower() == b"100-continue":
            self.connection.expect_more()
        self._waiter = self.connection.loop.create_future()
        return await self._waiter

    def _fail(self, error: Exception) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(error)


def send_last(connected: socket.socket, answer: bytes, *, keep_alive: bool = False) -> bool:
    """Send an answer without the event loop; return whether it was sent.

    It fits into the empty buffer of a socket. Unless the connection stays open, its end is sent
    too, because the event loop may be unable to close it for a long time.
    """
    try:
        connected.settimeout(0)
        sent = connected.send(answer) > 0
        if not keep_alive:
            connected.shutdown(socket.SHUT_WR)
    except OSError:
        return False
    return sent


def head_of(answer: Answer, keep_alive: bool) -> bytes:
    """Return the octets of an answer; without ``keep_alive`` with ``Connection: close``."""
    body = answer.body
    fields = b"".join(b"%b: %b\r\n" % field for field in answer.headers) if answer.headers else b""
    return b"%bcontent-length: %d\r\n%b%b\r\n%b" % (
        first_lines(answer.status, int(time.time()), bool(body)),
        len(body),
        fields,
        b"" if keep_alive else _CLOSE,
        body,
    )


@lru_cache(32)
def first_lines(status: int, now: int, has_body: bool) -> bytes:
    """Return the head up to the date, with the content type of a JSON body, if there is one."""
    phrase = _PHRASES.get(status, b"")
    date = formatdate(now, usegmt=True).encode()
    return b"HTTP/1.1 %d %b\r\ndate: %b\r\n%b" % (status, phrase, date, _JSON if has_body else b"")
