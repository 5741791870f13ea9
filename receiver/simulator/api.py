"""The REST API of the simulated PBX, as an ASGI app.

Rule 1: an endpoint is a row of a table (`receiver.simulator.api_endpoint`).
Rule 2: every error is the vendor's envelope, ``{"errors":[{"code","message"}]}``, also for an
        unknown path or method. A message repeats nothing of the request.
Rule 3: an endpoint that the version does not have gets 404.

Source: the vendor's OpenAPI file for 22.2, "About" and "Authentication" of its REST API.
"""

from __future__ import annotations

import asyncio
import secrets
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from python_multipart.exceptions import FormParserError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from receiver.credentials import Secret
from receiver.simulator import blob_endpoints, resource_endpoints, sign_in_endpoints
from receiver.simulator.api_endpoint import ApiState, Endpoint, refusal
from receiver.simulator.blob_store import BlobStore
from receiver.simulator.fault_injection import FaultInjector, OnRequest
from receiver.simulator.fault_plan import FaultPlan
from receiver.simulator.logins import Account, Logins
from receiver.simulator.model import Pbx
from receiver.simulator.sign_in_endpoints import CLIENT_ID
from receiver.simulator.validation import ApiError

__all__ = ["CLIENT_ID", "ENDPOINTS", "Api", "make_api"]

ENDPOINTS: tuple[Endpoint, ...] = (
    *resource_endpoints.ENDPOINTS,
    *blob_endpoints.ENDPOINTS,
    *sign_in_endpoints.ENDPOINTS,
)
"""All endpoints, of all versions."""

_LOG_LENGTH = 10_000


class Api:
    """The app. Make one with `make_api`.

    Attributes:
        pbx: the PBX; its current ``behaviour`` applies to each request.
        requests: method and path of the last 10,000 requests.
        faults: the faults to inject; more can be added at any time.
    """

    def __init__(
        self,
        state: ApiState,
        faults: FaultPlan,
        on_request: OnRequest,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.pbx = state.pbx
        self.requests: deque[tuple[str, str]] = deque(maxlen=_LOG_LENGTH)
        self.faults = faults
        paths = dict.fromkeys(endpoint.path for endpoint in ENDPOINTS)
        self._app = Starlette(
            routes=[Route(path, _Path(state, path), methods=None) for path in paths],
            exception_handlers={HTTPException: _refused},
        )
        self._app.router.redirect_slashes = False
        self._injector = FaultInjector(
            self._app, lambda: state.behaviour, faults, on_request, sleep, state.clock
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        self.requests.append((scope["method"], scope["path"]))
        await self._injector(scope, receive, send)


def make_api(
    pbx: Pbx,
    *,
    token: Secret | str = "",
    accounts: Iterable[Account] = (),
    clock: Callable[[], float] = time.monotonic,
    new_token: Callable[[], str] = lambda: secrets.token_urlsafe(24),
    today: Callable[[], float] = time.time,
    faults: FaultPlan | None = None,
    on_request: OnRequest = lambda method, path, when: None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Api:
    """Return the REST API of ``pbx`` under ``/api``, an ASGI app.

    Parameters:
        pbx: the PBX in memory.
        token: an access token that never expires; empty for none.
        accounts: those that can sign in.
        clock: monotonic seconds.
        new_token: returns a new token.
        today: seconds since 1970, for the dates of files.
        faults: the faults to inject; `Api.faults` can be extended later.
        on_request: called with the method, the path (with ``/api``) and ``"before"`` or
            ``"after"``: right before a request takes effect, and right after, before any of its
            answer is sent. If it raises `receiver.simulator.fault_plan.Cut` the connection is cut.
            Any other exception reaches, in the same process, the sender of the request through its
            transport, as if the process were killed there; a server answers with status 500. A
            throttled or refused request has no "after".
        sleep: sleeps, in seconds.
    """
    fixed = Secret(token) if isinstance(token, str) else token
    logins = Logins(accounts, fixed, new_token, lambda: pbx.behaviour)
    uploads = BlobStore(lambda: str(uuid.uuid4()), new_token)
    state = ApiState(pbx, logins, uploads, clock, today)
    return Api(state, faults if faults is not None else FaultPlan(), on_request, sleep)


class _Path:
    """All endpoints of one path; an ASGI app, so that it gets all methods."""

    def __init__(self, state: ApiState, path: str) -> None:
        self._state = state
        self._endpoints = {e.method: e for e in ENDPOINTS if e.path == path}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._answer(request)
        except ApiError as fault:
            response = refusal(fault)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        endpoint = self._endpoints.get(request.method)
        if endpoint is None:
            allowed = {"Allow": ", ".join(self._endpoints)}
            raise ApiError(405, "METHOD_NOT_ALLOWED", "the path has no such method", allowed)
        self._check(endpoint, request)
        try:
            return await endpoint.run(self._state, request)
        except ApiError as fault:
            if fault.status != 404:
                raise
            raise ApiError(endpoint.missing, fault.code, fault.message) from None
        except HTTPException as error:
            raise ApiError(error.status_code, "VALIDATE_FAILED", "the body is invalid") from None
        except FormParserError:  # Starlette hides it from 0.46 on
            raise ApiError(400, "VALIDATE_FAILED", "the body is invalid") from None

    def _check(self, endpoint: Endpoint, request: Request) -> None:
        how = self._state.behaviour
        hidden = endpoint.path.startswith("/api/auth/") and not how.sign_in
        if hidden or not how.has(endpoint.since):
            raise ApiError(404, "NOT_FOUND", "there is no such endpoint")
        if endpoint.access == "open":
            return
        grant = self._state.grant(request)
        if endpoint.access == "tenant" and not grant.in_tenant:
            raise ApiError(403, "FORBIDDEN", "a system administrator must choose a tenant first")
        if endpoint.access == "tenant" and not grant.may_all:
            raise ApiError(403, "FORBIDDEN", "the role does not allow this")


async def _refused(request: Request, error: Exception) -> Response:
    return refusal(ApiError(404, "NOT_FOUND", "there is no such endpoint"))
