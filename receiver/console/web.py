"""The console over HTTP: the page, the state, the events, and what the phone asks for.

Rule 1: every request goes through `receiver.console.security.Guard`.
Rule 2: it only reads what the `Feed` has, and hands what is asked for to `Controls`: no call, no
        service and no PBX is known here. Without controls there is nothing to ask for.
Rule 3: what a page sends is small, typed and checked; what is wrong with it is said in one line.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import aclosing
from pathlib import Path
from typing import Annotated, Literal, NamedTuple, Protocol, TypeVar

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from receiver.console.feed import Feed, Json
from receiver.console.pages import page_of
from receiver.console.security import Guard
from receiver.errors import ReceiverError

PAGE = Path(__file__).parent / "page"

LARGEST = 4096
"""Octets of what a page sends."""

PAGE_OF_CALLS, MOST = 200, 1000
"""Calls that are given at once: if nobody says how many, and at most."""

ALIVE = 15.0
"""Seconds after which a viewer is sent a comment, so that nobody takes the connection for dead."""

_MEDIA = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}

_Short = Annotated[str, Meta(max_length=200)]


class ControlError(ReceiverError):
    """What the page asked for cannot be done; the text says why, and what to do."""


class Dial(Struct, forbid_unknown_fields=True, frozen=True):
    """Call an IVR, ``"8000"`` or ``"label/8000"``."""

    ivr: _Short
    caller: _Short = "101"
    name: _Short = ""


class Key(Struct, forbid_unknown_fields=True, frozen=True):
    """Press one key."""

    key: Annotated[str, Meta(pattern="^[0-9*#]$")]


class Nothing(Struct, forbid_unknown_fields=True, frozen=True):
    """There is nothing to say."""


class Clock(Struct, forbid_unknown_fields=True, frozen=True):
    """The time on the PBX, ``"2026-11-22T09:00"``; None for that of this machine."""

    at: _Short | None


class Night(Struct, forbid_unknown_fields=True, frozen=True):
    """Switch the night mode of an IVR."""

    ivr: _Short
    on: bool


class Faults(Struct, forbid_unknown_fields=True, frozen=True):
    """What shall go wrong; what is not given stays as it is."""

    slow: Annotated[float, Meta(ge=0, le=10)] | UnsetType = UNSET
    network: Literal["ok", "drop", "refuse"] | UnsetType = UNSET
    password: Literal["right", "wrong"] | UnsetType = UNSET
    crm: Literal["ok", "slow", "down"] | UnsetType = UNSET


class Audio(NamedTuple):
    """A recording."""

    data: bytes
    media_type: str


class Controls(Protocol):
    """What the page may ask for. Each raises `ControlError` if it cannot be done."""

    async def dial(self, wanted: Dial) -> str: ...
    async def key(self, call: str, pressed: Key) -> None: ...
    async def hang_up(self, call: str) -> None: ...
    async def clock(self, wanted: Clock) -> None: ...
    async def night(self, wanted: Night) -> None: ...
    async def faults(self, wanted: Faults) -> None: ...
    async def audio(self, file_id: str) -> Audio | None: ...


S = TypeVar("S", bound=Struct)


def make_console(
    feed: Feed,
    *,
    hosts: Collection[str],
    token: str,
    controls: Controls | None = None,
    page: Path = PAGE,
    within: Callable[[ASGIApp], ASGIApp] = lambda app: app,
) -> ASGIApp:
    """The console as an ASGI app, to be served or mounted.

    Parameters:
        feed: what it shows.
        hosts: the values of Host that are ours, in lower case.
        token: what a POST needs, made anew with each start.
        controls: what the page may do; None lets it only look.
        page: the folder of the page's files.
        within: what is between the guard and all that, such as a login.
    """
    desk = _Desk(feed, token, controls, page)
    routes = [
        Route("/", desk.index),
        Route("/page/{name}", desk.file),
        Route("/state", desk.state),
        Route("/events", desk.events),
        Route("/calls", desk.calls),
        Route("/calls/{id}", desk.call),
    ]
    if controls is not None:
        routes += [
            Route("/audio/{id}", desk.audio(controls)),
            Route("/phone/dial", desk.dial(controls), methods=["POST"]),
            Route("/phone/{id}/key", desk.key(controls), methods=["POST"]),
            Route("/phone/{id}/hangup", desk.hang_up(controls), methods=["POST"]),
            Route("/pbx/clock", _posted(Clock, controls.clock), methods=["POST"]),
            Route("/pbx/night", _posted(Night, controls.night), methods=["POST"]),
            Route("/faults", _posted(Faults, controls.faults), methods=["POST"]),
        ]
    app = Starlette(
        routes=routes,
        exception_handlers={ControlError: _control_error, HTTPException: _http_error},
    )
    app.router.redirect_slashes = False
    return Guard(within(app), hosts=hosts, token=token)


Endpoint = Callable[[Request], Awaitable[Response]]


class _Desk:
    """The endpoints."""

    def __init__(self, feed: Feed, token: str, controls: Controls | None, page: Path) -> None:
        self._feed = feed
        self._token = token
        self._page = page

    async def index(self, request: Request) -> Response:
        try:
            text = page_of(self._page, "index.html", token=self._token)
        except OSError:
            raise HTTPException(
                404, "the page is not installed: install the package again"
            ) from None
        return Response(text, media_type="text/html")

    async def file(self, request: Request) -> Response:
        name = request.path_params["name"]
        there = {path.name: path for path in self._page.iterdir() if path.suffix in _MEDIA}
        if name not in there:
            raise HTTPException(404, "the page has no such file")
        return Response(there[name].read_bytes(), media_type=_MEDIA[there[name].suffix])

    async def state(self, request: Request) -> Response:
        return _json(self._feed.state())

    async def events(self, request: Request) -> Response:
        after = _number(request, "after")
        after = self._feed.seq if after is None else after
        if (last := request.headers.get("last-event-id", "")).isdecimal():
            after = int(last[:18])  # the browser connected again by itself
        headers = {"X-Accel-Buffering": "no"}  # a proxy must not wait for more
        stream = self._stream(after)
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    async def _stream(self, after: int) -> AsyncIterator[bytes]:
        viewer = self._feed.watch(after)
        try:
            yield b": welcome\n\n"
            while (found := await viewer.next(ALIVE)) is not None:
                yield found or b": still here\n\n"
        finally:
            self._feed.leave(viewer)

    async def calls(self, request: Request) -> Response:
        limit = min(_number(request, "limit") or PAGE_OF_CALLS, MOST)
        return _json({"calls": self._feed.calls(_number(request, "before"), limit)})

    async def call(self, request: Request) -> Response:
        if (found := self._feed.whole(request.path_params["id"])) is None:
            raise HTTPException(404, "this call is forgotten: only so many are remembered")
        return _json(found)

    def audio(self, controls: Controls) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            if (found := await controls.audio(request.path_params["id"])) is None:
                raise HTTPException(404, "the PBX has no such recording")
            return Response(found.data, media_type=found.media_type)

        return endpoint

    def dial(self, controls: Controls) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            return _json({"call": await controls.dial(await _body(request, Dial))})

        return endpoint

    def key(self, controls: Controls) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            await controls.key(request.path_params["id"], await _body(request, Key))
            return _json({})

        return endpoint

    def hang_up(self, controls: Controls) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            await _body(request, Nothing)
            await controls.hang_up(request.path_params["id"])
            return _json({})

        return endpoint


def _posted(kind: type[S], work: Callable[[S], Awaitable[None]]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        await work(await _body(request, kind))
        return _json({})

    return endpoint


async def _body(request: Request, kind: type[S]) -> S:
    octets = bytearray()
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            octets += chunk
            if len(octets) > LARGEST:
                raise HTTPException(413, f"at most {LARGEST} octets are taken")
    try:
        return msgspec.json.decode(bytes(octets) or b"{}", type=kind)
    except msgspec.MsgspecError as error:
        raise HTTPException(400, f"this cannot be asked for so: {error}") from None


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise HTTPException(400, f"{name} is no whole number")
    return int(text)


def _json(data: Json) -> Response:
    return Response(msgspec.json.encode(data), media_type="application/json")


async def _control_error(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 409)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - for the type checker
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)
