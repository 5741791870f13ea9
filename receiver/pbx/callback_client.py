"""Send a callback to its action URL over HTTP, as the PBX does, and read the answer in time.

Rule 1: each callback has a new connection without state: no cookies, proxies or redirects. Both
        requests of Digest share it.
Rule 2: there are two timeouts: one to connect (DNS, TCP and TLS), one for everything after that,
        until the last byte of the answer, both requests of Digest together.
Rule 3: every failure is an `Outcome` with a fixed text: that of an exception may contain a URL or
        a header.
Rule 4: it uses an httpx transport, not a client: the client logs URLs, which contain the digits.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import aclosing
from typing import Any, NamedTuple, cast

import httpx
import msgspec

from receiver.calls import Call
from receiver.credentials import Secret
from receiver.errors import CallbackError
from receiver.pbx.callback_request import (
    CallbackFaults,
    Outgoing,
    answer_challenge,
    first_leg,
    make_request,
)
from receiver.pbx.callback_trace import Exchange, Headers, Outcome
from receiver.pbx.models import ActionUrl
from receiver.replies import decode

MAX_ANSWER = 64 * 1024
"""Most bytes of an answer; a longer one is a failure."""

_DEFAULT_TIMEOUT = 2  # seconds; the meaning of 0 on a PBX is not documented, here it is the default
_TOO_LATE = Outcome("failed", "no complete answer within the request timeout")
_CONNECTED = "send_request_headers.started"  # httpcore's event at the end of connecting


_WRONG = Secret("wrong0password")


class Delivery(NamedTuple):
    """The requests of one callback, their outcome, and the seconds that they took."""

    exchanges: tuple[Exchange, ...]
    outcome: Outcome
    seconds: float


class CallbackClient:
    """A client that sends callbacks; the parameters are those of `receiver.simulator.line.Line`."""

    def __init__(
        self,
        *,
        transport: httpx.AsyncBaseTransport | None,
        verify: ssl.SSLContext | bool,
        scale: float,
        clock: Callable[[], float],
        cnonce: Callable[[], str],
        real_time: bool = True,
        faults: CallbackFaults | None = None,
    ) -> None:
        self.faults = faults or CallbackFaults()
        self._real_time = real_time
        self._transport = transport
        self._verify = verify if transport else _tls(verify)
        self._scale = scale
        self._clock = clock
        self._cnonce = cnonce

    async def deliver(self, action: ActionUrl, call: Call) -> Delivery:
        """Send a callback of ``call`` to ``action``. No failure of the service raises."""
        begun, faults = self._clock(), self.faults
        simulated = 0.0 if self._real_time else faults.slow * self._scale
        if simulated > self.seconds(action.request_timeout):
            return Delivery((), _TOO_LATE, self.seconds(action.request_timeout))
        if faults.wrong_password:
            action = msgspec.structs.replace(action, password=_WRONG, token=_WRONG)
        transport = self._transport or httpx.AsyncHTTPTransport(
            verify=self._verify, trust_env=False
        )
        sleep = faults.slow * self._scale if self._real_time else 0.0
        connection = _Connection(transport, self._clock, self._cnonce, faults, sleep)
        try:
            outcome = await self._in_time(connection, action, call)
        finally:
            if transport is not self._transport:
                await transport.aclose()
                await connection.close()
        seconds = self._clock() - begun + simulated
        return Delivery(tuple(connection.exchanges), outcome, seconds)

    def seconds(self, timeout: int | None) -> float:
        """Return a timeout of an action URL in scaled seconds."""
        return (timeout or _DEFAULT_TIMEOUT) * self._scale

    async def _in_time(self, connection: _Connection, action: ActionUrl, call: Call) -> Outcome:
        now = asyncio.get_running_loop().time

        def connected() -> None:
            timer.reschedule(now() + self.seconds(action.request_timeout))

        connection.on_connected = connected
        try:
            async with asyncio.timeout(self.seconds(action.connection_timeout)) as timer:
                await connection.send(action, call)
        except TimeoutError:
            if not connection.connected:
                return Outcome("failed", "no connection within the connection timeout")
            return _TOO_LATE
        except (httpx.TransportError, httpx.InvalidURL, _TooLongError) as error:
            return Outcome("failed", _why(error))
        return _carry_out(connection.exchanges[-1])


class _Connection:
    """The connection of one callback.

    Attributes:
        exchanges: the requests so far, with incomplete ones.
        on_connected: called once, when the connection is made. If Digest needs a second connection
            because the server closed the first, making it is part of the request.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        clock: Callable[[], float],
        cnonce: Callable[[], str],
        faults: CallbackFaults,
        sleep: float,
    ) -> None:
        self._transport = transport
        self._faults = faults
        self._sleep = sleep
        self._clock = clock
        self._cnonce = cnonce
        self.connected = False
        self.exchanges: list[Exchange] = []
        self.on_connected: Callable[[], None] = lambda: None
        self._streams: list[Any] = []

    async def send(self, action: ActionUrl, call: Call) -> None:
        """Send the request; with Digest twice, if the first answer is a challenge."""
        request = make_request(action, call)
        if action.auth != "DIGEST":
            await self._send(request)
            return
        first = await self._send(first_leg(request))
        if first.status != 401:
            return
        target = httpx.URL(request.url).raw_path.decode("ascii")
        headers = first.response_headers
        challenges = [value for name, value in headers if name.lower() == "www-authenticate"]
        second = answer_challenge(action, request, target, challenges, self._cnonce())
        if second is not None:
            await self._send(second)

    async def close(self) -> None:
        """Close the sockets that httpcore leaves open after an interrupted TLS handshake."""
        for stream in self._streams:
            await stream.aclose()

    async def _send(self, outgoing: Outgoing) -> Exchange:
        begun = self._clock()
        request = httpx.Request(
            outgoing.method,
            outgoing.url,
            headers=[(_octets(name), _octets(value)) for name, value in outgoing.headers],
            content=outgoing.body,
            extensions={"trace": self._trace},
        )
        status: int | None = None
        headers: Headers = ()
        body = bytearray()
        try:
            await self._inject_faults()
            async with aclosing(await self._transport.handle_async_request(request)) as response:
                if self._faults.dropped:
                    raise httpx.ReadError("")
                status, headers = response.status_code, _headers(response.headers)
                # Not decompressed: the PBX sends no Accept-Encoding.
                async for chunk in cast("httpx.AsyncByteStream", response.stream):
                    body += chunk
                    if len(body) > MAX_ANSWER:
                        raise _TooLongError
        finally:
            exchange = Exchange(
                method=outgoing.method,
                url=str(request.url),
                request_headers=_headers(request.headers),
                request_body=outgoing.body,
                status=status,
                response_headers=headers,
                response_body=bytes(body[:MAX_ANSWER]),
                seconds=self._clock() - begun,
            )
            self.exchanges.append(exchange)
        return exchange

    async def _inject_faults(self) -> None:
        if self._faults.refused:
            raise httpx.ConnectError("") from ConnectionRefusedError()
        if self._sleep or not isinstance(self._transport, httpx.AsyncHTTPTransport):
            # An ASGI transport does not connect; with other transports the delay is not part of
            # connecting.
            await self._trace(_CONNECTED, {})
        if self._sleep:
            await asyncio.sleep(self._sleep)

    async def _trace(self, event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.complete":
            self._streams.append(info["return_value"])
        if event.endswith(_CONNECTED) and not self.connected:
            self.connected = True
            self.on_connected()


class _TooLongError(Exception):
    """The answer is longer than any reply."""


def _carry_out(exchange: Exchange) -> Outcome:
    if exchange.status != 200:
        return Outcome("failed", f"HTTP status {exchange.status}")
    try:
        reply = decode(exchange.response_body)
    except CallbackError as error:
        return Outcome("failed", str(error))
    return Outcome(reply.outcome, reply.target)


def _tls(verify: ssl.SSLContext | bool) -> ssl.SSLContext:
    """Return the TLS context; True trusts this machine's authorities and those of certifi."""
    context = httpx.create_ssl_context(verify, trust_env=False)
    if verify is True:
        context.load_default_certs()  # with those of SSL_CERT_FILE, as for the PBX's certificate
    return context


def _headers(headers: httpx.Headers) -> Headers:
    return tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in headers.raw)


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "replace")


def _why(error: Exception) -> str:
    """Return a fixed text: that of the error may contain the URL or a header."""
    if isinstance(error, _TooLongError):
        return f"the answer is longer than {MAX_ANSWER // 1024} KiB"
    if isinstance(error, httpx.InvalidURL | httpx.UnsupportedProtocol):
        return "the URL is not valid for HTTP"
    if isinstance(error, httpx.LocalProtocolError):
        return "the headers configured on the action URL cannot be sent"
    if isinstance(error, httpx.RemoteProtocolError):
        return "the answer is not HTTP or is incomplete"
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"TLS: the certificate is not trusted ({cause.verify_message})"
        if isinstance(cause, ssl.SSLError):
            reason = getattr(cause, "reason", "") or "handshake failed"  # OpenSSL sets it, if known
            return f"TLS: {reason.lower().replace('_', ' ')}"
        if isinstance(cause, socket.gaierror):
            return "the host name does not resolve"
        if isinstance(cause, ConnectionRefusedError):
            return "the connection was refused"
    if isinstance(error, httpx.ConnectError):
        return "no connection could be made"
    return "the connection broke off"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield ``error`` and its causes."""
    if error is None:
        return
    yield error
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _causes(part)
    yield from _causes(error.__cause__ or error.__context__)
