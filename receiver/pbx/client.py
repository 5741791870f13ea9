"""The PBX's REST API as async methods: IVRs and their action URLs.

Rule 1: what goes out and comes in is typed (`receiver.pbx.models`); what goes wrong is a
        `PbxError` with one clear line.
Rule 2: a read is repeated on 429, 502, 503 and where the connection failed; a write only if it
        surely had no effect: 429, or no connection. Waiting grows and is random; ``Retry-After``
        is added to it, and nothing is repeated if that is over 30 s.
Rule 3: after a 401 the token is renewed once, and the request sent once more.
Rule 4: everything is GET or POST; a delete is ``POST …/destroy``. Any 2xx is a success.

Source: the PBX's REST API, "Virtual Receptionists".
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from tenacity import AsyncRetrying, RetryCallState
from tenacity.retry import retry_if_exception
from tenacity.stop import stop_after_attempt
from tenacity.wait import wait_random_exponential

from receiver.errors import (
    PbxNonsense,
    PbxRefused,
    PbxThrottled,
    PbxUnauthorized,
    PbxUnreachable,
    RegistrationError,
)
from receiver.pbx.faults import CutOff, NotReached
from receiver.pbx.models import (
    ActionUrl,
    Created,
    IvrSummary,
    Page,
    known_ivrs,
    read,
    read_page,
    write,
)
from receiver.pbx.tokens import TokenSource
from receiver.pbx.wire import Answer, Wire, log

T = TypeVar("T")

PAGE = 100
"""Most items that the PBX puts on a page."""

_ATTEMPTS = 4
_LONGEST_WAIT = 30.0
_BACKOFF = wait_random_exponential(multiplier=0.25, max=4)


class PbxClient:
    """A client of one PBX, to be used as an async context manager.

    Parameters:
        url: of the PBX, such as ``https://pbx.example.com:8887``; ``/api`` is added if it has no
            path.
        tokens: where the bearer token comes from.
        ca: a PEM file with the CA's certificate, or the PBX's own; None for the system's roots.
        insecure: True checks no certificate at all, and logs a warning each time.
        timeout: seconds to connect, and again for each answer.
        transport: replaces the network, for tests.
        sleep: waits between attempts, in seconds.

    Raises:
        SettingsError: the URL or the CA file cannot be used.

    Every method raises `PbxError` as the module's rules say.
    """

    def __init__(
        self,
        url: str,
        tokens: TokenSource,
        *,
        ca: Path | None = None,
        insecure: bool = False,
        timeout: float = 10.0,
        transport: httpx.AsyncBaseTransport | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._wire = Wire(url, ca=ca, insecure=insecure, timeout=timeout, transport=transport)
        self._tokens = tokens
        self._sleep = sleep

    @property
    def url(self) -> str:
        """The base of the PBX's API."""
        return self._wire.url

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if not isinstance(error, PbxUnreachable):  # to say goodbye would only time out again
                await self._tokens.sign_out(self._wire)
        finally:
            await self._wire.aclose()

    # IVRs ------------------------------------------------------------------------------------

    async def list_ivrs(self) -> AsyncIterator[IvrSummary]:
        """All IVRs, page by page.

        Whether ``skip`` counts from 0 or from 1 is documented both ways, so pages may overlap:
        what was seen is passed over, and where items are missing at the end, the last page is read
        again from one item earlier.
        """
        seen: set[str] = set()
        skip, stepped = 0, False
        while True:
            page = await self._page_of_ivrs(skip)
            fresh = {item.id: item for item in page.items if item.id not in seen}
            for item in fresh.values():
                yield item
            seen |= fresh.keys()
            skip += len(page.items)
            complete = page.count is None or len(seen) >= page.count
            if complete and page.count is not None:
                return
            if fresh and len(page.items) >= PAGE:
                continue
            if complete:
                return
            if stepped and not fresh:
                log.warning("the PBX counts %s IVRs but lists only %s", page.count, len(seen))
                return
            log.warning("the PBX lists fewer IVRs than it counts: reading on one item earlier")
            skip, stepped = max(skip - 1, 0), True

    async def find_ivr(self, number_or_name: str) -> IvrSummary:
        """The IVR with this extension number, else the only one with this name.

        Raises:
            RegistrationError: there is none, or several have the name; the text says which exist.
        """
        ivrs = [ivr async for ivr in self.list_ivrs()]
        for ivr in ivrs:
            if ivr.extension_number == number_or_name:
                return ivr
        named = [ivr for ivr in ivrs if ivr.name == number_or_name]
        if len(named) == 1:
            return named[0]
        if named:
            numbers = ", ".join(ivr.extension_number for ivr in named)
            raise RegistrationError(
                f"{len(named)} IVRs have the name {number_or_name!r}: say which by its number, one "
                f"of {numbers}"
            )
        raise RegistrationError(
            f"there is no IVR {number_or_name!r}: {known_ivrs(ivrs, number_or_name)}"
        )

    # action URLs -----------------------------------------------------------------------------

    async def list_action_urls(self, ivr_id: str) -> tuple[ActionUrl, ...]:
        """All action URLs of an IVR, in the PBX's order."""
        answer = await self._get("listing the action URLs of an IVR", _path(ivr_id))
        found = read_page(ActionUrl, answer.json(), f"{answer.what}: the list").items
        if not all(item.id for item in found):
            raise PbxNonsense(f"{answer.what}: the PBX lists one without an id")
        return found

    async def get_action_url(self, ivr_id: str, url_id: str) -> ActionUrl:
        """One action URL."""
        answer = await self._get("reading an action URL", _path(ivr_id, url_id))
        return read(ActionUrl, answer.json(), f"{answer.what}: the answer")

    async def create_action_url(self, ivr_id: str, action: ActionUrl) -> str:
        """Create an action URL; its new id."""
        answer = await self._post(f"creating {action.name!r}", _path(ivr_id), write(action))
        return read(Created, answer.json(), f"{answer.what}: the answer").id

    async def update_action_url(
        self, ivr_id: str, action: ActionUrl, *, clear: Iterable[str] = ()
    ) -> None:
        """Make the action URL with ``action.id`` what ``action`` says.

        Parameters:
            ivr_id: of its IVR.
            action: the whole of it: whether an update replaces or overlays is not documented.
            clear: names of fields to empty.
        """
        path = _path(ivr_id, action.id)
        await self._post(f"updating {action.name!r}", path, write(action, clear))

    async def destroy_action_url(self, ivr_id: str, url_id: str) -> None:
        """Delete an action URL."""
        await self._post("deleting an action URL", f"{_path(ivr_id, url_id)}/destroy")

    # how it is sent --------------------------------------------------------------------------

    async def _page_of_ivrs(self, skip: int) -> Page[IvrSummary]:
        what, query = "listing the IVRs", {"skip": skip, "top": PAGE}
        try:
            answer = await self._get(what, "/ivrs", {**query, "orderby": "extension_number asc"})
        except PbxRefused as error:
            if error.status != 400:  # which fields order is not documented
                raise
            answer = await self._get(what, "/ivrs", query)
        return read_page(IvrSummary, answer.json(), f"{what}: the list")

    async def _get(
        self, what: str, path: str, params: Mapping[str, str | int] | None = None
    ) -> Answer:
        return await self._authorized(
            lambda token: self._wire.send(what, "GET", path, token=token, params=params),
            may_repeat=_read_may_repeat,
        )

    async def _post(self, what: str, path: str, data: Mapping[str, Any] | None = None) -> Answer:
        return await self._authorized(
            lambda token: self._wire.send(what, "POST", path, token=token, data=data),
            may_repeat=_write_may_repeat,
        )

    async def _authorized(
        self,
        send: Callable[[Any], Awaitable[Answer]],
        may_repeat: Callable[[BaseException], bool],
    ) -> Answer:
        # A sign-in is as careful as a write: it is not repeated if the password may have been seen.
        token = await self._patiently(lambda: self._tokens.token(self._wire), _write_may_repeat)
        try:
            return await self._patiently(lambda: send(token), may_repeat)
        except PbxUnauthorized:
            renewed = await self._patiently(
                lambda: self._tokens.renew(self._wire, token), _write_may_repeat
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


def _path(ivr_id: str, *rest: str) -> str:
    return "/".join(["/ivrs", _segment(ivr_id), "action_urls", *map(_segment, rest)])


def _segment(text: str) -> str:
    """An id, which is opaque, as one part of a path and nothing else."""
    if not text:
        raise PbxNonsense("an id is empty, and would lead to something else on the PBX")
    return quote(text, safe="").replace(".", "%2E") if text in (".", "..") else quote(text, safe="")
