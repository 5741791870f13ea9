"""ASGI messages: read one body within limits, send one answer.

Rule: an answer has its length; it is not compressed, not chunked, and has no cookie.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Protocol

from starlette.types import Message, Receive, Scope, Send

from receiver.callbacks import request as requests
from receiver.callbacks.content_coding import TooLarge
from receiver.callbacks.http_limits import Header
from receiver.callbacks.request import BODY_LIMIT, CLOSE, Answer, Gone, Request, Waiting


class Answers(Protocol):
    """The interface of a path that answers requests, such as an action.

    Attributes:
        body_limit: octets that the body of a request may have.
    """

    body_limit: int = BODY_LIMIT

    def may_wait(self, request: Request) -> bool:
        """Return whether `answer` may need the task that it runs in."""
        ...

    async def answer(self, request: Request) -> Answer | Waiting | None:
        """Return the answer, or the `Waiting` callback; None if the client has left."""
        ...

    def answer_blocked(self, request: Request, now: float, at_once: bool) -> Answer | None:
        """Return the answer while the event loop is blocked; see `Endpoint.answer_blocked`."""
        ...

    def failed(self, request: Request, error: BaseException) -> Answer:
        """Return the answer after ``error`` came out of `answer`.

        Called only if the credentials are right: if a watchdog was armed.
        """
        return Answer(500, b"", (CLOSE,))


def without_added_slash(scope: Scope) -> Scope:
    """Return ``scope`` with the path as it was sent.

    Litestar appends a slash to the path of a mounted app, and without a prefix leaves out the
    first one; the path as it was sent (``raw_path``) has it right.
    """
    path: str = scope["path"]
    sent: bytes = (scope.get("raw_path") or b"/").partition(b"?")[0]
    if not path.endswith("/") or sent.endswith(b"/"):
        return scope
    return {**scope, "path": "/" + path.removesuffix("/").removeprefix("/")}


async def read(scope: Scope, receive: Receive, limit: int = BODY_LIMIT) -> bytes:
    """Return the whole body.

    Raises:
        TooLarge: it is longer, or says that it will be longer, than ``limit``.
        Gone: the client left.
    """
    for key, value in scope["headers"]:
        if key == b"content-length" and value.isdigit() and int(value[:9]) > limit:
            raise TooLarge
    body = bytearray()
    while True:
        message: Message = await receive()
        if message["type"] != "http.request":
            raise Gone
        body += message.get("body", b"")
        if len(body) > limit:
            raise TooLarge
        if not message.get("more_body", False):
            return bytes(body)


async def answer(endpoint: Answers, request: Request, send: Send) -> None:
    """Answer a request of an ASGI server; with the fallback, if it is cancelled meanwhile.

    Raises:
        asyncio.CancelledError: it was cancelled; the answer was sent.
    """
    result = await endpoint.answer(request)
    if result is None:
        return
    if isinstance(result, Answer):
        await _send(result, request, send)
        return
    try:
        ready = await result.wait()
    except asyncio.CancelledError:
        await _send(result.finish(), request, send)
        raise
    await _send(ready, request, send)


async def _send(answer: Answer, request: Request, send: Send) -> None:
    sent = request.rescue is None or request.rescue.disarm()
    try:
        if sent:
            await respond(send, answer.status, answer.body, answer.headers)
    finally:  # also if the client has left
        if answer.after is not None:
            answer.after(sent)


async def refuse(
    scope: Scope, receive: Receive, send: Send, status: int, headers: tuple[Header, ...] = ()
) -> None:
    """Refuse a request, after a small body was read and dropped."""
    request = Request.of_scope(scope, lambda: read(scope, receive))
    answer = await requests.refuse(request, status, headers)
    if answer is not None:
        await respond(send, answer.status, b"", answer.headers)


async def respond(
    send: Send,
    status: int,
    body: bytes,
    headers: Iterable[Header] = (),
    *,
    kind: bytes = b"application/json",
) -> None:
    """Send an answer; ``kind`` is the content type of a body."""
    length = (b"content-length", str(len(body)).encode())
    typed = [(b"content-type", kind)] if body else []
    start = {"type": "http.response.start", "status": status, "headers": [*typed, length, *headers]}
    await send(start)
    await send({"type": "http.response.body", "body": body})
