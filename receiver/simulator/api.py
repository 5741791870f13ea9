"""The REST API of the simulated PBX, as an ASGI app.

Rule 1: an endpoint is a row of the table at the end: method, path, who may use it, what it does.
Rule 2: the codes are the vendor's: 201 with ``{"id"}`` for a create, 200 for a read or an update
        (the latter without a body), 204 for a destroy; what does not exist is 404, a guess.
Rule 3: every refusal is the vendor's envelope, ``{"errors":[{"code","message"}]}``, also where no
        endpoint or no such method is found. A message holds nothing that was sent.

Source: the vendor's OpenAPI file for 22.2, "About" and "Authentication" of its REST API.
"""

from __future__ import annotations

import json
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from receiver.secrets import Secret
from receiver.simulator.logins import Account, Family, Logins
from receiver.simulator.model import Pbx
from receiver.simulator.schema import Fault, Field, Json, accept, invalid

CLIENT_ID = "9d806019-75b2-4b3d-bb8b-f5a3a412cc0a"
"""The ``client_id`` of the form login, the same for everybody; published by the vendor."""

_LOG_LENGTH = 10_000
_SIGN_IN = (
    Field("username", low=1, high=64, required=True),
    Field("password", required=True),
    Field("domain", low=1, high=280),
)
_REFRESH = (Field("refresh_token", required=True),)


class Api:
    """The app. Make one with `make_api`.

    Attributes:
        pbx: the PBX behind it; its ``behaviour`` counts for each request anew.
        requests: method and path of the requests so far, the latest 10,000.
    """

    def __init__(self, pbx: Pbx, logins: Logins, clock: Callable[[], float]) -> None:
        self.pbx = pbx
        self.requests: deque[tuple[str, str]] = deque(maxlen=_LOG_LENGTH)
        self._logins = logins
        self._clock = clock
        self._app = Starlette(
            routes=[Route(path, _Path(self, path), methods=None) for path in _PATHS],
            exception_handlers={HTTPException: _refused},
        )
        self._app.router.redirect_slashes = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.requests.append((scope["method"], scope["path"]))
        await self._app(scope, receive, send)

    async def answer(self, endpoint: _Endpoint, request: Request) -> Response:
        """Carry out one request, whose path and method were found."""
        if endpoint.protected:
            self._check_token(request)
        return await endpoint.work(self, request)

    def _check_token(self, request: Request) -> None:
        if not self._logins.accepts(_bearer(request), self._clock()):
            raise Fault(401, "UNAUTHORIZED", "a good access token is missing")

    # IVRs ------------------------------------------------------------------------------------

    async def create_ivr(self, request: Request) -> Response:
        return JSONResponse({"id": self.pbx.ivrs.create(await _json(request))}, 201)

    async def list_ivrs(self, request: Request) -> Response:
        return JSONResponse(self.pbx.ivrs.page(request.query_params))

    async def show_ivr(self, request: Request) -> Response:
        return JSONResponse(self.pbx.ivrs.show(request.path_params["id"]))

    async def update_ivr(self, request: Request) -> Response:
        self.pbx.ivrs.update(request.path_params["id"], await _json(request))
        return Response()

    async def status_of_ivr(self, request: Request) -> Response:
        self.pbx.ivrs.stored(request.path_params["id"])
        return JSONResponse({"status": "ONLINE"})

    async def destroy_ivr(self, request: Request) -> Response:
        self.pbx.destroy_ivr(request.path_params["id"])
        return Response(status_code=204)

    # Action URLs -----------------------------------------------------------------------------

    async def create_action_url(self, request: Request) -> Response:
        urls = self.pbx.action_urls(request.path_params["id"])
        return JSONResponse({"id": urls.create(await _json(request))}, 201)

    async def list_action_urls(self, request: Request) -> Response:
        return JSONResponse(self.pbx.action_urls(request.path_params["id"]).show_all())

    async def show_action_url(self, request: Request) -> Response:
        urls = self.pbx.action_urls(request.path_params["id"])
        return JSONResponse(urls.show(request.path_params["url_id"]))

    async def update_action_url(self, request: Request) -> Response:
        urls = self.pbx.action_urls(request.path_params["id"])
        urls.update(request.path_params["url_id"], await _json(request))
        return Response()

    async def destroy_action_url(self, request: Request) -> Response:
        urls = self.pbx.action_urls(request.path_params["id"])
        urls.destroy(request.path_params["url_id"])
        return Response(status_code=204)

    # Tokens ----------------------------------------------------------------------------------

    async def sign_in(self, request: Request) -> Response:
        if not self.pbx.behaviour.sign_in:
            raise Fault(404, "NOT_FOUND", "there is no such endpoint")
        sent = accept(_SIGN_IN, await _json(request), "create")
        found = self._logins.find(sent["username"], sent["password"], sent.get("domain", ""))
        if found is None:
            raise Fault(401, "UNAUTHORIZED", "the user name or password is wrong")
        if found.two_factor:
            return JSONResponse({"two_factor_enabled": True, "token": secrets.token_hex(16)})
        return JSONResponse(self._issue("auth"))

    async def refresh_token(self, request: Request) -> Response:
        sent = accept(_REFRESH, await _json(request), "create")
        tokens = self._refresh(sent["refresh_token"], "auth")
        if tokens is None:
            raise Fault(401, "UNAUTHORIZED", "the refresh token is not good")
        return JSONResponse(tokens)

    async def sign_out(self, request: Request) -> Response:
        self._logins.revoke(_bearer(request))
        return Response()

    async def oauth_token(self, request: Request) -> Response:
        async with request.form() as form:
            sent = {key: value for key, value in form.items() if isinstance(value, str)}
        if sent.get("client_id") != CLIENT_ID:
            raise invalid("client_id", "is not the one of the API")
        if sent.get("grant_type") == "refresh_token":
            tokens = self._refresh(sent.get("refresh_token", ""), "oauth")
            if tokens is None:
                raise Fault(400, "UNKNOWN", "the refresh token is not good")
            return JSONResponse(tokens)
        if sent.get("grant_type") != "password":
            raise invalid("grant_type", "is none of password, refresh_token")
        name, password = sent.get("username", ""), sent.get("password", "")
        found = self._logins.find(name, password, sent.get("domain", ""))
        if found is None or found.two_factor:
            raise Fault(400, "UNAUTHORIZED", "the user name or password is wrong")
        return JSONResponse(self._issue("oauth"))

    def _issue(self, family: Family) -> Json:
        return self._logins.issue(family, self.pbx.behaviour.token_life, self._clock())

    def _refresh(self, token: str, family: Family) -> Json | None:
        return self._logins.refresh(token, family, self.pbx.behaviour.token_life, self._clock())


