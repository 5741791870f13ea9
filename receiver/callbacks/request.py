"""Requests and answers as plain values, between a server and the callback core.

`receiver.server.http` (a connection) and `receiver.callbacks.asgi_messages` (ASGI) make a
`Request`, pass it to the core and send the `Answer`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol, cast
from urllib.parse import quote

from msgspec import Struct
from starlette.types import Scope

from receiver.callbacks.content_coding import ACCEPTED, TooLarge, UnsupportedCoding, decode
from receiver.callbacks.http_limits import Header
from receiver.callbacks.parser import Callback, read_body, read_query
from receiver.dispatch.eager_task import within
from receiver.observability.metrics import COUNTS, REFUSALS

RESCUE = "receiver.rescue"
"""Key of the scope: the `Rescue` of a request, if there is one."""

CONNECTION = "receiver.connection"
"""Key of the scope: the transport of a request."""

ARRIVED = "receiver.arrived"
"""Key of the scope: the arrival of the request, in the event loop's time, if it is known."""

STOPPING = "receiver.stopping"
"""Key of the server's state: an event that is set when the server begins to stop."""

BODY_LIMIT = 65536
"""Bytes. A callback has a few hundred."""

DRAIN_TIME = 0.2
"""Seconds that a refusal waits for the rest of a body. curl with digest and a chunked body begins
with a body that it never ends, and waits for the 401."""

CLOSE: Header = (b"connection", b"close")

log = logging.getLogger("receiver")


class Gone(Exception):
    """The client left before its request was complete."""


Read = Callable[[], Coroutine[Any, None, bytes]]
"""Returns the body of a request once it is complete. Raises `TooLarge` and `Gone`."""


class Rescue(Protocol):
    """The interface by which a watchdog answers a request while the event loop is blocked."""

    def arm(self, deadline: float, answer: bytes) -> None:
        """Send ``answer``, a JSON body, if the event loop is blocked at ``deadline``."""
        ...

    def disarm(self) -> bool:
        """Return whether the event loop may answer; if not, the watchdog has answered."""
        ...


async def _gone() -> bytes:
    raise Gone


class Request(Struct, eq=False):  # it refers to its exchange, which refers to it
    """One HTTP request.

    Attributes:
        method: in capital letters.
        path: decoded, without a prefix under which the app is mounted.
        target: path and query as they were sent.
        query: without the question mark.
        headers: names in lower case, and values, in the order of the request.
        fields: the same as a mapping; of headers with one name it has the last.
        client: address and port of the peer, if they are known.
        server: where the server listens; on a Unix socket its path and None.
        loop: the running event loop.
        arrived: of the request, in the event loop's time.
        body: None until it is complete.
        read: see `Read`.
        transport: of the connection, for its round-trip time.
        rescue: None if no watchdog can answer.
        on_checked: called when the credentials are right, as far as this process knows, and a
            shared store is about to be queried for a replay.
    """

    method: str
    path: str
    target: bytes
    query: bytes
    headers: Sequence[Header]
    fields: Mapping[bytes, bytes]
    client: tuple[str, int] | None
    server: tuple[str, int | None] | None
    loop: asyncio.AbstractEventLoop
    arrived: float
    body: bytes | None = None
    read: Read = _gone
    transport: asyncio.BaseTransport | None = None
    rescue: Rescue | None = None
    on_checked: Callable[[], None] | None = None

    def __repr__(self) -> str:
        return f"Request({self.method!r})"  # all else may hold credentials or caller data

    @classmethod
    def of_scope(
        cls, scope: Scope, read: Read = _gone, loop: asyncio.AbstractEventLoop | None = None
    ) -> Request:
        """Return the request of an ASGI scope.

        Parameters:
            read: see `Read`.
            loop: the running event loop; not needed to authenticate a request only.
        """
        path: str = scope["path"]
        raw: bytes = scope.get("raw_path") or quote(path).encode()
        if root := scope.get("root_path", "").rstrip("/"):
            path = path[len(root) :] if path.startswith(root + "/") else path
        query: bytes = scope["query_string"]
        return cls(
            scope["method"],
            path,
            raw + b"?" + query if query else raw,
            query,
            scope["headers"],
            dict(scope["headers"]),
            scope.get("client"),
            scope.get("server"),
            cast("asyncio.AbstractEventLoop", loop),
            scope.get(ARRIVED) or (loop.time() if loop else 0.0),
            None,
            read,
            scope.get(CONNECTION),
            scope.get(RESCUE),
        )

    def all(self, name: bytes) -> tuple[str, ...]:
        """Return the values of all headers ``name``."""
        if len(self.fields) == len(self.headers):
            value = self.fields.get(name)
            return () if value is None else (value.decode("latin-1"),)
        return tuple([value.decode("latin-1") for key, value in self.headers if key == name])


