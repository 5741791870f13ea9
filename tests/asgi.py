"""A request as a server would hand it to the app, of any octets, and the status of its answer."""

from __future__ import annotations

from typing import Any

from starlette.types import Message, Scope

from receiver import Receiver
from receiver.callbacks.http_limits import APART, TRAILERS

KNOWN = {200, 400, 401, 403, 404, 405, 411, 413, 414, 415, 429, 431, 501, 505}
"""The statuses of answers."""


def http_scope(
    path: bytes, query: bytes, method: str, headers: list[tuple[bytes, bytes]], **more: Any
) -> Scope:
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path.decode("utf-8", "replace"),
        "raw_path": path,
        "query_string": query,
        "root_path": "",
        "headers": headers,
        "client": ("192.0.2.7", 5),
        "server": ("127.0.0.1", 80),
        TRAILERS: APART,
        **more,
    }


async def status_of(app: Receiver, scope: Scope, body: bytes = b"") -> int:
    """Return the status of the answer; the body is sent in two parts."""
    parts = [body[: len(body) // 2], body[len(body) // 2 :]]
    sent: list[Message] = []

    async def receive() -> Message:
        if not parts:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    for name, value in sent[0]["headers"]:
        assert not set(name + value) & set(b"\r\n\0")
    status = sent[0]["status"]
    assert isinstance(status, int)
    return status
