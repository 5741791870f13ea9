"""Forward events to another receiver: a tenant of the PBX has one event URL.

Rule 1: the body of an event is sent unchanged, by a separate durable job, with the retries of
        such jobs.
Rule 2: as at the PBX, 404 means that the receiver does not want the event; any other status than
        2xx is a failure.
Rule 3: no log line has the URL, which may hold a password.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit, urlunsplit

from receiver.errors import UpstreamRefused
from receiver.storage.job_queue import to_octets

if TYPE_CHECKING:
    from receiver.upstream import Client

TIMEOUT = 10.0
"""Seconds for the other receiver to answer."""

log = logging.getLogger("receiver")


class Forwarder:
    """Sends events.

    Parameters:
        client: makes what sends the requests; by default that of `receiver.upstream`.
    """

    def __init__(self, client: Callable[[], Client] | None = None) -> None:
        self._make = client or _client
        self._client: Client | None = None

    def run(self, urls: Mapping[str, str]) -> Callable[[str, str], Coroutine[Any, Any, None]]:
        """Return the function of the jobs.

        Parameters:
            urls: where events go, by the label of a PBX.
        """

        async def forward(pbx: str, body: str) -> None:
            if url := urls.get(pbx, ""):
                await self._send(url, to_octets(body))

        forward.__module__, forward.__qualname__ = "events", "forward_to"
        return forward

    async def _send(self, url: str, body: bytes) -> None:
        self._client = self._client or self._make()
        bare, headers = split_credentials(url)
        headers["Content-Type"] = "application/json"
        try:
            await self._client.request("POST", bare, content=body, headers=headers)
        except UpstreamRefused as error:
            if error.status != 404:
                raise
            log.warning("an event is not wanted by the receiver at forward_to= (404): dropped")


def split_credentials(url: str) -> tuple[str, dict[str, str]]:
    """Return the URL without its credentials, and the header that has them."""
    parts = urlsplit(url)
    if parts.username is None:
        return url, {}
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
    bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return bare, {"Authorization": f"Basic {base64.b64encode(pair).decode()}"}


def _client() -> Client:
    from receiver.upstream import Client  # noqa: PLC0415 - slow to import

    return Client(timeout=TIMEOUT)
