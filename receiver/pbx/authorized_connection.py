"""A connection that adds the access token to requests, and retries them where that is safe.

Rule 1: a read is retried after 429, 502, 503 and a lost connection; a write only if it certainly
        had no effect: 429, or no connection. The backoff is exponential and random; ``Retry-After``
        is added to it, and above 30 s there is no retry.
Rule 2: after a 401 the token is renewed once, and the request is sent once more.
Rule 3: a sign-in is retried like a write: never if the PBX may have seen the password.

Source: "About" of the PBX's REST API. How a PBX throttles is not documented.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

from tenacity import AsyncRetrying, RetryCallState
from tenacity.retry import retry_if_exception
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_random_exponential

from receiver.errors import PbxInvalid, PbxRefused, PbxThrottled, PbxUnauthorized
from receiver.pbx.access_tokens import TokenSource
from receiver.pbx.api_errors import ConnectFailed, ConnectionLost
from receiver.pbx.connection import Answer, Connection, Download

T = TypeVar("T")

_ATTEMPTS = 4
_LONGEST_WAIT = 30.0
_BACKOFF = wait_random_exponential(multiplier=0.25, max=4)


class AuthorizedConnection:
    """Requests over ``connection`` with a token of ``tokens``; ``sleep`` waits between attempts.

    Every method raises `PbxError`, as the module's rules say.
    """

    def __init__(
        self, connection: Connection, tokens: TokenSource, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self.connection = connection
        self.tokens = tokens
        self._sleep = sleep

    async def get(
        self,
        what: str,
        path: str,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a read; parameters as for `Connection.send`."""
        return await self._authorized(
            lambda token: self.connection.send(
                what, "GET", path, token=token, params=params, headers=headers
            ),
            may_repeat=_read_may_repeat,
        )

    async def post(
        self,
        what: str,
        path: str,
        data: Mapping[str, Any] | None = None,
        *,
        params: Mapping[str, str | int] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a write; parameters as for `Connection.send`."""
        return await self._authorized(
            lambda token: self.connection.send(
                what,
                "POST",
                path,
                token=token,
                params=params,
                data=data,
                content=content,
                headers=headers,
            ),
            may_repeat=_write_may_repeat,
        )

    async def open(self, what: str, url: str) -> Download:
        """Begin a download, without a token as documented; after a 401 with one."""
        try:
            return await self._retry(lambda: self.connection.open(what, url), _read_may_repeat)
        except PbxUnauthorized:
            return await self._authorized(
                lambda token: self.connection.open(what, url, token), may_repeat=_read_may_repeat
            )

    async def _authorized(
        self,
        send: Callable[[Any], Awaitable[T]],
        may_repeat: Callable[[BaseException], bool],
    ) -> T:
        token = await self._retry(lambda: self.tokens.token(self.connection), _write_may_repeat)
        try:
            return await self._retry(lambda: send(token), may_repeat)
        except PbxUnauthorized:
            renewed = await self._retry(
                lambda: self.tokens.renew(self.connection, token), _write_may_repeat
            )
        return await self._retry(lambda: send(renewed), may_repeat)

    async def _retry(
        self, attempt: Callable[[], Awaitable[T]], may_repeat: Callable[[BaseException], bool]
    ) -> T:
        async def once() -> T:
            return await attempt()

        retrying = AsyncRetrying(
            sleep=self._sleep,
            stop=stop_after_attempt(_ATTEMPTS),
            wait=_wait,
            retry=retry_if_exception(may_repeat),
            reraise=True,
        )
        return await retrying(once)  # tenacity checks for a coroutine function


def segment(text: str) -> str:
    """Return an id, which is opaque, as one segment of a path.

    Raises:
        PbxInvalid: it is empty.
    """
    if not text:
        raise PbxInvalid("an id is empty, so the path would be of another resource")
    return quote(text, safe="").replace(".", "%2E") if text in (".", "..") else quote(text, safe="")


def _write_may_repeat(error: BaseException) -> bool:
    """Return whether a write that failed with ``error`` had no effect, and may be retried."""
    return isinstance(error, ConnectFailed) or (
        isinstance(error, PbxThrottled) and error.status == 429 and _short_enough(error)
    )


def _read_may_repeat(error: BaseException) -> bool:
    """Return whether a read that failed with ``error`` may be retried."""
    return (
        isinstance(error, ConnectFailed | ConnectionLost)
        or (isinstance(error, PbxThrottled) and _short_enough(error))
        or (isinstance(error, PbxRefused) and error.status == 502)
    )


def _short_enough(error: PbxThrottled) -> bool:
    return error.retry_after is None or error.retry_after <= _LONGEST_WAIT


def _wait(state: RetryCallState) -> float:
    """Return the seconds until the next attempt, at least the PBX's ``Retry-After``."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, PbxThrottled) else None
    return _BACKOFF(state) + (asked or 0.0)
