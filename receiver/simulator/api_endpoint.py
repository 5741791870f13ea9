"""Endpoints of the simulated API: their description, shared state, and answers.

Rule 1: an endpoint is a row: method, path, function, access, the version that introduced it.
Rule 2: every error is the vendor's envelope, ``{"errors":[{"code","message"}]}``.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from receiver.simulator.behaviour import Behaviour, Version
from receiver.simulator.blob_store import BlobStore
from receiver.simulator.logins import Grant, Logins
from receiver.simulator.model import Pbx
from receiver.simulator.validation import ApiError, invalid

Access = Literal["open", "token", "tenant"]
"""No token, any valid token, a valid token of a tenant's administrator."""


@dataclass(frozen=True, slots=True)
class ApiState:
    """The state of the API. ``clock`` returns monotonic seconds, ``today`` those since 1970."""

    pbx: Pbx
    logins: Logins
    blobs: BlobStore
    clock: Callable[[], float]
    today: Callable[[], float]

    @property
    def behaviour(self) -> Behaviour:
        """The current behaviour."""
        return self.pbx.behaviour

    def grant(self, request: Request) -> Grant:
        """Return the grant of the token of a request.

        Raises:
            ApiError: 401, the token is invalid.
        """
        grant = self.logins.accepts(bearer(request), self.clock())
        if grant is None:
            raise ApiError(401, "UNAUTHORIZED", "a valid access token is missing")
        return grant

    def created(self, key: str) -> Response:
        """Return the answer to a create."""
        return JSONResponse({"id": key}, self.behaviour.created)

    def destroyed(self) -> Response:
        """Return the answer to a destroy."""
        return Response(status_code=self.behaviour.destroyed)


EndpointFunction = Callable[[ApiState, Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row. ``missing`` is the status for an unknown id."""

    method: str
    path: str
    run: EndpointFunction
    access: Access = "tenant"
    since: Version = "22.0"
    missing: int = 404


async def body(request: Request, *, required: bool = False) -> object:
    """Return the decoded JSON body; a missing one is an empty object.

    Parameters:
        required: whether a missing body is an error.

    Raises:
        ApiError: 400, the body is not JSON, or is missing.
    """
    octets = await request.body()
    if required and not octets:
        raise invalid("the body", "is required")
    try:
        return json.loads(octets or b"{}", parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise invalid("the body", "is not JSON") from None


def _no_number(text: str) -> object:
    raise ValueError(f"{text} is not a JSON number")


def bearer(request: Request) -> str:
    """Return the bearer token of a request; empty for none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def refusal(fault: ApiError) -> Response:
    """Return the vendor's envelope for an error."""
    error = {"code": fault.code, "message": fault.message}
    return JSONResponse({"errors": [error]}, fault.status, fault.headers)
