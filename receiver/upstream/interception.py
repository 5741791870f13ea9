"""Interception of the requests of all httpx clients in this process, for development and replay.

Rule 1: The public transports of httpx are changed in a ``with`` block, and restored at its end.
        Production never enters one.
Rule 2: A request is intercepted once, also if a transport uses another one.
Rule 3: A simulated delay that is longer than the client's read timeout ends with that.
Rule 4: The observer is that of the callback. Where the context has none, such as in a background
        job or a thread of `asyncio.loop.run_in_executor`, it is the one of the process, if there
        is one: the faults of a CRM apply there too.

It does not cover other libraries: requests, aiohttp, urllib, drivers of databases.
"""

from __future__ import annotations

import asyncio
import functools
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from receiver.upstream.request_observer import (
    OBSERVER,
    SENDER,
    RequestObserver,
    Sender,
    UpstreamRequest,
)

_ASYNC = (httpx.AsyncHTTPTransport, httpx.ASGITransport, httpx.MockTransport)
_SYNC = (httpx.HTTPTransport, httpx.WSGITransport, httpx.MockTransport)

_lock = threading.Lock()
_processes: list[RequestObserver | None] = []
"""For each ``with`` block that is entered, its observer of the process."""

_originals: list[tuple[type, str, Any, Any]] = []


@contextmanager
def intercepted(process: RequestObserver | None = None) -> Iterator[None]:
    """Intercept requests in the ``with`` block; blocks may overlap.

    Parameters:
        process: the observer of requests that belong to no callback; None for none.
    """
    with _lock:
        if not _processes:
            _install()
        _processes.append(process)
    try:
        yield
    finally:
        with _lock:
            _processes.remove(process)
            if not _processes:
                _uninstall()


def _install() -> None:
    for transport in _ASYNC:
        _replace(transport, "handle_async_request", _asynchronous)
    for sync_transport in _SYNC:
        _replace(sync_transport, "handle_request", _synchronous)


def _replace(kind: type, name: str, wrap: Callable[[Any], Any]) -> None:
    original = getattr(kind, name)
    method = wrap(original)
    _originals.append((kind, name, original, method))
    setattr(kind, name, method)


def _uninstall() -> None:
    while _originals:
        kind, name, original, method = _originals.pop()
        if getattr(kind, name) is method:  # or another library has replaced it meanwhile
            setattr(kind, name, original)


def _observer() -> RequestObserver | None:
    if not _processes or SENDER.get() == "transport":
        return None
    return OBSERVER.get() or next(filter(None, _processes), None)


def _asynchronous(send: Callable[..., Awaitable[httpx.Response]]) -> Any:
    @functools.wraps(send)
    async def handle_async_request(
        transport: httpx.AsyncBaseTransport, request: httpx.Request
    ) -> httpx.Response:
        if (observer := _observer()) is None:
            return await send(transport, request)
        with _Recorded(observer, request) as recorded:
            simulated = observer.intercept(request, recorded.sender)
            if isinstance(simulated, float):
                await asyncio.sleep(_wait(request, simulated))
                _check_read_timeout(request, simulated)
                return recorded.answered(await send(transport, request))
            return recorded.answered(simulated)

    return handle_async_request


def _synchronous(send: Callable[..., httpx.Response]) -> Any:
    @functools.wraps(send)
    def handle_request(transport: httpx.BaseTransport, request: httpx.Request) -> httpx.Response:
        if (observer := _observer()) is None:
            return send(transport, request)
        with _Recorded(observer, request) as recorded:
            simulated = observer.intercept(request, recorded.sender)
            if isinstance(simulated, float):
                time.sleep(_wait(request, simulated))
                _check_read_timeout(request, simulated)
                return recorded.answered(send(transport, request))
            return recorded.answered(simulated)

    return handle_request


def _wait(request: httpx.Request, delay: float) -> float:
    """Return the seconds that the client waits for an answer that takes ``delay`` longer."""
    limit = request.extensions.get("timeout", {}).get("read")
    return delay if limit is None else min(delay, limit)


def _check_read_timeout(request: httpx.Request, delay: float) -> None:
    """Raise httpx.ReadTimeout if the client has waited long enough: no transport saw the delay."""
    if _wait(request, delay) < delay:
        raise httpx.ReadTimeout("the simulated delay is longer", request=request)


class _Recorded:
    """Records a request, unless `receiver.upstream.Client` does."""

    def __init__(self, observer: RequestObserver, request: httpx.Request) -> None:
        self._observer = observer
        self._request = request
        self._begun = time.monotonic()
        self._status: int | None = None
        self.sender: Sender = SENDER.get()

    def __enter__(self) -> _Recorded:
        self._token = SENDER.set("transport")
        return self

    def __exit__(self, *_: object) -> None:
        SENDER.reset(self._token)
        if not self.sender:
            url = self._request.url
            host, seconds = url.netloc.decode("ascii"), time.monotonic() - self._begun
            self._observer.record(
                UpstreamRequest(
                    self._request.method, host, url.path, self._status, seconds, "network"
                )
            )

    def answered(self, response: httpx.Response) -> httpx.Response:
        self._status = response.status_code
        return response
