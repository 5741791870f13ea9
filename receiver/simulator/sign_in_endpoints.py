"""The endpoints to sign in and out, to renew a token, to choose a tenant.

Rule 1: ``/auth`` takes JSON and came with 22.2, ``/login/oauth`` takes a form and is older.
Rule 2: a refused sign-in is 401 ``UNAUTHORIZED`` there and 400 ``UNAUTHORIZED`` here.

Source: "Authentication" of the vendor's REST API, and its OpenAPI file for 22.2.
"""

from __future__ import annotations

import secrets
from typing import Annotated

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from receiver.pbx.fields import Model, Spec
from receiver.simulator.api_endpoint import ApiState, Endpoint, bearer, body
from receiver.simulator.validation import ApiError, Context, accept, invalid, missing, present

CLIENT_ID = "9d806019-75b2-4b3d-bb8b-f5a3a412cc0a"
"""The ``client_id`` of the form login, the same for all clients; published by the vendor."""


class _SignIn(Model, frozen=True, kw_only=True):
    username: Annotated[str, Spec(1, 64, required=True)] = ""
    password: Annotated[str, Spec(required=True)] = ""
    domain: Annotated[str, Spec(1, 280)] = ""


class _Refresh(Model, frozen=True, kw_only=True):
    refresh_token: Annotated[str, Spec(required=True)] = ""


class _User(Model, frozen=True, kw_only=True):
    role: str = ""
    password_verified: bool = True
    password_force_reset: bool = False
    domain: Annotated[str, Spec(since="22.3")] = ""
    role_id: Annotated[str, Spec(since="22.3")] = ""
    role_name: Annotated[str, Spec(since="22.3")] = ""
    capabilities: Annotated[tuple[str, ...], Spec(since="22.3")] = ()


async def _sign_in(state: ApiState, request: Request) -> Response:
    if request.query_params.get("qr", "false") not in ("false", "true"):
        raise invalid("qr", "is neither true nor false")
    sent = accept(_SignIn, await body(request, required=True), Context(state.behaviour))
    found = state.logins.find(sent["username"], sent["password"], sent.get("domain", ""))
    if found is None:
        raise ApiError(401, "UNAUTHORIZED", "the user name or password is wrong")
    if found.two_factor:
        return JSONResponse({"two_factor_enabled": True, "token": secrets.token_hex(16)})
    return JSONResponse(state.logins.issue(found, "auth", state.clock()))


async def _refresh(state: ApiState, request: Request) -> Response:
    sent = accept(_Refresh, await body(request, required=True), Context(state.behaviour))
    tokens = state.logins.refresh(sent["refresh_token"], "auth", state.clock())
    if tokens is None:
        raise ApiError(401, "UNAUTHORIZED", "the refresh token is invalid")
    return JSONResponse(tokens)


async def _sign_out(state: ApiState, request: Request) -> Response:
    state.logins.revoke(bearer(request))
    return Response()


async def _user(state: ApiState, request: Request) -> Response:
    account = state.grant(request).account
    values = {
        "role": account.role_name,
        "password_verified": True,
        "password_force_reset": False,
        "domain": account.domain,
        "role_id": account.role_name.lower(),
        "role_name": account.role_name,
        "capabilities": ["PhoneSystem.FullAccess"],
    }
    return JSONResponse(present(_User, values, Context(state.behaviour)))


async def _oauth(state: ApiState, request: Request) -> Response:
    async with request.form() as form:
        sent = {key: value for key, value in form.items() if isinstance(value, str)}
    if sent.get("client_id") != CLIENT_ID:
        raise invalid("client_id", "is not the one of the API")
    if sent.get("grant_type") == "refresh_token":
        tokens = state.logins.refresh(sent.get("refresh_token", ""), "oauth", state.clock())
        if tokens is None:
            raise ApiError(400, "UNKNOWN", "the refresh token is invalid")
        return JSONResponse(tokens)
    if sent.get("grant_type") != "password":
        raise invalid("grant_type", "is none of password, refresh_token")
    name, password = sent.get("username", ""), sent.get("password", "")
    found = state.logins.find(name, password, sent.get("domain", ""))
    if found is None or found.two_factor:
        raise ApiError(400, "UNAUTHORIZED", "the user name or password is wrong")
    return JSONResponse(state.logins.issue(found, "oauth", state.clock()))


async def _switch(state: ApiState, request: Request) -> Response:
    if not state.logins.is_system(bearer(request)):
        raise ApiError(403, "FORBIDDEN", "only a system administrator chooses a tenant")
    if request.query_params.get("id") != state.pbx.tenant:
        raise missing("tenant")
    state.logins.switch(bearer(request))
    return Response()


ENDPOINTS = (
    Endpoint("POST", "/api/auth/sign_in", _sign_in, "open", "22.2"),
    Endpoint("POST", "/api/auth/refresh_token", _refresh, "open", "22.2"),
    Endpoint("POST", "/api/auth/sign_out", _sign_out, "token", "22.2"),
    Endpoint("GET", "/api/auth/user", _user, "token", "22.2"),
    Endpoint("POST", "/api/login/oauth/token", _oauth, "open"),
    Endpoint("POST", "/api/login/oauth/revoke", _sign_out, "token"),
    Endpoint("POST", "/api/tenants/switch", _switch, "token"),
)
