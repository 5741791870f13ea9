"""Asks other services over HTTP, in the time that a call has.

Rule 1: an answer is a 2xx that arrived whole, in time and not too large; everything else is an
        `UpstreamError`. The time is the client's own or what the call has left, whichever is less.
Rule 2: a host that does not answer, cuts off or answers 5xx again and again is left alone for a
        while (`receiver.upstream.circuits`). A timeout counts only if the host had at least half
        of the client's own time: what a call had used up before is not its fault.
Rule 3: nothing of a URL but scheme, host and port is in a log or an error's text, nor are headers
        and bodies. Httpx's transport is used without its client, which logs whole URLs; and which
        would keep cookies of one caller for the next.
Rule 4: certificates are checked, redirects are not followed, the environment's proxies are not
        used. What goes to which host is in `receiver.upstream.requests`.
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
from receiver.functions.loops import PerLoop
from receiver.upstream.bodies import Body
from receiver.upstream.budgets import wait_for
from receiver.upstream.circuits import FAILURES, PAUSE, Circuits
from receiver.upstream.requests import UNFIT, Requests, origin_of
from receiver.upstream.witness import WITNESS, witnessed

LARGEST = 1024 * 1024
"""Most octets that an answer may have."""

IDLE = 30.0
"""Seconds for which an unused connection is kept, so that the next caller need not wait for TLS."""

log = logging.getLogger("receiver.upstream")


@dataclass(frozen=True, slots=True, repr=False)
class Answer:
    """A 2xx; ``origin`` is who gave it, as in ``https://crm.example.com``."""

    origin: str
    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Answer({self.origin!r}, {self.status}, <{len(self.body)}>)"

    def json(self) -> Any:
        """The body, decoded.

        Raises:
            UpstreamError: it is no JSON.
        """
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise UpstreamError(f"the answer of {self.origin} is not JSON") from None


class Client:
    """A pool of connections, made in each event loop when first used and closed with it.

    ::

        crm = Client("https://crm.example.com", headers={"Authorization": "Bearer …"})
        answer = await crm.get("/contacts", params={"phone": call.caller}, call=call)

    Parameters:
        base: what relative URLs begin with; empty if all will be absolute.
        headers: sent to the host of ``base``, and to no other.
        timeout: seconds for one request, from waiting for a connection to the last octet.
        largest: most octets of an answer, also of one that comes compressed.
        connections: most of them, to all hosts together.
        failures: that many in a row open the circuit of a host, for ``pause`` seconds.
        ca: a PEM file with the CA's certificate; None for the system's roots.
        proxy: the URL of one; None for none.

    Raises:
        DeclarationError: the timeout is not above 0, the base is no http or https URL without
            credentials, there are headers
            without a base, or the CA file cannot be read.
    """

    def __init__(
        self,
        base: str = "",
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float = 1.0,
        largest: int = LARGEST,
        connections: int = 100,
        failures: int = FAILURES,
        pause: float = PAUSE,
        ca: str | Path | None = None,
        proxy: str | None = None,
    ) -> None:
        self._requests = Requests(base, headers or {})
        if not 0 < timeout < math.inf:
            raise DeclarationError(f"Client: timeout={timeout!r} is no number of seconds above 0")
        self._timeout = timeout
        self._largest = largest
        self._limits = httpx.Limits(max_connections=connections, keepalive_expiry=IDLE)
        self._new_circuits = partial(Circuits, failures, pause)
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
        """`request` with GET."""
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
        """`request` with POST."""
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
        """Send one request, once.

        Parameters:
            url: absolute, or relative to the base. What a caller keyed in belongs in ``params``.
            call: whose time it is; None for the client's own timeout alone.
            params: the query.
            json: a body, to be encoded; or ``content``: octets.
            headers: further ones.

        Raises:
            CircuitOpen: the host failed again and again, and is left alone.
            UpstreamLate: the time was up.
            UpstreamRefused: the answer was none of 2xx.
            UpstreamError: everything else that kept an answer away.
        """
        built = self._requests.build(method, url, params, json, content, headers or {})
        return await witnessed(built, partial(self._send, built, call))

    async def _send(self, request: httpx.Request, call: Call | None) -> Answer:
        origin = origin_of(request.url)
        wait = wait_for(call, self._timeout)
        if wait <= 0:
            raise UpstreamLate(f"{origin} was not asked: the call has no more time")
        pool, loop = self._pools.here(), asyncio.get_running_loop()
        pool.circuits.admit(origin, loop.time())
        try:
            async with asyncio.timeout(wait):
                answer = await self._exchange(pool.transport, request, origin)
        except TimeoutError:
            if wait >= self._timeout / 2:
                _failed(pool, origin, loop.time())
            raise UpstreamLate(f"{origin} did not answer within {wait:.2f} s") from None
        except httpx.LocalProtocolError:
            raise UpstreamError(f"{origin} was not asked: {UNFIT}") from None
        except Unavailable:
            raise
        except Exception as error:  # a pool whose other end dies fails in ways of its own, too
            _failed(pool, origin, loop.time())
            kind = type(error).__name__
            raise UpstreamError(f"{origin} could not be asked, or cut off: {kind}") from None
        if answer.status >= 500:
            _failed(pool, origin, loop.time())
        elif pool.circuits.alive(origin):
            log.warning("%s answers again", origin)
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
        return _Pool(transport, self._new_circuits())

    async def _exchange(
        self, transport: httpx.AsyncBaseTransport, request: httpx.Request, origin: str
    ) -> Answer:
        if (witness := WITNESS.get()) is not None:
            await witness.before()
        response = await transport.handle_async_request(request)
        try:
            whole = await self._read(response, origin)
        except UpstreamError:
            if 200 <= response.status_code < 300:
                raise
            whole = b""  # the status counts all the same
        finally:
            await response.aclose()
        return Answer(origin, response.status_code, whole, response.headers)

    async def _read(self, response: httpx.Response, origin: str) -> bytes:
        body = Body(origin, response.headers.get("Content-Encoding", ""), self._largest)
        pieces = 0
        async for octets in response.aiter_raw():  # httpx would decode without a bound
            body.feed(octets)
            pieces += 1
            if not pieces % _PIECES:
                await asyncio.sleep(0)
        return body.whole()


_PIECES = 64
"""So many come before others have a turn, however small they are."""


class _Pool(NamedTuple):
    """What belongs to one event loop."""

    transport: httpx.AsyncBaseTransport
    circuits: Circuits

    async def aclose(self) -> None:
        await self.transport.aclose()


def _failed(pool: _Pool, origin: str, now: float) -> None:
    if pool.circuits.failed(origin, now):
        log.warning("%s failed again and again, and is left alone for a while", origin)


def _seconds(text: str) -> float | None:
    """Of a Retry-After; its other form, a date, is not read: it wants two clocks that agree."""
    return float(text) if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", text.strip()) else None


@cache  # reading the system's roots takes tens of milliseconds
def _tls(ca: str | Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca)
    except (OSError, ValueError):
        raise DeclarationError(f"Client: ca={str(ca)!r} is no PEM file with certificates") from None
