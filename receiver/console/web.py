"""The console over HTTP: the page, the state, the events, and the controls of the phone.

Rule 1: every request passes `receiver.console.security.Guard`.
Rule 2: state and events come from the `Feed`, and requests go to `Controls`: this module does not
        depend on calls, services or PBXs. Without controls the console is read-only.
Rule 3: request bodies are small, typed and checked; an error is one line.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
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

MAX_BODY = 4096
"""Bytes of a request's body."""

DEFAULT_CALLER = "101"
"""The number of the caller by default, also in the form of the page."""

DEFAULT_LIMIT, MAX_LIMIT = 200, 1000
"""Calls in one response: by default, and at most."""

KEEP_ALIVE = 15.0
"""Seconds after which an idle viewer gets a comment, so that proxies keep the connection."""

_MEDIA = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}

_Short = Annotated[str, Meta(max_length=200)]


class ControlError(ReceiverError):
    """A request of the page cannot be carried out; the text says why, and what to do."""


class Dial(Struct, forbid_unknown_fields=True, frozen=True):
    """Call an IVR, ``"8000"`` or ``"label/8000"``."""

    ivr: _Short
    caller: _Short = DEFAULT_CALLER
    name: _Short = ""


class Key(Struct, forbid_unknown_fields=True, frozen=True):
    """Press one key."""

    key: Annotated[str, Meta(pattern="^[0-9*#]$")]


class Empty(Struct, forbid_unknown_fields=True, frozen=True):
    """A body without fields."""


class Clock(Struct, forbid_unknown_fields=True, frozen=True):
    """The time on the PBX, ``"2026-11-22T09:00"``; None for this machine's."""

    at: _Short | None


class Night(Struct, forbid_unknown_fields=True, frozen=True):
    """Switch the night mode of an IVR."""

    ivr: _Short
    on: bool


class Faults(Struct, forbid_unknown_fields=True, frozen=True):
    """Faults to simulate; a field that is not given is not changed."""

    slow: Annotated[float, Meta(ge=0, le=10)] | UnsetType = UNSET
    network: Literal["ok", "drop", "refuse"] | UnsetType = UNSET
    password: Literal["right", "wrong"] | UnsetType = UNSET
    crm: Literal["ok", "slow", "down"] | UnsetType = UNSET


class Audio(NamedTuple):
    """An audio file."""

    data: bytes
    media_type: str


class Controls(Protocol):
    """The requests of the page. Each raises `ControlError` if it cannot be carried out."""

    async def dial(self, request: Dial) -> str: ...
    async def key(self, call: str, pressed: Key) -> None: ...
    async def hang_up(self, call: str) -> None: ...
    async def clock(self, request: Clock) -> None: ...
    async def night(self, request: Night) -> None: ...
    async def faults(self, request: Faults) -> None: ...
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
    more: Iterable[Route] = (),
) -> ASGIApp:
    """Return the console as an ASGI app.

    Parameters:
        feed: its state and events.
        hosts: the accepted values of Host, in lower case.
        token: required by POST requests; new with each start.
        controls: of the phone; None for a read-only console.
        page: the folder of the page's files.
        within: wraps the app inside of the guard, for example with a login.
        more: further routes.
    """
    endpoints = _Endpoints(feed, token, page)
    routes = [
        Route("/", endpoints.index),
        Route("/page/{name}", endpoints.file),
        Route("/state", endpoints.state),
        Route("/events", endpoints.events),
        Route("/calls", endpoints.calls),
        Route("/calls/{id}", endpoints.call),
        *more,
    ]
    if controls is not None:
        routes += [Route("/audio/{id}", endpoints.audio(controls)), *_control_routes(controls)]
    app = Starlette(
        routes=routes,
        exception_handlers={ControlError: _control_error, HTTPException: _http_error},
    )
    app.router.redirect_slashes = False
    return Guard(within(app), hosts=hosts, token=token)


def _control_routes(controls: Controls) -> list[Route]:
    return [
        _post("/phone/dial", Dial, lambda _, body: controls.dial(body)),
        _post("/phone/{id}/key", Key, controls.key),
        _post("/phone/{id}/hangup", Empty, lambda call, _: controls.hang_up(call)),
        _post("/pbx/clock", Clock, lambda _, body: controls.clock(body)),
        _post("/pbx/night", Night, lambda _, body: controls.night(body)),
        _post("/faults", Faults, lambda _, body: controls.faults(body)),
    ]


Endpoint = Callable[[Request], Awaitable[Response]]


class _Endpoints:
    """The endpoints of the console."""

    def __init__(self, feed: Feed, token: str, page: Path) -> None:
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
        files = {path.name: path for path in self._page.iterdir() if path.suffix in _MEDIA}
        if name not in files:
            raise HTTPException(404, "the page has no such file")
        return Response(files[name].read_bytes(), media_type=_MEDIA[files[name].suffix])

    async def state(self, request: Request) -> Response:
        return _json(self._feed.state())

    async def events(self, request: Request) -> Response:
        after = _number(request, "after")
        after = self._feed.seq if after is None else after
        if (last := request.headers.get("last-event-id", "")).isdecimal():
            after = int(last[:18])  # the browser reconnected
        headers = {"X-Accel-Buffering": "no"}  # a proxy must not buffer
        stream = self._stream(after)
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    async def _stream(self, after: int) -> AsyncIterator[bytes]:
        viewer = self._feed.watch(after)
        try:
            yield b": connected\n\n"
            while (found := await viewer.next(KEEP_ALIVE)) is not None:
                yield found or b": keep-alive\n\n"
        finally:
            self._feed.leave(viewer)

    async def calls(self, request: Request) -> Response:
        limit = min(_number(request, "limit") or DEFAULT_LIMIT, MAX_LIMIT)
        return _json({"calls": self._feed.calls(_number(request, "before"), limit)})

    async def call(self, request: Request) -> Response:
        if (found := self._feed.whole(request.path_params["id"])) is None:
            raise HTTPException(404, "this call is no longer kept: the oldest calls are removed")
        return _json(found)

    def audio(self, controls: Controls) -> Endpoint:
        async def endpoint(request: Request) -> Response:
            if (found := await controls.audio(request.path_params["id"])) is None:
                raise HTTPException(404, "the PBX has no such audio file")
            return Response(found.data, media_type=found.media_type)

        return endpoint


def _post(path: str, kind: type[S], work: Callable[[str, S], Awaitable[str | None]]) -> Route:
    """Return a route whose requests have a body of ``kind``.

    ``work`` is called with the call's id in the path, or "", and the body; it may return a call.
    """

    async def endpoint(request: Request) -> Response:
        call = await work(request.path_params.get("id", ""), await _body(request, kind))
        return _json({} if call is None else {"call": call})

    return Route(path, endpoint, methods=["POST"])


async def _body(request: Request, kind: type[S]) -> S:
    content = bytearray()
    async with aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            content += chunk
            if len(content) > MAX_BODY:
                raise HTTPException(413, f"a body has at most {MAX_BODY} bytes")
    try:
        return msgspec.json.decode(bytes(content) or b"{}", type=kind)
    except msgspec.MsgspecError as error:
        raise HTTPException(400, f"invalid request: {error}") from None


def _number(request: Request, name: str) -> int | None:
    text = request.query_params.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise HTTPException(400, f"{name} is not a whole number")
    return int(text)


def _json(data: Json) -> Response:
    return Response(msgspec.json.encode(data), media_type="application/json")


async def _control_error(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": str(error)}, 409)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - for the type checker
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)
