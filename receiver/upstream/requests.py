"""Requests of a client in the form in which they are sent.

Rule 1: Default headers, which contain credentials, are sent to the client's own host only.
Rule 2: The error of an invalid request contains nothing of it: URLs, headers and bodies contain
        what callers keyed in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import httpx

from receiver.errors import DeclarationError, UpstreamError

INVALID_REQUEST = "the URL, a header or the body is not valid in HTTP"

_DEFAULTS = {
    "Accept": "application/json",
    "Accept-Encoding": "identity",
    "User-Agent": "portsip-receiver",
}
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"([\x21-\x7e]([\t\x20-\x7e]*[\x21-\x7e])?)?")
_SCHEMES = ("http", "https")


class RequestBuilder:
    """Builds the requests of a client.

    Parameters:
        base: base of relative URLs; empty if all are absolute.
        headers: sent to the host of ``base`` only.

    Raises:
        DeclarationError: the base is not an http or https URL without credentials, a header is not
            valid, or there are headers without a base.
    """

    def __init__(self, base: str, headers: Mapping[str, str]) -> None:
        self._base = base.rstrip("/")
        self._origin = _own_origin(base)
        if headers and not base:
            raise DeclarationError("Client: headers need a base, or they would be sent to any host")
        for name, value in headers.items():
            if not (_NAME.fullmatch(name) and _VALUE.fullmatch(value)):
                raise DeclarationError(
                    "Client: a header is not valid in HTTP: its name must be a word, its value "
                    "ASCII characters without line breaks and outer spaces"
                )
        self._headers = dict(headers)

    def build(
        self,
        method: str,
        url: str,
        params: Mapping[str, str | int] | None,
        json: object,
        content: bytes | None,
        headers: Mapping[str, str],
    ) -> httpx.Request:
        """Build a request; parameters as for `receiver.upstream.Client.request`.

        Raises:
            UpstreamError: the request is not valid in HTTP.
        """
        try:
            target = httpx.URL(url)
            if not target.is_absolute_url:
                target = httpx.URL(f"{self._base}/{url.lstrip('/')}")
            if target.scheme not in _SCHEMES:
                raise UpstreamError("the URL is neither http(s) nor relative to a base")
            sent = httpx.Headers(_DEFAULTS)
            sent.update(self._headers if origin_of(target) == self._origin else {})
            sent.update(headers)
            return httpx.Request(
                method,
                target.copy_merge_params(params) if params else target,
                json=json,
                content=content,
                headers=sent,
            )
        except (httpx.InvalidURL, ValueError):
            raise UpstreamError(INVALID_REQUEST) from None


def origin_of(url: httpx.URL) -> str:
    """Return scheme, host and port of ``url``."""
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def _own_origin(base: str) -> str:
    if not base:
        return ""
    try:
        url = httpx.URL(base)
    except httpx.InvalidURL:
        raise DeclarationError("Client: the base is not a valid URL") from None
    if url.scheme not in _SCHEMES or not url.host or url.userinfo or url.query:
        raise DeclarationError(
            "Client: the base must be an http or https URL without credentials and query; "
            "credentials belong in the headers"
        )
    return origin_of(url)
