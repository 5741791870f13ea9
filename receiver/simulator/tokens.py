"""The endpoints to sign in and out, to renew a token, to choose a tenant.

Rule 1: ``/auth`` takes JSON and came with 22.2, ``/login/oauth`` takes a form and is older.
Rule 2: a refused sign-in is 401 ``UNAUTHORIZED`` there and 400 ``UNAUTHORIZED`` here.

Source: "Authentication" of the vendor's REST API, and its OpenAPI file for 22.2.
"""

from __future__ import annotations

import secrets

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from receiver.simulator import tables
from receiver.simulator.desk import Desk, Endpoint, bearer, body
from receiver.simulator.schema import Context, Fault, accept, invalid, missing, present

CLIENT_ID = "9d806019-75b2-4b3d-bb8b-f5a3a412cc0a"
"""The ``client_id`` of the form login, the same for everybody; published by the vendor."""


async def _sign_in(desk: Desk, request: Request) -> Response:
    sent = accept(tables.SIGN_IN, await body(request), Context())
    found = desk.logins.find(sent["username"], sent["password"], sent.get("domain", ""))
    if found is None:
        raise Fault(401, "UNAUTHORIZED", "the user name or password is wrong")
    if found.two_factor:
        return JSONResponse({"two_factor_enabled": True, "token": secrets.token_hex(16)})
    return JSONResponse(desk.logins.issue(found, "auth", desk.clock()))


async def _refresh(desk: Desk, request: Request) -> Response:
    sent = accept(tables.REFRESH, await body(request), Context())
    tokens = desk.logins.refresh(sent["refresh_token"], "auth", desk.clock())
    if tokens is None:
        raise Fault(401, "UNAUTHORIZED", "the refresh token is not good")
    return JSONResponse(tokens)


async def _sign_out(desk: Desk, request: Request) -> Response:
    desk.logins.revoke(bearer(request))
    return Response()


async def _user(desk: Desk, request: Request) -> Response:
    account = desk.grant(request).account
    values = {
        "role": account.role_name,
        "password_verified": True,
        "password_force_reset": False,
        "domain": account.domain,
        "role_id": account.role_name.lower(),
        "role_name": account.role_name,
        "capabilities": ["PhoneSystem.FullAccess"],
    }
    return JSONResponse(present(tables.USER, values, Context(desk.behaviour), "show"))


async def _oauth(desk: Desk, request: Request) -> Response:
    async with request.form() as form:
        sent = {key: value for key, value in form.items() if isinstance(value, str)}
    if sent.get("client_id") != CLIENT_ID:
        raise invalid("client_id", "is not the one of the API")
    if sent.get("grant_type") == "refresh_token":
        tokens = desk.logins.refresh(sent.get("refresh_token", ""), "oauth", desk.clock())
        if tokens is None:
            raise Fault(400, "UNKNOWN", "the refresh token is not good")
        return JSONResponse(tokens)
    if sent.get("grant_type") != "password":
        raise invalid("grant_type", "is none of password, refresh_token")
    name, password = sent.get("username", ""), sent.get("password", "")
    found = desk.logins.find(name, password, sent.get("domain", ""))
    if found is None or found.two_factor:
        raise Fault(400, "UNAUTHORIZED", "the user name or password is wrong")
    return JSONResponse(desk.logins.issue(found, "oauth", desk.clock()))


async def _switch(desk: Desk, request: Request) -> Response:
    if not desk.logins.is_system(bearer(request)):
        raise Fault(403, "FORBIDDEN", "only a system administrator chooses a tenant")
    if request.query_params.get("id") != desk.pbx.tenant:
        raise missing("tenant")
    desk.logins.switch(bearer(request))
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
