"""HTTP client for requests to other services within the time of a call.

Rule 1: An answer is a complete 2xx in time and within the size limit; everything else is an
        `UpstreamError`. The time is the client's timeout or the rest of the call's, whichever is
        less.
Rule 2: A host that repeatedly does not answer, cuts the connection or answers 5xx gets no requests
        for a while (`receiver.upstream.circuit_breaker`). A timeout counts as a failure only if the
        host had at least half of the client's timeout: it is not responsible for a late request.
Rule 3: Logs and error texts contain scheme, host and port of a URL only, no headers and bodies.
        Httpx's transport is used without its client, which logs whole URLs and would send the
        cookies of one caller with the request of the next.
Rule 4: Certificates are verified, redirects are not followed, proxies of the environment are not
        used. `receiver.upstream.requests` decides which headers a host gets.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import re
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from receiver.calls import Call
from receiver.errors import (
    DeclarationError,
    Unavailable,
    UpstreamError,
    UpstreamLate,
    UpstreamRefused,
)
from receiver.execution.per_loop import PerLoop
from receiver.upstream.circuit_breaker import MAX_FAILURES, OPEN_TIME, CircuitBreaker
from receiver.upstream.decompression import Body
from receiver.upstream.lookup import wait_time
from receiver.upstream.request_observer import observed
from receiver.upstream.requests import INVALID_REQUEST, RequestBuilder, origin_of

MAX_BODY_SIZE = 1024 * 1024
"""Largest body of an answer in octets."""

IDLE_TIMEOUT = 30.0
"""Seconds for which an idle connection stays open, to save the next caller a TLS handshake."""

log = logging.getLogger("receiver.upstream")


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """A 2xx response of ``origin``, as in ``https://crm.example.com``."""

    origin: str
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Answer({self.origin!r}, {self.status}, <{len(self.body)}>)"

    def json(self) -> Any:
        """Return the body, decoded.

        Raises:
            UpstreamError: it is not JSON.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            kind = self.headers.get("Content-Type", "").partition(";")[0].strip()
            but = f" but {kind}" if _MEDIA_TYPE.fullmatch(kind) else ""
            raise UpstreamError(f"the answer of {self.origin} is not JSON{but}") from None


class Client:
    """An HTTP client with a pool of connections in each event loop, closed with the loop.

    ::

        crm = Client("https://crm.example.com", headers={"Authorization": "Bearer …"})
        answer = await crm.get("/contacts", params={"phone": call.caller}, call=call)

    Parameters:
        base: base of relative URLs; empty if all are absolute.
        headers: sent to the host of ``base`` only.
        timeout: seconds for one request, from waiting for a connection to the last octet.
        max_size: largest body of an answer in octets, compressed or not.
        max_connections: to all hosts together.
        failures: consecutive failures that open the circuit of a host for ``pause`` seconds.
        ca: PEM file with the CA's certificate; None for the system's roots.
        proxy: URL of a proxy, or None.

    Raises:
        DeclarationError: the timeout is not above 0, the base is not an http or https URL without
            credentials, a header is not valid, there are headers without a base, or the CA file
            cannot be read.
    """

    def __init__(
        self,
        base: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 1.0,
        max_size: int = MAX_BODY_SIZE,
        max_connections: int = 100,
        failures: int = MAX_FAILURES,
        pause: float = OPEN_TIME,
        ca: str | Path | None = None,
        proxy: str | None = None,
    ) -> None:
        self._requests = RequestBuilder(base, headers or {})
        if not 0 < timeout < math.inf:
            raise DeclarationError(
                f"Client: timeout={timeout!r} must be a number of seconds above 0"
            )
        self._timeout = timeout
        self._max_size = max_size
        self._limits = httpx.Limits(max_connections=max_connections, keepalive_expiry=IDLE_TIMEOUT)
        self._new_breaker = partial(CircuitBreaker, failures, pause)
        self._tls = _tls(ca)
        self._proxy = proxy
        self._pools = PerLoop(self._connect, _Pool.aclose)

    async def get(
        self,
        url: str,
        *,
        call: Call | None = None,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a GET request, see `request`."""
        return await self.request("GET", url, call=call, params=params, headers=headers)

    async def post(
        self,
        url: str,
        *,
        call: Call | None = None,
        params: Mapping[str, str | int] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a POST request, see `request`."""
        return await self.request("POST", url, call=call, params=params, json=json, headers=headers)

    async def request(
        self,
        method: str,
        url: str,
        *,
        call: Call | None = None,
        params: Mapping[str, str | int] | None = None,
        json: object = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request, without retries.

        Parameters:
            url: absolute, or relative to the base. Keyed input belongs in ``params``.
            call: its deadline applies; None for the client's timeout alone.
            params: the query.
            json: a body to encode; or ``content``: octets.
            headers: additional headers.

        Raises:
            CircuitOpen: the host failed repeatedly; no request was sent.
            UpstreamLate: no answer before the deadline.
            UpstreamRefused: the status is not 2xx.
            UpstreamError: there is no valid answer for another reason.
        """
        built = self._requests.build(method, url, params, json, content, headers or {})
        host = built.url.netloc.decode("ascii")
        send = partial(self._send, built, call)
        return await observed(method, host, built.url.path, send)

    async def _send(self, request: httpx.Request, call: Call | None) -> Answer:
        origin = origin_of(request.url)
        wait = wait_time(call, self._timeout)
        if wait <= 0:
            raise UpstreamLate(f"no request to {origin}: the deadline of the call has passed")
        pool, loop = self._pools.here(), asyncio.get_running_loop()
        pool.breaker.check(origin, loop.time())
        try:
            async with asyncio.timeout(wait):
                answer = await self._exchange(pool.transport, request, origin)
        except TimeoutError:
            if wait >= self._timeout / 2:
                _failed(pool, origin, loop.time())
            raise UpstreamLate(f"{origin} did not answer within {wait:.2f} s") from None
        except httpx.LocalProtocolError:
            raise UpstreamError(f"no request to {origin}: {INVALID_REQUEST}") from None
        except Unavailable:
            raise
        except Exception as error:  # a broken connection pool raises various types
            _failed(pool, origin, loop.time())
            kind = type(error).__name__
            raise UpstreamError(f"request to {origin} failed: {kind}") from None
        if answer.status >= 500:
            _failed(pool, origin, loop.time())
        elif pool.breaker.record_success(origin):
            log.warning("circuit closed: %s answers again", origin)
        if not 200 <= answer.status < 300:
            raise UpstreamRefused(
                f"{origin} answered {answer.status}",
                status=answer.status,
                retry_after=_seconds(answer.headers.get("Retry-After", "")),
                body=answer.body,
            )
        return answer

    async def aclose(self) -> None:
        """Close the connections of this event loop now."""
        await self._pools.aclose()

    def _connect(self) -> _Pool:
        transport = httpx.AsyncHTTPTransport(
            verify=self._tls, limits=self._limits, proxy=self._proxy
        )
        return _Pool(transport, self._new_breaker())

    async def _exchange(
        self, transport: httpx.AsyncBaseTransport, request: httpx.Request, origin: str
    ) -> Answer:
        response = await transport.handle_async_request(request)
        try:
            body = await self._read(response, origin)
        except UpstreamError:
            if 200 <= response.status_code < 300:
                raise
            body = b""  # the status is known
        finally:
            await response.aclose()
        return Answer(origin, response.status_code, body, response.headers)

    async def _read(self, response: httpx.Response, origin: str) -> bytes:
        body = Body(origin, response.headers.get("Content-Encoding", ""), self._max_size)
        chunks = 0
        async for octets in response.aiter_raw():  # httpx would decode without a limit
            body.feed(octets)
            chunks += 1
            if not chunks % _CHUNKS:
                await asyncio.sleep(0)
        return body.content()


_MEDIA_TYPE = re.compile(r"(?!.*json)[a-z]{1,20}/[a-z0-9.+-]{1,40}")
_CHUNKS = 64
"""Chunks read before other tasks run."""


class _Pool(NamedTuple):
    """The state in one event loop."""

    transport: httpx.AsyncBaseTransport
    breaker: CircuitBreaker

    async def aclose(self) -> None:
        await self.transport.aclose()


def _failed(pool: _Pool, origin: str, now: float) -> None:
    if pool.breaker.record_failure(origin, now):
        log.warning("circuit open: %s failed repeatedly; no requests for a while", origin)


def _seconds(text: str) -> float | None:
    """Parse a Retry-After in seconds; a date would require synchronized clocks and is ignored."""
    return float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text.strip()) else None


@cache  # reading the system's roots takes tens of milliseconds
def _tls(ca: str | Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ValueError):
        raise DeclarationError(
            f"Client: ca={str(ca)!r} is not a PEM file with certificates"
        ) from None
