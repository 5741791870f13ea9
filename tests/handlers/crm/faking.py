"""The base of the simulated CRMs: it records requests and injects faults.

Each fake behaves as its CRM's documentation says, at its strictest: a request in another form is an
error, and numbers compare only as far as the documentation promises.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

Trouble = Literal["", "down", "slow", "garbage", "odd", "throttled", "lost"]
"""``odd`` is JSON of another form; what is ``lost`` was done, but the answer to it is an error."""

RETRY_AFTER = 7
Serve = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class SeenRequest:
    method: str
    path: str
    query: dict[str, str] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    body: Any = None


class Fake(ABC):
    """A CRM in memory, as an ASGI app; the fakes say in `serve` what it answers."""

    def __init__(self) -> None:
        self.trouble: Trouble = ""
        self.fails: set[str] = set()  # paths that answer 503
        self.late = False  # the index of the search has nothing that was written
        self.requests: list[SeenRequest] = []
        self.released = asyncio.Event()

    @abstractmethod
    async def serve(self, request: Request) -> Response:
        """Return the answer to a request."""

    @abstractmethod
    def refused(self, status: int, code: str) -> Response:
        """Return an error in the form of this CRM."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._answer(Request(scope, receive))
        response.headers["Connection"] = "close"  # the server need not wait at its end
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        json = request.headers.get("Content-Type", "").startswith("application/json")
        body = await request.json() if json and await request.body() else None
        query, headers = dict(request.query_params), dict(request.headers)
        self.requests.append(SeenRequest(request.method, request.url.path, query, headers, body))
        if request.url.path in self.fails:
            return self.refused(503, "SERVICE_UNAVAILABLE")
        match self.trouble:
            case "down":
                return self.refused(503, "SERVICE_UNAVAILABLE")
            case "slow":
                await self.released.wait()
            case "garbage":
                return Response(b"\xff<html>", media_type="application/json")
            case "odd":
                return JSONResponse({"data": 7, "users": [7], "searchRecords": {}, "records": 1})
            case "throttled":
                response = self.refused(429, "TOO_MANY_REQUESTS")
                response.headers["Retry-After"] = str(RETRY_AFTER)
                return response
            case "lost":
                await self.serve(request)
                return self.refused(502, "BAD_GATEWAY")
            case _:
                pass
        return await self.serve(request)


class FakeServer:
    """A place for one fake after another."""

    fake: Fake

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await self.fake(scope, receive, send)


def digits(text: str) -> str:
    return "".join(c for c in text if c in "0123456789")
