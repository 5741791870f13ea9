"""A connection pool to one PBX, for requests without retries.

Rule 1: a success is a complete 2xx answer in time, of at most 8 MiB; everything else is an error
        of `receiver.pbx.api_errors`. Only a download may be larger; it is streamed.
Rule 2: redirects are not followed, so that credentials reach the configured host only.
Rule 3: certificates are verified, against the system's roots or a CA file. Switching verification
        off needs ``insecure``, and logs a warning each time.

Source: "About" and "Authentication" of the PBX's REST API.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import httpx

from receiver.credentials import Secret
from receiver.errors import PbxInvalid
from receiver.pbx.address import normalise, pinned, tls
from receiver.pbx.api_errors import failure, is_about_name, refusal, says_why

MAX_ANSWER = 8 * 1024 * 1024
"""Most bytes of an answer."""

log = logging.getLogger("receiver.pbx")

_LOCAL = ("localhost", "127.0.0.1", "::1")
_SECRETS = frozenset({"password", "token", "refresh_token", "headers", "pin"})
UPLOAD_TOKEN = "PortSIP-Upload-Token"  # noqa: S105 - the name of a header
"""The header with the token of an upload."""

_SLOWEST = 32 * 1024  # bytes a second, the lowest rate at which a large body is sent
_SHORTEST_SECRET = 4  # shorter ones occur in ordinary words


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx answer; ``what`` describes the request, for error texts."""

    status: int
    body: bytes
    what: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> object:
        """Return the decoded body.

        Raises:
            PbxInvalid: it is empty or not JSON.
        """
        if not self.body.strip():
            raise PbxInvalid(f"{self.what}: the PBX sent an empty answer instead of JSON")
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise PbxInvalid(
                f"{self.what}: the PBX's answer is not JSON; is RECEIVER_PBX_URL the URL of its "
                "API, as in https://pbx.example.com:8887/api?"
            ) from None


