"""A server that speaks the console's protocol with canned calls, over a real socket.

For tests of the page: IVR 8000 has one action URL, whose handler
forwards 22 and raises at 1; 9 is in the IVR's own menu, and all else repeats the prompt.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

import receiver
from receiver.console.pages import page_of
from tests.console import canned

Json = dict[str, Any]
PAGE = Path(receiver.__file__).parent / "console" / "page"
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; media-src 'self' blob:; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Console:
    """The state of the server, and its routes.

    Attributes:
        gap: seconds of the pause that ends what the caller keys in.
        posted: path and body of each POST that was accepted.
        paths: of each GET.
    """

    def __init__(self, mode: str = "dev", gap: float = 1.0) -> None:
        self.mode = mode
        self.gap = gap
        self.token = secrets.token_urlsafe(16)
        self.seq = 0
        self.posted: list[tuple[str, Json]] = []
        self.paths: list[str] = []
        self.calls: dict[str, Json] = {}  # the oldest first
        self.parts: Json = canned.live_parts() if mode == "live" else canned.dev_parts()
        self.parts["service"] = canned.service("running")
        self._viewers: set[asyncio.Queue[Json | None]] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    def add_calls(self, n: int, *, name: str = "") -> None:
        """``n`` calls that have ended, a second apart; every tenth not well."""
        for _ in range(n):
            number = len(self.calls) + 1
            self.calls[f"call-{number}"] = canned.old_call(number, name or canned.name(number))

    def add_masked_call(self) -> None:
        """One as it is seen in production: lengths in place of digits, no exchanges."""
        number = len(self.calls) + 1
        self.calls[f"call-{number}"] = canned.masked_call(number)

    def tell(self, event: Json) -> None:
        self.seq += 1
        for viewer in self._viewers:
            viewer.put_nowait({"seq": self.seq, **event})

    def set(self, part: str, value: Any) -> None:
        """Change a part of the state, and say so."""
        self.parts[part] = value
        self.tell({"type": part, part: value})

    def close(self) -> None:
        """Let all viewers go."""
        for viewer in self._viewers:
            viewer.put_nowait(None)
        for task in self._tasks:
            task.cancel()

    # ------------------------------------------------------------------ what is read

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/", self._html),
                Route("/state", self._state),
                Route("/events", self._events),
                Route("/calls", self._list),
                Route("/calls/{id}", self._call),
                Route("/phone/dial", self._posting(self._dial), methods=["POST"]),
                Route("/phone/{id}/key", self._posting(self._key), methods=["POST"]),
                Route("/phone/{id}/hangup", self._posting(self._hang_up), methods=["POST"]),
                Route("/faults", self._posting(self._faults), methods=["POST"]),
                Route("/pbx/clock", self._posting(self._clock), methods=["POST"]),
                Route("/pbx/night", self._posting(self._night), methods=["POST"]),
            ],
        )

    async def _html(self, request: Request) -> Response:
        text = page_of(PAGE, "index.html", token=self.token)
        return Response(text, media_type="text/html")

    async def _state(self, request: Request) -> Response:
        newest = list(self.calls.values())[:-201:-1]
        calls = [canned.summary(call) for call in newest]
        head = {"mode": self.mode, "seq": self.seq, "title": "app:app", "calls": calls}
        return JSONResponse({**head, **self.parts})

    async def _list(self, request: Request) -> Response:
        before, limit = (int(request.query_params[name]) for name in ("before", "limit"))
        older = [call for call in self.calls.values() if call["seq"] < before]
        return JSONResponse({"calls": [canned.summary(one) for one in older[: -limit - 1 : -1]]})

    async def _call(self, request: Request) -> Response:
        call = self.calls.get(request.path_params["id"])
        return JSONResponse(call or {"error": "forgotten"}, 200 if call else 404)

    async def _events(self, request: Request) -> Response:
        viewer: asyncio.Queue[Json | None] = asyncio.Queue()
        if int(request.query_params["after"]) != self.seq:
            viewer.put_nowait({"type": "reset"})
        self._viewers.add(viewer)

        async def stream() -> AsyncIterator[str]:
            try:
                yield ": here\n\n"
                while event := await viewer.get():
                    yield f"id: {event.get('seq', 0)}\ndata: {json.dumps(event)}\n\n"
            finally:
                self._viewers.discard(viewer)

        return StreamingResponse(stream(), media_type="text/event-stream")

    # ------------------------------------------------------------------ what is done

    def _posting(self, do: Callable[[Json, str], Json]) -> Callable[[Request], Any]:
        async def endpoint(request: Request) -> Response:
            if request.headers.get("X-Console-Token") != self.token:
                return JSONResponse({"error": "Not from this page."}, 403)
            body = await request.json()
            self.posted.append((request.url.path, body))
            return JSONResponse(do(body, request.path_params.get("id", "")))

        return endpoint

    def _faults(self, body: Json, _: str) -> Json:
        self.set("faults", self.parts["faults"] | body)
        return {}

    def _clock(self, body: Json, _: str) -> Json:
        self.set("clock", {"at": body["at"]})
        return {}

    def _night(self, body: Json, _: str) -> Json:
        ivrs = [
            ivr | ({"night": body["on"]} if canned.address(ivr) == body["ivr"] else {})
            for ivr in self.parts["ivrs"]
        ]
        self.set("ivrs", ivrs)
        return {}

    def _dial(self, body: Json, _: str) -> Json:
        call = canned.new_call(len(self.calls) + 1, body)
        self.calls[call["id"]] = call
        self._change(call, "prompt", prompt=canned.PROMPT, timeout_until=_later(30))
        self._step(call, {"type": "prompt", "text": canned.PROMPT["text"]})
        return {"call": call["id"]}

    def _key(self, body: Json, id: str) -> Json:
        call = self.calls[id]
        keys = call["now"]["keys"] + body["key"]
        self._step(call, {"type": "key", "text": body["key"]})
        self._change(call, "gap", keys=keys, gap_until=_later(self.gap), timeout_until=None)
        task = asyncio.get_running_loop().create_task(self._gap(call, keys))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return {}

    def _hang_up(self, body: Json, id: str) -> Json:
        self._step(self.calls[id], {"type": "left", "text": "the caller hangs up"})
        self._end(self.calls[id], "caller left", "the caller hung up")
        return {}

    async def _gap(self, call: Json, keys: str) -> None:
        await asyncio.sleep(self.gap)
        if call["now"]["keys"] != keys or call["end"]:
            return
        self._step(call, {"type": "gap", "text": f"{self.gap} s without a key: {keys} is entered"})
        if keys == "8":
            self._step(call, canned.unmatched(keys))
            self._change(call, "prompt", keys="", gap_until=None, repeats=1)
        else:
            await self._ask(call, keys)

    async def _ask(self, call: Json, keys: str) -> None:
        self._change(call, "asking", keys="", gap_until=None)
        self._step(call, canned.asking(keys), index=(at := len(call["steps"])))
        await asyncio.sleep(0.05)
        step = canned.answered(keys, self.parts["faults"])
        self._step(call, step, index=at)
        call["callbacks"] += 1
        call["worst"] = step["callback"]["seconds"] / step["callback"]["deadline"]
        call["reason"] = step["callback"]["reason"]
        outcome = step["callback"]["outcome"]
        if outcome["kind"] == "forwarded":
            self._step(call, {"type": "forward", "text": outcome["text"]})
            self._end(call, "forwarded", outcome["text"])
        else:
            self._change(call, "waiting", repeats=call["now"]["repeats"] + 1)

    def _step(self, call: Json, step: Json, index: int | None = None) -> None:
        begun = datetime.fromisoformat(call["begun"])
        step = {"at": (datetime.now(UTC) - begun).total_seconds(), "callback": None, **step}
        index = len(call["steps"]) if index is None else index
        call["steps"][index : index + 1] = [step]
        self.tell({"type": "step", "id": call["id"], "index": index, "step": step})

    def _change(self, call: Json, state: str, **now: Any) -> None:
        call["state"] = state
        call["now"] |= now | {"gap_seconds": self.gap}
        self.tell({"type": "call", "call": canned.summary(call)})
        self.tell({"type": "now", "id": call["id"], "now": call["now"]})

    def _end(self, call: Json, kind: str, text: str) -> None:
        call["end"] = {"kind": kind, "text": text}
        self._change(call, "ended", keys="", gap_until=None, timeout_until=None)


def _later(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Stage:
    """Serves a `Console` on a loopback port that stays the same over restarts."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/"

    async def start(self) -> None:
        app = self.console.app()
        app.mount("/page", StaticFiles(directory=PAGE))
        self._socket = socket.create_server(("127.0.0.1", self._port))
        self._port = self._socket.getsockname()[1]
        headers = list(HEADERS.items())
        config = uvicorn.Config(
            self._noting(app), headers=headers, log_config=None, lifespan="off", ws="none"
        )
        self._server = _Server(config)
        self._task = asyncio.create_task(self._server.serve([self._socket]))

    def _noting(self, app: Starlette) -> Any:
        async def noting(scope: Any, receive: Any, send: Any) -> None:
            if scope.get("method") == "GET":
                self.console.paths.append(scope["path"])
            await app(scope, receive, send)

        return noting

    async def stop(self) -> None:
        self.console.close()
        self._server.should_exit = True
        await self._task
        self._socket.close()

    async def __aenter__(self) -> Stage:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()
