"""A connection and an ASGI server give the same answers to generated requests."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import random
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message
from uvicorn.server import ServerState

from receiver import CallEvent, Events, Receiver, Secret
from receiver.auth.probe_token import HEADER, make_token
from receiver.callbacks.event_endpoint import BODY_LIMIT
from receiver.callbacks.http_limits import APART, TRAILERS
from receiver.credentials import derive
from receiver.server import Http
from receiver.server.uvicorn_server import configure
from tests.server.test_http import Transport
from tests.support import FIELDS, QUERY, SECRET, SETTINGS, Counted, credentials, make_app

COUNT = 6000
CLIENT = ("127.0.0.1", 7)

Sent = tuple[int, list[tuple[bytes, bytes]], bytes]
Asked = tuple[str, bytes, list[tuple[bytes, bytes]], bytes]


class Peer(Transport):
    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": CLIENT, "sockname": ("127.0.0.1", 80)}.get(name, default)

    def get_write_buffer_size(self) -> int:
        return 0


class TwoServers:
    """An app behind a connection, and the same app behind ASGI."""

    def __init__(self, *apps: Receiver) -> None:
        self.one, self.other = Counted(), Counted()
        self._wired, self._asgi = apps or (make_app(self.one), make_app(self.other))
        self._config = configure(self._wired, "off")
        self._config.load()
        self._state = ServerState()

    async def over_a_connection(self, asked: Asked) -> Sent:
        method, target, headers, body = asked
        transport = Peer()
        connection = Http(self._config, self._state, {})
        connection.connection_made(transport)
        lines = b"".join(b"%b: %b\r\n" % field for field in headers)
        connection.data_received(b"%b %b HTTP/1.1\r\n%b\r\n" % (method.encode(), target, lines))
        for start in range(0, len(body), 50_000):
            if not transport.ended:
                connection.data_received(body[start : start + 50_000])
        async with asyncio.timeout(60):
            while not transport.written:  # noqa: ASYNC110
                await asyncio.sleep(0)
        head, _, sent = transport.written.partition(b"\r\n\r\n")
        first, *found = head.split(b"\r\n")
        connection.connection_lost(None)
        fields = [(name, value) for name, _, value in (one.partition(b": ") for one in found)]
        return int(first.split()[1]), fields, sent

    async def over_asgi(self, asked: Asked) -> Sent:
        method, target, headers, body = asked
        path, _, query = target.partition(b"?")
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "path": httpx.URL(raw_path(path)).path,
            "raw_path": path,
            "query_string": query,
            "headers": [(name.lower(), value) for name, value in headers],
            "client": CLIENT,
            TRAILERS: APART,
        }
        pieces = [body[start : start + 50_000] for start in range(0, len(body), 50_000)] or [b""]
        sent = list[Message]()

        async def receive() -> Message:
            piece = pieces.pop(0)
            return {"type": "http.request", "body": piece, "more_body": bool(pieces)}

        async def send(message: Message) -> None:
            sent.append(message)

        await self._asgi(scope, receive, send)
        return sent[0]["status"], list(sent[0]["headers"]), sent[1].get("body", b"")


def raw_path(path: bytes) -> str:
    return "http://x" + path.decode()


def alike(sent: Sent) -> tuple[int, dict[bytes, bytes], bytes]:
    """Return an answer without the fields that may differ: date, connection, nonce."""
    fields = {
        name: re.sub(rb'nonce="[^"]*"', b"", value)
        for name, value in sent[1]
        if name not in (b"date", b"connection")
    }
    return sent[0], fields, sent[2]


class Requests:
    """Makes requests, the same for one seed; many are valid, and many are unusual."""

    def __init__(self, app: Receiver, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311 - the same requests each time
        self._actions = [action.path.encode() for action in app]
        self._number = 0

    def make(self) -> Asked:
        pick = self._random.choice
        self._number += 1
        path = pick((*self._actions, *self._actions, b"/action/888/unknown", b"/action/9/x"))
        method = "GET" if b"/get" in path else "POST"
        if self._random.random() < 0.1:
            method = pick(("GET", "POST", "HEAD", "PUT", "OPTIONS"))
        if self._random.random() < 0.1:
            path += pick((b"/2", b"/", b"%2Fx", b"%41", b"/2/3"))
        query = pick((b"", b"", QUERY.encode(), b"input=1", b"%FF=%&&a", b"input=1%26+2&from=+49"))
        target = path + (b"?" + query if query or self._random.random() < 0.05 else b"")
        body = self._body() if method == "POST" else b""
        headers = [(b"Host", b"x"), (b"Content-Length", b"%d" % len(body))]
        headers += self._credentials(path, method, target)
        headers += self._random.sample(
            [
                (b"Content-Type", pick((b"application/json", b"text/plain; charset=latin-1", b""))),
                (b"X-Forwarded-For", b"192.0.2.1, nonsense"),
                (b"traceparent", b"00-0-0-0"),
                (b"Accept", b"*/*"),
                (b"Authorization", b"Bearer more"),
                (HEADER.encode(), self._mark(path)),
            ],
            pick((0, 1, 1, 2)),
        )
        return method, target, headers, body

    def _body(self) -> bytes:
        pick = self._random.choice
        fields = {**FIELDS, "session_id": str(self._random.randrange(40)), "input": pick("12#*")}
        if self._random.random() < 0.2:
            fields["from_name"] = pick(("J\u00fcrgen", 'a"b', "\ud83d", ""))
        whole = json.dumps(fields, ensure_ascii=self._random.random() < 0.9)
        text = whole.encode(errors="replace")
        odd = (
            b"",
            b" ",
            b"{",
            b"[]",
            b"null",
            b"\xff\xfe{",
            QUERY.encode(),
            text[:-1],
            b"x" * 70_000,
        )
        return text if self._random.random() < 0.7 else pick(odd)

    def _mark(self, path: bytes) -> bytes:
        identity = path.decode().removeprefix("/action/")
        right = make_token(SECRET, identity, time.time())
        return self._random.choice((right, "nonsense")).encode()

    def _credentials(self, path: bytes, method: str, target: bytes) -> list[tuple[bytes, bytes]]:
        known = credentials(path.decode().removeprefix("/action/"))
        password = known.password.reveal()
        chance = self._random.random()
        if chance < 0.15:
            return []
        if chance < 0.45:
            password = "wrong"
        if b"bearer" in path:
            token = known.token.reveal() if password != "wrong" else "wrong"
            return [(b"Authorization", f"Bearer {token}".encode())]
        if b"basic" in path:
            pair = base64.b64encode(f"{known.username}:{password}".encode())
            return [(b"Authorization", b"Basic " + pair)]
        if b"digest" not in path or self.nonces.get(path) is None:
            return [(b"Authorization", self._random.choice((b"Digest x", b"Basic !", b"", b"x y")))]
        request = httpx.Request(method, raw_path(target))
        flow = httpx.DigestAuth(known.username, password).auth_flow(request)
        next(flow)
        headers = {"WWW-Authenticate": self.nonces[path].decode()}
        answer = flow.send(httpx.Response(401, headers=headers, request=request))
        return [(b"Authorization", answer.headers["Authorization"].encode())]

    nonces: dict[bytes, bytes]


async def challenges(servers: TwoServers, app: Receiver) -> dict[bytes, bytes]:
    """Return a nonce for each action with digest that both apps accept."""
    found = {}
    for action in app:
        if action.auth == "digest":
            path = action.path.encode()
            asked = (action.method, path, [(b"Host", b"x"), (b"Content-Length", b"0")], b"")
            _, fields, _ = await servers.over_asgi(asked)
            found[path] = dict(fields)[b"www-authenticate"]
    return found


@pytest.mark.parametrize("seed", range(4))
async def test_a_connection_and_asgi_answer_alike(seed: int) -> None:
    servers = TwoServers()
    app = make_app(Counted())
    requests = Requests(app, seed)
    requests.nonces = await challenges(servers, app)
    statuses = set[int]()
    for _ in range(COUNT // 4):
        asked = requests.make()
        one = alike(await servers.over_a_connection(asked))
        other = alike(await servers.over_asgi(asked))
        if asked[0] == "HEAD":  # a server leaves the body out
            other = (*other[:2], b"")
        assert one == other, asked
        statuses.add(one[0])
    assert statuses >= {200, 400, 401, 404, 405, 413}
    assert servers.one.calls == servers.other.calls
    assert len(servers.one.calls) > COUNT // 4 // 10


class Inbox:
    """An app with a handler of events, which keeps them."""

    def __init__(self, folder: Path) -> None:
        self.seen: list[str] = []
        jobs = Secret(str(folder / f"{id(self)}.db"))
        self.app = Receiver(Events(auth="digest"), settings=replace(SETTINGS, jobs=jobs))
        self.app.on("call_ended", name="keep")(self.keep)

    async def keep(self, event: CallEvent) -> None:
        self.seen.append(event.session_id)


def event_requests() -> Iterator[tuple[str, list[tuple[bytes, bytes]], bytes]]:
    """Methods, headers and bodies; the credentials are added by the test."""
    whole = json.dumps({"event_type": "call_cdr", "session_id": "7"}).encode()
    large = json.dumps({"event_type": "call_cdr", "x": "y" * 100_000}).encode()
    for body in (whole, whole, large, b"", b"{", b"[]", b"x" * (BODY_LIMIT + 1), b"x" * 600_000):
        yield "POST", [], body
    yield "POST", [(b"Content-Encoding", b"br")], whole
    yield "POST", [(b"Content-Encoding", b"gzip")], gzip.compress(large)
    yield "POST", [(b"Content-Encoding", b"gzip")], gzip.compress(b"x" * 600_000)
    for method in ("GET", "HEAD", "PUT"):
        yield method, [], b""


async def test_events_are_answered_alike(tmp_path: Path) -> None:
    boxes = [Inbox(tmp_path), Inbox(tmp_path)]
    servers = TwoServers(*(box.app for box in boxes))
    known, statuses = derive(SECRET, "events"), set[int]()
    for box in boxes:
        box.app._inside  # noqa: B018 - made before the first request
    for method, headers, body in event_requests():
        answers = list[tuple[Any, ...]]()
        for send in (servers.over_a_connection, servers.over_asgi):
            fields = [(b"Host", b"x"), (b"Content-Length", b"%d" % len(body)), *headers]
            first = await send((method, b"/events", fields, body))
            if first[0] == 401:
                request = httpx.Request(method, "http://x/events")
                flow = httpx.DigestAuth(known.username, known.password.reveal()).auth_flow(request)
                next(flow)
                challenge = {"WWW-Authenticate": dict(first[1])[b"www-authenticate"].decode()}
                answer = flow.send(httpx.Response(401, headers=challenge, request=request))
                fields.append((b"Authorization", answer.headers["Authorization"].encode()))
                answers.append(
                    (alike(first), alike(await send((method, b"/events", fields, body))))
                )
            else:
                answers.append((alike(first), None))
        assert answers[0] == answers[1], (method, headers, len(body))
        statuses |= {one[0] for one in answers[0] if one is not None}
    assert statuses >= {200, 401, 405, 413, 415}
    for box in boxes:
        async with box.app.lifespan():
            await box.app.idle()
        assert sorted(box.seen) == ["", "7"]