@dataclass(frozen=True, slots=True)
class Download:
    """An answer that is being streamed. ``size`` is in bytes, None if unknown."""

    what: str
    host: str
    timeout: float
    response: httpx.Response

    @property
    def size(self) -> int | None:
        text = self.response.headers.get("content-length", "")
        return int(text) if text.isdecimal() else None

    @property
    def disposition(self) -> str:
        """The ``Content-Disposition``; empty if there is no such header."""
        return str(self.response.headers.get("content-disposition", ""))

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body in chunks, each within ``timeout`` seconds.

        Raises:
            PbxError: the body is incomplete, or late.
        """
        try:
            async for chunk in self.response.aiter_bytes():
                yield chunk
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise failure(self.what, self.host, self.timeout, error) from None

    async def aclose(self) -> None:
        await self.response.aclose()


class Connection:
    """A connection pool to one PBX.

    Parameters:
        url: of the PBX, such as ``https://pbx.example.com:8887``; ``/api`` is added if it has no
            path.
        ca: a PEM file with the CA's certificate, or the PBX's own; None for the system's roots.
        insecure: True verifies no certificate.
        timeout: seconds to connect, and again for the whole answer.
        transport: replaces the network, for tests.

    Raises:
        SettingsError: the URL or the CA file cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        ca: Path | None = None,
        insecure: bool = False,
        timeout: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.url = normalise(url)
        self.host = self.url.split("/")[2]
        self._timeout = timeout
        local = httpx.URL(self.url).host in _LOCAL
        if insecure:
            log.warning(
                "the certificate of %s is NOT verified (insecure): use a CA file", self.host
            )
        if self.url.startswith("http:") and not local:
            log.warning(
                "connection to %s without TLS: tokens can be read on the network", self.host
            )
        make = partial(
            httpx.AsyncClient,
            transport=transport,
            timeout=timeout,
            follow_redirects=False,
            trust_env=not local,  # a proxy from the environment does not lead to this machine
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        )
        secure = self.url.startswith("https:")
        self._clients = [make(verify=tls(ca, insecure) if secure else False)]
        if secure and ca is not None and not insecure:
            self._clients.append(make(verify=pinned(ca)))

    async def aclose(self) -> None:
        for client in self._clients:
            await client.aclose()

    async def _send(self, request: httpx.Request) -> httpx.Response:
        """Send a request over a connection with a verified certificate: by its name, or pinned.

        The client that made the last connection is tried first.
        """
        refused: list[httpx.ConnectError] = []
        for client in self._clients.copy():
            try:
                response = await client.send(request, stream=True)
            except httpx.ConnectError as error:
                if not is_about_name(error):
                    raise
                refused.append(error)
            else:
                self._clients.sort(key=lambda one: one is not client)
                return response
        raise max(refused, key=says_why)

    async def send(
        self,
        what: str,
        method: str,
        path: str,
        *,
        token: Secret | None = None,
        params: Mapping[str, str | int] | None = None,
        data: Mapping[str, Any] | None = None,
        form: Mapping[str, str] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request, once.

        Parameters:
            what: describes the request; error texts begin with it.
            path: below the base, with ids encoded; ``params`` are the query.
            token: for ``Authorization: Bearer``; ``headers`` are further ones.
            data: a JSON body, or ``form``: an urlencoded one, or ``content``: bytes.

        Raises:
            PbxError: see the module's rules.
        """
        sent = headers or {}
        request = self._clients[0].build_request(
            method,
            self.url + path,
            params=params,
            json=data,
            data=form,
            content=content,
            headers={**sent, **_bearer(token)},
        )
        secrets = _secrets(token, {**(data or form or {})}, sent.get(UPLOAD_TOKEN, ""))
        limit = 2 * self._timeout + len(content or b"") / _SLOWEST
        try:
            async with asyncio.timeout(limit):
                response = await self._send(request)
                body = await _whole(what, response)
        except (TimeoutError, httpx.TransportError, httpx.DecodingError) as error:
            raise failure(what, self.host, self._timeout, error) from None
        if response.is_success:
            return Answer(response.status_code, body, what, response.headers)
        raise refusal(what, response, body, secrets)

    async def open(self, what: str, url: str, token: Secret | None = None) -> Download:
        """Begin a download; the caller has to close it.

        Parameters:
            what: describes the request; error texts begin with it.
            url: of the PBX, absolute or relative.
            token: for ``Authorization: Bearer``.

        Raises:
            PbxError: see the module's rules.
        """
        goal = self._on_this_pbx(what, url)
        request = self._clients[0].build_request(
            "GET", goal, headers={"Accept": "*/*", **_bearer(token)}
        )
        try:
            async with asyncio.timeout(2 * self._timeout):
                response = await self._send(request)
                if response.is_success:
                    return Download(what, self.host, self._timeout, response)
                body = await _whole(what, response)
        except (TimeoutError, httpx.TransportError, httpx.DecodingError) as error:
            raise failure(what, self.host, self._timeout, error) from None
        raise refusal(what, response, body, _secrets(token, {}, ""))

    def _on_this_pbx(self, what: str, url: str) -> httpx.URL:
        base = httpx.URL(self.url + "/")
        try:
            goal = base.join(url)
        except httpx.InvalidURL:
            raise PbxInvalid(f"{what}: the URL of the file cannot be read") from None
        if (goal.scheme, goal.host, goal.port) != (base.scheme, base.host, base.port):
            raise PbxInvalid(
                f"{what}: the URL of the file leads to {goal.host or 'nowhere'}, not to the PBX at "
                f"{self.host}, and is not followed"
            )
        return goal


async def _whole(what: str, response: httpx.Response) -> bytes:
    """Read the body and close the answer."""
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > MAX_ANSWER:
                raise PbxInvalid(
                    f"{what}: the answer is larger than {MAX_ANSWER >> 20} MiB: "
                    "this is not the PBX's API"
                )
    finally:
        await response.aclose()
    return bytes(body)


def _bearer(token: Secret | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.reveal()}"} if token else {}


def _secrets(token: Secret | None, sent: Mapping[str, object], upload_token: str) -> list[str]:
    """Return the secrets of a request, which no error text may repeat."""
    headers = str(sent.get("headers", "")).split("&")
    texts = [str(sent[key]) for key in _SECRETS & sent.keys()]
    texts += [pair.partition(":")[2] for pair in headers]
    texts += [token.reveal()] if token else []
    return [text for text in (*texts, upload_token) if len(text) >= _SHORTEST_SECRET]
