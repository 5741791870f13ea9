"""One request to the PBX, one answer: what `tokens` and `client` share.

Rule 1: an answer is a 2xx that arrived whole, in time and not larger than 8 MiB; everything else
        is an error of `receiver.pbx.faults`.
Rule 2: redirects are not followed: credentials go to the host that was named, or nowhere.
Rule 3: certificates are checked, against the system's roots or a CA file. Not to check them has to
        be said aloud, and is warned of each time.

Source: "About" and "Authentication" of the PBX's REST API.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from receiver.errors import PbxNonsense, SettingsError
from receiver.pbx.faults import failure, refusal
from receiver.secrets import Secret

LARGEST = 8 * 1024 * 1024
"""Most octets that an answer may have."""

log = logging.getLogger("receiver.pbx")

_LOCAL = ("localhost", "127.0.0.1", "::1")
_SECRETS = frozenset({"password", "token", "refresh_token", "headers"})
_SHORTEST_SECRET = 4  # what is shorter would blot out ordinary words


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx of the PBX; ``what`` is what was asked for, in words."""

    status: int
    body: bytes
    what: str

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
            verify=_tls(ca, insecure) if self.url.startswith("https:") else False,
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
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request, once.

        Parameters:
            what: what is asked for, in words: error texts begin with it.
            path: after the base, with ids encoded.
            token: for ``Authorization: Bearer``.
            params: the query.
            data: a JSON body.
            form: an urlencoded body.
            headers: further ones.

        Raises:
            PbxError: see the module's rules.
        """
        bearer = {"Authorization": f"Bearer {token.reveal()}"} if token else {}
        request = self._client.build_request(
            method,
            self.url + path,
            params=params,
            json=data,
            data=form,
            headers={**(headers or {}), **bearer},
        )
        try:
            async with asyncio.timeout(2 * self._timeout):
                response = await self._client.send(request, stream=True)
                try:
                    body = await _whole(what, response)
                finally:
                    await response.aclose()
        except (TimeoutError, httpx.TransportError, httpx.DecodingError) as error:
            raise failure(what, self.host, self._timeout, error) from None
        if response.is_success:
            return Answer(response.status_code, body, what)
        raise refusal(what, response, body, _secrets(token, {**(data or form or {})}))


def normalise(url: str) -> str:
    """The base of the PBX's API for ``url``, without a slash at its end.

    Raises:
        SettingsError: it is no URL of a PBX. The text does not repeat it, for it may hold a
            password.
    """
    advice = "RECEIVER_PBX_URL should look like https://pbx.example.com:8887"
    try:
        parsed = httpx.URL(url.strip())
    except httpx.InvalidURL:
        raise SettingsError(f"the PBX's URL cannot be read: {advice}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise SettingsError(f"the PBX's URL needs https:// and a host: {advice}")
    if parsed.userinfo:
        raise SettingsError(f"the PBX's URL holds a user name or password: {advice}")
    if parsed.query or parsed.fragment:
        raise SettingsError(f"the PBX's URL holds a ? or #: {advice}")
    return str(parsed.copy_with(path=parsed.path.rstrip("/") or "/api"))


def _tls(ca: Path | None, insecure: bool) -> ssl.SSLContext:
    if insecure:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if ca is None:
        return ssl.create_default_context()
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ValueError):  # a broken file is an SSLError, which is an OSError
        raise SettingsError(
            f"RECEIVER_PBX_CA names {ca}, which cannot be read as a PEM file with certificates"
        ) from None
    # The PBX's own certificate may be all there is: it need not be signed by itself, nor be
    # marked as a CA.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


async def _whole(what: str, response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > LARGEST:
            raise PbxNonsense(
                f"{what}: the answer is larger than {LARGEST >> 20} MiB: this is not the PBX's API"
            )
    return bytes(body)


def _secrets(token: Secret | None, sent: Mapping[str, object]) -> list[str]:
    """Everything in a request that must not come back in an error's text."""
    headers = str(sent.get("headers", "")).split("&")
    texts = [str(sent[key]) for key in _SECRETS & sent.keys()]
    texts += [pair.partition(":")[2] for pair in headers]
    texts += [token.reveal()] if token else []
    return [text for text in texts if len(text) >= _SHORTEST_SECRET]
