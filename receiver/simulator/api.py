"""The REST API of the simulated PBX, as an ASGI app.

Rule 1: an endpoint is a row of a table: method, path, what it does, who may use it, since when.
Rule 2: every refusal is the vendor's envelope, ``{"errors":[{"code","message"}]}``, also where no
        endpoint or no such method is found. A message holds nothing that was sent.
Rule 3: what a version does not have is not found.

Source: the vendor's OpenAPI file for 22.2, "About" and "Authentication" of its REST API.
"""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from receiver.secrets import Secret
from receiver.simulator import blobs, resources, tokens
from receiver.simulator.desk import Desk, Endpoint, refusal
from receiver.simulator.faults import Faults
from receiver.simulator.gate import Gate, OnRequest
from receiver.simulator.logins import Account, Logins
from receiver.simulator.model import Pbx
from receiver.simulator.schema import Fault
from receiver.simulator.tokens import CLIENT_ID
from receiver.simulator.uploads import Uploads

__all__ = ["CLIENT_ID", "ENDPOINTS", "Api", "make_api"]

ENDPOINTS: tuple[Endpoint, ...] = (
    *resources.ENDPOINTS,
    *blobs.ENDPOINTS,
    *tokens.ENDPOINTS,
)
"""Everything that the API has, in all versions."""

_LOG_LENGTH = 10_000


class Api:
    """The app. Make one with `make_api`.

    Attributes:
        pbx: the PBX behind it; its ``behaviour`` counts for each request anew.
        requests: method and path of the requests so far, the latest 10,000.
        faults: what goes wrong; may be added to at any time.
    """

    def __init__(
        self,
        desk: Desk,
        faults: Faults,
        on_request: OnRequest,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.pbx = desk.pbx
        self.requests: deque[tuple[str, str]] = deque(maxlen=_LOG_LENGTH)
        self.faults = faults
        paths = dict.fromkeys(endpoint.path for endpoint in ENDPOINTS)
        self._app = Starlette(
            routes=[Route(path, _Path(desk, path), methods=None) for path in paths],
            exception_handlers={HTTPException: _refused},
        )
        self._app.router.redirect_slashes = False
        self._gate = Gate(self._app, lambda: desk.behaviour, faults, on_request, sleep, desk.clock)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self.requests.append((scope["method"], scope["path"]))
        await self._gate(scope, receive, send)


def make_api(
    pbx: Pbx,
    *,
    token: Secret | str = "",
    accounts: Iterable[Account] = (),
    clock: Callable[[], float] = time.monotonic,
    new_token: Callable[[], str] = lambda: secrets.token_urlsafe(24),
    today: Callable[[], float] = time.time,
    faults: Faults | None = None,
    on_request: OnRequest = lambda method, path, when: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Api:
    """The REST API of ``pbx`` under ``/api``, an ASGI app.

    Parameters:
        pbx: the PBX in memory.
        token: an access token that is always good; empty for none.
        accounts: who may sign in.
        clock: seconds from some moment on.
        new_token: gives a token that was never given before.
        today: seconds since 1970, for the dates of files.
        faults: which requests go wrong; `Api.faults` may be added to later.
        on_request: called with the method, the path (with ``/api``) and ``"before"`` or
            ``"after"``: right before a request takes effect, and right after, when nothing of its
            answer has been sent yet. If it raises `receiver.simulator.faults.Cut` the connection
            is cut. Whatever else it raises goes, within the process, through the transport to
            whoever sent the request, as if that process were killed there; a server makes a
            status 500 of it. A request that is throttled or refused by a fault has no "after".
        sleep: waits for so many seconds.
    """
    fixed = Secret(token) if isinstance(token, str) else token
    logins = Logins(accounts, fixed, new_token, lambda: pbx.behaviour)
    uploads = Uploads(lambda: str(uuid.uuid4()), new_token)
    desk = Desk(pbx, logins, uploads, clock, today)
    return Api(desk, faults if faults is not None else Faults(), on_request, sleep)


class _Path:
    """All endpoints of one path; an ASGI app, so that each method gets here."""

    def __init__(self, desk: Desk, path: str) -> None:
        self._desk = desk
        self._endpoints = {e.method: e for e in ENDPOINTS if e.path == path}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except Fault as fault:
            response = refusal(fault)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        endpoint = self._endpoints.get(request.method)
        if endpoint is None:
            allowed = {"Allow": ", ".join(self._endpoints)}
            raise Fault(405, "METHOD_NOT_ALLOWED", "there is no such method here", allowed)
        self._check(endpoint, request)
        try:
            return await endpoint.work(self._desk, request)
        except Fault as fault:
            if fault.status != 404:
                raise
            raise Fault(endpoint.missing, fault.code, fault.message) from None
        except HTTPException as error:
            raise Fault(error.status_code, "VALIDATE_FAILED", "the body cannot be read") from None

    def _check(self, endpoint: Endpoint, request: Request) -> None:
        how = self._desk.behaviour
        hidden = endpoint.path.startswith("/api/auth/") and not how.sign_in
        if hidden or not how.has(endpoint.since):
            raise Fault(404, "NOT_FOUND", "there is no such endpoint")
        if endpoint.access == "open":
            return
        grant = self._desk.grant(request)
        if endpoint.access == "tenant" and not grant.in_tenant:
            raise Fault(403, "FORBIDDEN", "a system administrator has to choose a tenant first")
        if endpoint.access == "tenant" and not grant.may_all:
            raise Fault(403, "FORBIDDEN", "the role does not allow this")


async def _refused(request: Request, error: Exception) -> Response:
    return refusal(Fault(404, "NOT_FOUND", "there is no such endpoint"))
