"""One request to the PBX, one answer: what `tokens` and `requester` share.

Rule 1: an answer is a 2xx that arrived whole, in time and not larger than 8 MiB; everything else
        is an error of `receiver.pbx.faults`. Only a download may be larger, and comes in pieces.
Rule 2: redirects are not followed: credentials go to the host that was named, or nowhere.
Rule 3: certificates are checked, against the system's roots or a CA file. Not to check them has to
        be said aloud, and is warned of each time.

Source: "About" and "Authentication" of the PBX's REST API.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from receiver.errors import PbxNonsense
from receiver.pbx.address import normalise, tls
from receiver.pbx.faults import failure, refusal
from receiver.secrets import Secret

LARGEST = 8 * 1024 * 1024
"""Most octets that an answer may have."""

log = logging.getLogger("receiver.pbx")

_LOCAL = ("localhost", "127.0.0.1", "::1")
_SECRETS = frozenset({"password", "token", "refresh_token", "headers", "pin"})
UPLOAD_TOKEN = "PortSIP-Upload-Token"  # noqa: S105 - the name of a header
"""The header that shows who began an upload."""

_SLOWEST = 32 * 1024  # octets a second that a large body may take to be sent
_SHORTEST_SECRET = 4  # what is shorter would blot out ordinary words


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx of the PBX; ``what`` is what was asked for, in words."""

    status: int
    body: bytes
    what: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def json(self) -> object:
        """The body, decoded.

        Raises:
            PbxNonsense: it is empty or no JSON.
        """
        if not self.body.strip():
            raise PbxNonsense(f"{self.what}: the PBX sent an empty answer where it owes JSON")
        try:
            return json.loads(self.body)
        except (ValueError, RecursionError):
            raise PbxNonsense(
                f"{self.what}: the PBX's answer is not JSON; does RECEIVER_PBX_URL lead to its "
                "API, as in https://pbx.example.com:8887/api?"
            ) from None


@dataclass(frozen=True, slots=True)
class Download:
    """An answer that is still coming. ``size`` is in octets, None if the PBX did not say it."""

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
        """What the PBX says about the file's name, as it says it."""
        return str(self.response.headers.get("content-disposition", ""))

    async def chunks(self) -> AsyncIterator[bytes]:
        """The octets as they come; each piece has ``timeout`` seconds.

        Raises:
            PbxError: they ended too early, or did not come.
        """
        try:
            async for chunk in self.response.aiter_bytes():
                yield chunk
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise failure(self.what, self.host, self.timeout, error) from None

    async def aclose(self) -> None:
        await self.response.aclose()


class Wire:
    """A connection pool to one PBX.

    Parameters:
        url: of the PBX, such as ``https://pbx.example.com:8887``; ``/api`` is added if it has no
            path.
        ca: a PEM file with the CA's certificate, or the PBX's own; None for the system's roots.
        insecure: True checks no certificate at all.
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
            log.warning("the certificate of %s is NOT checked (insecure): use a CA file", self.host)
        if self.url.startswith("http:") and not local:
            log.warning("%s is spoken to without TLS: tokens can be read on the way", self.host)
        self._client = httpx.AsyncClient(
            verify=tls(ca, insecure) if self.url.startswith("https:") else False,
            transport=transport,
            timeout=timeout,
            follow_redirects=False,
            trust_env=not local,  # a proxy from the environment does not lead to this machine
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
        )

    async def aclose(self) -> None:
        await self._client.aclose()

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
            what: what is asked for, in words: error texts begin with it.
            path: after the base, with ids encoded; ``params`` are the query.
            token: for ``Authorization: Bearer``; ``headers`` are further ones.
            data: a JSON body, or ``form``: an urlencoded one, or ``content``: octets.

        Raises:
            PbxError: see the module's rules.
        """
        sent = headers or {}
        request = self._client.build_request(
            method,
            self.url + path,
            params=params,
            json=data,
            data=form,
            content=content,
            headers={**sent, **_bearer(token)},
        )
        secrets = _secrets(token, {**(data or form or {})}, sent.get(UPLOAD_TOKEN, ""))
        patience = 2 * self._timeout + len(content or b"") / _SLOWEST
        try:
            async with asyncio.timeout(patience):
                response = await self._client.send(request, stream=True)
                body = await _whole(what, response)
        except (TimeoutError, httpx.TransportError, httpx.DecodingError) as error:
            raise failure(what, self.host, self._timeout, error) from None
        if response.is_success:
            return Answer(response.status_code, body, what, response.headers)
        raise refusal(what, response, body, secrets)

    async def open(self, what: str, url: str, token: Secret | None = None) -> Download:
        """Begin a download, to be closed by whoever asked for it.

        Parameters:
            what: what is asked for, in words.
            url: absolute, or relative to the PBX; it has to lead to the PBX itself.
            token: for ``Authorization: Bearer``.

        Raises:
            PbxError: see the module's rules.
        """
        goal = self._on_this_pbx(what, url)
        request = self._client.build_request(
            "GET", goal, headers={"Accept": "*/*", **_bearer(token)}
        )
        try:
            async with asyncio.timeout(2 * self._timeout):
                response = await self._client.send(request, stream=True)
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
            raise PbxNonsense(f"{what}: the URL of the file cannot be read") from None
        if (goal.scheme, goal.host, goal.port) != (base.scheme, base.host, base.port):
            raise PbxNonsense(
                f"{what}: the URL of the file leads to {goal.host or 'nowhere'}, not to the PBX at "
                f"{self.host}, and is not followed"
            )
        return goal


async def _whole(what: str, response: httpx.Response) -> bytes:
    """The body, after which the answer is closed."""
    body = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > LARGEST:
                raise PbxNonsense(
                    f"{what}: the answer is larger than {LARGEST >> 20} MiB: "
                    "this is not the PBX's API"
                )
    finally:
        await response.aclose()
    return bytes(body)


def _bearer(token: Secret | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token.reveal()}"} if token else {}


def _secrets(token: Secret | None, sent: Mapping[str, object], upload_token: str) -> list[str]:
    """Everything in a request that must not come back in an error's text."""
    headers = str(sent.get("headers", "")).split("&")
    texts = [str(sent[key]) for key in _SECRETS & sent.keys()]
    texts += [pair.partition(":")[2] for pair in headers]
    texts += [token.reveal()] if token else []
    return [text for text in (*texts, upload_token) if len(text) >= _SHORTEST_SECRET]
