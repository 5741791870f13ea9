"""What all parts of the client share: a request with a token, repeated as far as that is safe.

Rule 1: a read is repeated on 429, 502, 503 and where the connection failed; a write only if it
        surely had no effect: 429, or no connection. Waiting grows and is random; ``Retry-After``
        is added to it, and nothing is repeated if that is over 30 s.
Rule 2: after a 401 the token is renewed once, and the request sent once more.
Rule 3: a sign-in is as careful as a write: it is not repeated if the password may have been seen.

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

from receiver.errors import PbxNonsense, PbxRefused, PbxThrottled, PbxUnauthorized
from receiver.pbx.faults import CutOff, NotReached
from receiver.pbx.tokens import TokenSource
from receiver.pbx.wire import Answer, Download, Wire

T = TypeVar("T")

_ATTEMPTS = 4
_LONGEST_WAIT = 30.0
_BACKOFF = wait_random_exponential(multiplier=0.25, max=4)


class Requester:
    """Sends requests over ``wire`` with a token of ``tokens``; ``sleep`` waits between attempts.

    Every method raises `PbxError`, as the module's rules say.
    """

    def __init__(
        self, wire: Wire, tokens: TokenSource, sleep: Callable[[float], Awaitable[None]]
    ) -> None:
        self.wire = wire
        self.tokens = tokens
        self._sleep = sleep

    async def get(
        self,
        what: str,
        path: str,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Read; parameters as for `Wire.send`."""
        return await self._authorized(
            lambda token: self.wire.send(
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
        """Write; parameters as for `Wire.send`."""
        return await self._authorized(
            lambda token: self.wire.send(
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
        """Begin to download what is documented to need no token, so none is sent at first."""
        try:
            return await self._patiently(lambda: self.wire.open(what, url), _read_may_repeat)
        except PbxUnauthorized:
            return await self._authorized(
                lambda token: self.wire.open(what, url, token), may_repeat=_read_may_repeat
            )

    async def _authorized(
        self,
        send: Callable[[Any], Awaitable[T]],
        may_repeat: Callable[[BaseException], bool],
    ) -> T:
        token = await self._patiently(lambda: self.tokens.token(self.wire), _write_may_repeat)
        try:
            return await self._patiently(lambda: send(token), may_repeat)
        except PbxUnauthorized:
            renewed = await self._patiently(
                lambda: self.tokens.renew(self.wire, token), _write_may_repeat
            )
        return await self._patiently(lambda: send(renewed), may_repeat)

    async def _patiently(
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
        return await retrying(once)  # it looks whether this is a coroutine function


def segment(text: str) -> str:
    """An id, which is opaque, as one part of a path and nothing else.

    Raises:
        PbxNonsense: it is empty.
    """
    if not text:
        raise PbxNonsense("an id is empty, and would lead to something else on the PBX")
    return quote(text, safe="").replace(".", "%2E") if text in (".", "..") else quote(text, safe="")


def _write_may_repeat(error: BaseException) -> bool:
    """Whether what ended in ``error`` surely had no effect, and may go better later."""
    return isinstance(error, NotReached) or (
        isinstance(error, PbxThrottled) and error.status == 429 and _bearable(error)
    )


def _read_may_repeat(error: BaseException) -> bool:
    """Whether what ended in ``error`` may go better later."""
    return (
        isinstance(error, NotReached | CutOff)
        or (isinstance(error, PbxThrottled) and _bearable(error))
        or (isinstance(error, PbxRefused) and error.status == 502)
    )


def _bearable(error: PbxThrottled) -> bool:
    return error.retry_after is None or error.retry_after <= _LONGEST_WAIT


def _wait(state: RetryCallState) -> float:
    """Seconds until the next attempt: random and growing, and no less than the PBX asked for."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after if isinstance(error, PbxThrottled) else None
    return _BACKOFF(state) + (asked or 0.0)
