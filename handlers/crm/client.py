"""HTTP client of a CRM with a rate limit and token refresh.

Rule 1: An answer other than 2xx raises `receiver.Unavailable`; the text contains nothing that the
        CRM sent except its error code.
Rule 2: A request waits for the rate limit. If it could not be sent in time, it is not sent.
        Background requests use spare capacity only, so a backlog of engagements delays no caller.
Rule 3: After a 429 no request is sent until the time in ``Retry-After`` has passed; without it for
        a second, and twice as long after each further 429, up to a minute.
Rule 4: Each process limits itself to its share: the CRM's limit divided by ``workers``. The default
        is ``WEB_CONCURRENCY``, which ``receiver serve --workers`` sets.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypedDict, TypeVar
from urllib.parse import quote

from handlers.crm.contacts import text_of
from handlers.crm.credentials import TIMEOUT, OAuth, code, https_url
from receiver import Call, DeclarationError, Unavailable
from receiver.upstream import Answer, Client, UpstreamRefused

T = TypeVar("T")

BEARER = ("Authorization", "Bearer ")
"""Header name and value prefix of most CRMs."""

MAX_WAIT = 1.0
"""Seconds that a look-up waits for the rate limit."""

MAX_BACKGROUND_WAIT = 60.0
"""Seconds that a background request waits for it."""

MAX_RETRY_AFTER = 300.0
"""Longest Retry-After in seconds that is obeyed."""

MAX_PAUSE = 60.0
"""Longest pause in seconds after a 429 without Retry-After."""

_MARGIN = 0.05  # seconds of a call that are kept for its answer
_HINTS = {
    401: "the credentials are wrong, have expired or lack a scope",
    403: "the credentials lack a permission, or a quota is used up",
    404: "not found: check url= and the requested resource",
    429: "the rate limit is exceeded",
}


class Options(TypedDict, total=False):
    """Options of every connector, as keywords and as keys of a configuration file.

    Keys:
        name: name of the CRM account; needed if an app uses two of one kind.
        per_second: requests per second that the CRM allows.
        workers: processes on all machines that share this limit; 0 for those of this machine.
        timeout: seconds for one request; a caller waits less, see `handlers.crm.lookup`.
        ca: PEM file with the certificate of a private authority.
    """

    name: str
    per_second: float
    workers: int
    timeout: float
    ca: str | Path | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOptions:
    """`Options` with the defaults of one connector."""

    name: str
    per_second: float = 10.0
    workers: int = 0
    timeout: float = TIMEOUT
    ca: str | Path | None = None


class RateLimit:
    """A limit of ``per_second`` requests, of which ``burst`` may be sent at once after a pause.

    ``workers`` processes share the limit; 0 stands for the processes of this machine.

    Raises:
        DeclarationError: ``per_second`` or ``burst`` is not above 0, or ``workers`` is below 0.
    """

    def __init__(self, per_second: float, burst: int = 1, workers: int = 0) -> None:
        if not (0 < per_second < math.inf and burst >= 1 and workers >= 0):
            raise DeclarationError("per_second and burst must be above 0, workers 0 or more")
        set_by_server = os.environ.get("WEB_CONCURRENCY", "")
        workers = workers or max(int(set_by_server) if set_by_server.isdecimal() else 1, 1)
        self._interval = workers / per_second
        self._slack = (max(burst // workers, 1) - 1) * self._interval
        self._next = -math.inf  # when the next request would be due without a burst
        self._blocked_until = -math.inf
        self._pause = 1.0

    async def wait(self, call: Call | None = None, *, background: bool = False) -> None:
        """Wait until a request may be sent, for ``call`` or in the background.

        Raises:
            Unavailable: that would be too late.
        """
        if background:
            await self._wait_for_spare()
            return
        now = asyncio.get_running_loop().time()
        limit = MAX_WAIT if call is None else min(MAX_WAIT, call.remaining() - _MARGIN)
        delay = max(self._next - self._slack, self._blocked_until, now) - now
        if delay > limit:
            raise Unavailable("no request sent: the rate limit of the CRM is reached")
        self._take(now)
        if delay > 0:
            await asyncio.sleep(delay)

    def block(self, seconds: float | None) -> None:
        """Block requests for ``seconds``, the CRM's Retry-After; without it see rule 3."""
        now = asyncio.get_running_loop().time()
        if seconds is not None:
            self._blocked_until = max(self._blocked_until, now + min(seconds, MAX_RETRY_AFTER))
        elif now >= self._blocked_until:  # not an answer to a request sent before the block
            self._blocked_until = now + self._pause
            self._pause = min(2 * self._pause, MAX_PAUSE)

    def record_success(self) -> None:
        """Record that the CRM answered: the next pause is one second again."""
        self._pause = 1.0

    async def _wait_for_spare(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + MAX_BACKGROUND_WAIT
        while (now := loop.time()) < until:
            spare = min(self._interval, self._slack)
            delay = max(self._next - self._slack + spare, self._blocked_until) - now
            if delay <= 0:
                self._take(now)
                return
            await asyncio.sleep(min(delay, until - now))
        raise Unavailable("no request sent: the rate limit of the CRM leaves no spare capacity")

    def _take(self, now: float) -> None:
        self._next = max(self._next, now) + self._interval


class CrmClient:
    """Client of one CRM's REST interface.

    Parameters:
        name: prefix of errors in options.
        url: base URL; https, or on this machine.
        options: of the connector.
        token: token or source of tokens; None if ``headers`` contain the credentials.
        header: name and value prefix of the header with the token.
        burst: as for `RateLimit`.
        headers: sent with every request.

    Raises:
        DeclarationError: the URL is invalid or not encrypted, or an option is wrong.
    """

    def __init__(
        self,
        name: str,
        url: str,
        options: ClientOptions,
        token: str | OAuth | None = None,
        header: tuple[str, str] = BEARER,
        *,
        burst: int = 10,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        url, timeout, ca = https_url(url, name), options.timeout, options.ca
        self._client = Client(url, headers=headers, timeout=timeout, ca=ca)
        self._limit = RateLimit(options.per_second, burst, options.workers)
        self._token, self._header = token, header

    async def request(
        self,
        method: str,
        path: str,
        *,
        call: Call | None = None,
        background: bool = False,
        params: Mapping[str, str | int] | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request; parameters as for `receiver.upstream.Client.request`.

        Raises:
            UpstreamRefused: the status is not 2xx; the text includes the CRM's error code.
            Unavailable: no answer, or too late; or the rate limit is exhausted.
        """
        send = partial(self._send, method, path, call, background, params=params, json=json)
        if self._token is None:
            return await send(headers=headers)
        name, prefix = self._header
        source, headers = self._token, dict(headers or {})
        token = source if isinstance(source, str) else await source.token(call)
        try:
            return await send(headers={**headers, name: prefix + token})
        except UpstreamRefused as error:
            if error.status != 401 or isinstance(source, str) or not source.refused(token):
                raise
        return await send(headers={**headers, name: prefix + await source.token(call)})

    async def _send(
        self, method: str, path: str, call: Call | None, background: bool, **parts: Any
    ) -> Answer:
        await self._limit.wait(call, background=background)
        try:
            answer = await self._client.request(method, path, call=call, **parts)
        except UpstreamRefused as error:
            if error.status == 429 or (error.status == 503 and error.retry_after is not None):
                self._limit.block(error.retry_after)
            hints = (str(error), code(error), _hint(error.status))
            raise UpstreamRefused(
                ": ".join(filter(None, hints)),
                status=error.status,
                retry_after=error.retry_after,
                body=error.body,
            ) from None
        self._limit.record_success()
        return answer


def _hint(status: int) -> str:
    return "redirects are not followed: check url=" if status < 400 else _HINTS.get(status, "")


def path_segment(value: str) -> str:
    """Return ``value`` quoted as one segment of a URL's path."""
    return quote(value, safe="")


def rows(answer: Answer, *keys: str) -> list[Mapping[str, Any]]:
    """Return the list of objects at ``keys`` of a JSON answer; raises Unavailable."""
    return check_rows(_value(answer, keys), f"the answer of {answer.origin}")


def row(answer: Answer, *keys: str) -> Mapping[str, Any]:
    """Return the object at ``keys`` of a JSON answer; raises Unavailable."""
    return check_rows([_value(answer, keys)], f"the answer of {answer.origin}")[0]


def text_at(answer: Answer, *keys: str) -> str:
    """Return the text at ``keys`` of a JSON answer, ``""`` without one."""
    return text_of(_value(answer, keys))


def check_rows(value: Any, what: str) -> list[Mapping[str, Any]]:
    """Return ``value`` if it is a list of JSON objects; raises Unavailable."""
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise Unavailable(f"{what} does not have the documented form")
    return value


def _value(answer: Answer, keys: Iterable[str]) -> object:
    value = answer.json()
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


async def none_if_404(request: Awaitable[T]) -> T | None:
    """Return the result of ``request``, None if the CRM answers 404."""
    return await none_if(404, request)


async def none_if(status: int, request: Awaitable[T]) -> T | None:
    """Return the result of ``request``, None if the CRM answers ``status``."""
    try:
        return await request
    except UpstreamRefused as error:
        if error.status != status:
            raise
        return None
