"""What the endpoints of the simulated API share: where they look, what they are, how they answer.

Rule 1: an endpoint is a row: method, path, work, who may use it, the version that brought it.
Rule 2: every refusal is the vendor's envelope, ``{"errors":[{"code","message"}]}``.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from receiver.simulator.behaviour import Behaviour, Version
from receiver.simulator.logins import Grant, Logins
from receiver.simulator.model import Pbx
from receiver.simulator.schema import Fault, invalid
from receiver.simulator.uploads import Uploads

Access = Literal["open", "token", "tenant"]
"""Anybody, any good token, a good token of a tenant's administrator."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What an endpoint works with. ``clock`` gives seconds, ``today`` those since 1970."""

    pbx: Pbx
    logins: Logins
    uploads: Uploads
    clock: Callable[[], float]
    today: Callable[[], float]

    @property
    def behaviour(self) -> Behaviour:
        """The behaviour that counts at this moment."""
        return self.pbx.behaviour

    def grant(self, request: Request) -> Grant:
        """What the token of a request is good for.

        Raises:
            Fault: 401, it is not good.
        """
        grant = self.logins.accepts(bearer(request), self.clock())
        if grant is None:
            raise Fault(401, "UNAUTHORIZED", "a good access token is missing")
        return grant

    def created(self, key: str) -> Response:
        """The answer to a create."""
        return JSONResponse({"id": key}, self.behaviour.created)

    def destroyed(self) -> Response:
        """The answer to a destroy."""
        return Response(status_code=self.behaviour.destroyed)


Work = Callable[[Desk, Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row. ``missing`` is the status for an id that nothing has."""

    method: str
    path: str
    work: Work
    access: Access = "tenant"
    since: Version = "22.0"
    missing: int = 404


async def body(request: Request) -> object:
    """The body as decoded JSON; no body is the same as an empty object.

    Raises:
        Fault: 400, it is no JSON.
    """
    octets = await request.body()
    try:
        return json.loads(octets or b"{}")
    except (ValueError, RecursionError):
        raise invalid("the body", "is not JSON") from None


def bearer(request: Request) -> str:
    """The token of a request, empty if there is none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def refusal(fault: Fault) -> Response:
    """The vendor's envelope for a fault."""
    error = {"code": fault.code, "message": fault.message}
    return JSONResponse({"errors": [error]}, fault.status, fault.headers)
