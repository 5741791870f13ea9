"""Observer of a handler's requests: it reports, delays, fails, records or answers them.

Rule 1: An observer exists only if one was set in the context of a callback (``receiver dev``, a
        recording, a replay); without it a request only reads one more context variable.
Rule 2: A request is recorded once: by `receiver.upstream.Client`, or else by the transport, see
        `receiver.upstream.interception`.
Rule 3: The result of a fetch that several callbacks share (`receiver.upstream.Lookup`) is shared
        with its requests: they belong to each callback that got the result.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeVar

from receiver.errors import CircuitOpen, UpstreamError, UpstreamLate, UpstreamRefused

if TYPE_CHECKING:
    import httpx

T = TypeVar("T")

Sender = Literal["", "client", "transport"]
"""The sender of the current request: nothing yet, `receiver.upstream.Client`, or a transport."""


class UpstreamRequest(NamedTuple):
    """One request of a handler to another service.

    Attributes:
        method, host, path: of the request; for a cached answer ``host`` is the name of the fetch
            function, and the others are empty.
        status: of the answer; None without an answer or request.
        seconds: duration.
        source: source of the answer; ``circuit`` if the circuit was open and no request was sent.
        body: of the answer; None if it is unknown.
        retry_after: seconds, of an answer that is not 2xx.
        is_late: whether there was no answer in time.
    """

    method: str
    host: str
    path: str
    status: int | None
    seconds: float
    source: Literal["network", "cache", "circuit"]
    body: bytes | None = None
    retry_after: float | None = None
    is_late: bool = False


class RequestObserver:
    """Observer of the requests of one callback; this one does nothing.

    Attributes:
        uses_cache: whether results of a `receiver.upstream.Lookup` may come from its cache.
    """

    uses_cache = True

    def record(self, request: UpstreamRequest) -> None:
        """Record a request after its end."""

    def intercept(self, request: httpx.Request, sender: Sender) -> httpx.Response | float:
        """Return the seconds to wait before ``request`` is sent, or its answer.

        Raises:
            httpx.TransportError, UpstreamError: the request fails.
        """
        return 0.0

    def of_fetch(self) -> RequestObserver:
        """Return the observer of a fetch that the callback starts."""
        return self

    def share(self, fetch: RequestObserver) -> None:
        """Add the requests of a fetch whose result the callback got."""


OBSERVER: ContextVar[RequestObserver | None] = ContextVar("receiver.upstream", default=None)
"""The observer of the current context."""

SENDER: ContextVar[Sender] = ContextVar("receiver.upstream.sender", default="")
"""The sender of the current request."""


async def observed(method: str, host: str, path: str, send: Callable[[], Awaitable[T]]) -> T:
    """Return the result of ``send`` and record the request with the observer, if there is one."""
    observer = OBSERVER.get()
    if observer is None:
        return await send()
    clock = asyncio.get_running_loop().time
    begun = clock()
    request = UpstreamRequest(method, host, path, None, 0.0, "network")
    token = SENDER.set("client")
    try:
        answer = await send()
        status, body = getattr(answer, "status", None), getattr(answer, "body", None)
        request = request._replace(status=status, body=body)
        return answer
    except UpstreamError as error:
        request = _failed(request, error)
        raise
    finally:
        SENDER.reset(token)
        observer.record(request._replace(seconds=clock() - begun))


def _failed(request: UpstreamRequest, error: UpstreamError) -> UpstreamRequest:
    match error:
        case UpstreamRefused():
            return request._replace(
                status=error.status, body=error.body, retry_after=error.retry_after
            )
        case CircuitOpen():
            return request._replace(source="circuit")
        case _:
            return request._replace(is_late=isinstance(error, UpstreamLate))


def record_cached(name: str) -> None:
    """Record a cached answer of the fetch function ``name`` with the observer, if there is one."""
    if (observer := OBSERVER.get()) is not None:
        observer.record(UpstreamRequest("", name, "", None, 0.0, "cache"))
