"""What goes in and out of an ASGI server: one body read within bounds, one answer sent.

Rule 1: an answer is whole: with its length, not compressed, not in chunks, without a cookie.
Rule 2: a small body is read and dropped before a refusal. An answer before the body is read closes
        the connection, which proxies turn into a 502, and which costs the PBX a further connection
        for the second leg of digest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from starlette.types import Message, Receive, Scope, Send

BODY_LIMIT = 65536
"""Bytes. A callback has a few hundred."""

DRAIN_TIME = 0.2
"""Seconds that a refusal waits for the rest of a body. curl, told to send digest chunked, begins
with a body that it never ends, and waits for the 401."""

CLOSE = (b"connection", b"close")

Header = tuple[bytes, bytes]


class TooLarge(Exception):
    """The body is over the limit."""


class Gone(Exception):
    """The sender left before its request was complete."""


async def read(scope: Scope, receive: Receive) -> bytes:
    """The whole body.

    Raises:
        TooLarge: it is longer, or says that it will be longer, than `BODY_LIMIT`.
        Gone: the sender left.
    """
    for key, value in scope["headers"]:
        if key == b"content-length" and value.isdigit() and int(value[:9]) > BODY_LIMIT:
            raise TooLarge
    body = bytearray()
    while True:
        message: Message = await receive()
        if message["type"] != "http.request":
            raise Gone
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT:
            raise TooLarge
        if not message.get("more_body", False):
            return bytes(body)


async def refuse(
    scope: Scope, receive: Receive, send: Send, status: int, headers: Iterable[Header] = ()
) -> None:
    """Answer without a reply, after a small body was read and dropped."""
    try:
        async with asyncio.timeout(DRAIN_TIME):
            await read(scope, receive)
    except (TooLarge, TimeoutError):
        headers = (*headers, CLOSE)
    except Gone:
        return
    await respond(send, status, b"", headers)


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