def make_api(
    pbx: Pbx,
    *,
    token: Secret | str = "",
    accounts: Iterable[Account] = (),
    clock: Callable[[], float] = time.monotonic,
    new_token: Callable[[], str] = lambda: secrets.token_urlsafe(24),
) -> Api:
    """The REST API of ``pbx`` under ``/api``, an ASGI app.

    Parameters:
        pbx: the PBX in memory.
        token: an access token that is always good; empty for none.
        accounts: who may sign in.
        clock: seconds from some moment on.
        new_token: gives a token that was never given before.
    """
    fixed = Secret(token) if isinstance(token, str) else token
    return Api(pbx, Logins(accounts, fixed, new_token), clock)


class _Path:
    """All endpoints of one path; an ASGI app, so that each method gets here."""

    def __init__(self, api: Api, path: str) -> None:
        self._api = api
        self._endpoints = {e.method: e for e in _ENDPOINTS if e.path == path}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            endpoint = self._endpoints.get(request.method)
            if endpoint is None:
                allow = {"Allow": ", ".join(self._endpoints)}
                raise Fault(405, "METHOD_NOT_ALLOWED", "this path has no such method", allow)
            response = await self._api.answer(endpoint, request)
        except Fault as fault:
            response = _envelope(fault)
        await response(scope, receive, send)


def _envelope(fault: Fault) -> Response:
    errors = {"errors": [{"code": fault.code, "message": fault.message}]}
    return JSONResponse(errors, fault.status, fault.headers)


async def _refused(request: Request, error: Exception) -> Response:
    """What Starlette refuses by itself: a path that is not there, a form that cannot be read."""
    if isinstance(error, HTTPException) and error.status_code == 404:
        return _envelope(Fault(404, "NOT_FOUND", "there is no such endpoint"))
    return _envelope(invalid("the body", "cannot be read"))


async def _json(request: Request) -> object:
    """The body as decoded JSON; no body is the same as an empty object."""
    body = await request.body()
    try:
        return json.loads(body or b"{}")
    except (ValueError, RecursionError):
        raise invalid("the body", "is not JSON") from None


def _bearer(request: Request) -> str:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


@dataclass(frozen=True, slots=True)
class _Endpoint:
    method: str
    path: str
    work: Callable[[Api, Request], Awaitable[Response]]
    protected: bool = True


_IVRS, _URLS = "/api/ivrs", "/api/ivrs/{id}/action_urls"
_ENDPOINTS = (
    _Endpoint("POST", _IVRS, Api.create_ivr),
    _Endpoint("GET", _IVRS, Api.list_ivrs),
    _Endpoint("GET", _IVRS + "/{id}", Api.show_ivr),
    _Endpoint("POST", _IVRS + "/{id}", Api.update_ivr),
    _Endpoint("GET", _IVRS + "/{id}/status", Api.status_of_ivr),
    _Endpoint("POST", _IVRS + "/{id}/destroy", Api.destroy_ivr),
    _Endpoint("POST", _URLS, Api.create_action_url),
    _Endpoint("GET", _URLS, Api.list_action_urls),
    _Endpoint("GET", _URLS + "/{url_id}", Api.show_action_url),
    _Endpoint("POST", _URLS + "/{url_id}", Api.update_action_url),
    _Endpoint("POST", _URLS + "/{url_id}/destroy", Api.destroy_action_url),
    _Endpoint("POST", "/api/auth/sign_in", Api.sign_in, protected=False),
    _Endpoint("POST", "/api/auth/refresh_token", Api.refresh_token, protected=False),
    _Endpoint("POST", "/api/auth/sign_out", Api.sign_out),
    _Endpoint("POST", "/api/login/oauth/token", Api.oauth_token, protected=False),
    _Endpoint("POST", "/api/login/oauth/revoke", Api.sign_out),
)
_PATHS = tuple(dict.fromkeys(endpoint.path for endpoint in _ENDPOINTS))
