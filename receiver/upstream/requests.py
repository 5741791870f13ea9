"""The requests of a client, as they go on the wire; made here, and sent elsewhere.

Rule 1: default headers, which hold credentials, go to the client's own host alone.
Rule 2: what cannot be written as HTTP is told without any of it: URLs, headers and bodies hold what
        callers keyed in.
"""

from __future__ import annotations

from collections.abc import Mapping

import httpx

from receiver.errors import DeclarationError, UpstreamError

UNFIT = "the URL, a header or the body cannot be written as HTTP"

_DEFAULTS = {"Accept": "application/json", "Accept-Encoding": "identity"}
_SCHEMES = ("http", "https")


class Requests:
    """Makes them.

    Parameters:
        base: what relative URLs begin with; empty if all will be absolute.
        headers: sent to the host of ``base``, and to no other.

    Raises:
        DeclarationError: the base is no http or https URL without credentials, or there are headers
            without a base.
    """

    def __init__(self, base: str, headers: Mapping[str, str]) -> None:
        self._base = base.rstrip("/")
        self._origin = _own_origin(base)
        if headers and not base:
            raise DeclarationError("Client: headers without a base would go to any host")
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
        """One; parameters as for `receiver.upstream.Client.request`.

        Raises:
            UpstreamError: that cannot be sent.
        """
        try:
            goal = httpx.URL(url)
            if not goal.is_absolute_url:
                goal = httpx.URL(f"{self._base}/{url.lstrip('/')}")
            if goal.scheme not in _SCHEMES:
                raise UpstreamError("the URL is neither http(s) nor relative to a base")
            sent = httpx.Headers(_DEFAULTS)
            sent.update(self._headers if origin_of(goal) == self._origin else {})
            sent.update(headers)
            return httpx.Request(
                method,
                goal.copy_merge_params(params) if params else goal,
                json=json,
                content=content,
                headers=sent,
            )
        except (httpx.InvalidURL, ValueError):
            raise UpstreamError(UNFIT) from None


def origin_of(url: httpx.URL) -> str:
    """Scheme, host and port."""
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def _own_origin(base: str) -> str:
    if not base:
        return ""
    try:
        url = httpx.URL(base)
    except httpx.InvalidURL:
        raise DeclarationError("Client: the base cannot be read as a URL") from None
    if url.scheme not in _SCHEMES or not url.host or url.userinfo or url.query:
        raise DeclarationError(
            "Client: the base is an http or https URL without credentials and query; "
            "credentials belong in the headers"
        )
    return origin_of(url)