class Answer(Struct, eq=False, gc=False):
    """The answer to a request.

    Attributes:
        status: of HTTP.
        body: with ``content_type``, if it is not empty.
        headers: without the length and the type of the body. With `CLOSE` the connection ends.
        after: called once the answer is sent; with False if the watchdog had sent one.
    """

    status: int
    body: bytes = b""
    headers: tuple[Header, ...] = ()
    after: Callable[[bool], None] | None = None


class Waiting(Protocol):
    """A callback whose handler waits for something."""

    def notify(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` once, when the handler has ended or its answer is due."""
        ...

    def finish(self) -> Answer:
        """Return the answer; called after `notify` has called, or `wait` was cancelled."""
        ...

    async def wait(self) -> Answer:
        """Return the answer when the handler has ended or its answer is due."""
        ...


async def drain(request: Request) -> tuple[Header, ...] | None:
    """Wait a moment for the body of a request that is refused, and drop it.

    A refusal before the body was read would close the connection, which proxies turn into a 502,
    and the PBX would need another connection for the second request of digest.

    Returns:
        Headers for the answer: `CLOSE` if the body is incomplete. None if the client has left.
    """
    try:
        async with asyncio.timeout(DRAIN_TIME):
            await request.read()
    except (TooLarge, TimeoutError):
        return (CLOSE,)
    except Gone:
        return None
    return ()


async def refuse(request: Request, status: int, headers: tuple[Header, ...] = ()) -> Answer | None:
    """Return a refusal, after a small body was read and dropped; None if the client has left."""
    more = await drain(request) if request.body is None else ()
    return None if more is None else Answer(status, b"", (*headers, *more))


async def read_decoded(
    request: Request, name: str, limit: int, due: float
) -> bytes | Answer | None:
    """Return the body of a request with the right credentials, or an answer if it is unreadable.

    Parameters:
        name: of the action or endpoint, in the log.
        limit: octets of the decoded body.
        due: when it must be complete, in the event loop's time.

    Returns:
        None if the client has left.

    Raises:
        TimeoutError: it was not complete in time.
    """
    try:
        body = request.body
        if body is None:
            body = await within(due, request.read())
        return decode(request.headers, body, limit)
    except UnsupportedCoding as error:
        COUNTS.add(REFUSALS, ("coding",))
        log.warning("%s refused: the body, %s", name, error)
        return Answer(415, b"", (ACCEPTED,))
    except TooLarge:
        COUNTS.add(REFUSALS, ("size",))
        log.warning("%s refused: a body over %d bytes", name, limit)
        return Answer(413, b"", (CLOSE,))
    except Gone:
        log.info("%s: the client left too early", name)
        return None


def read_callback(request: Request, body: bytes) -> Callback:
    """Return the callback in the body or the query of a request.

    Raises:
        CallbackError: it cannot be read.
    """
    if request.method == "GET" or not body or body.isspace():
        return read_query(request.query)
    return read_body(body, request.fields.get(b"content-type", b"").decode("latin-1"))
