"""The callbacks that the cost is measured with, and two ways to ask: inside, and on the wire."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from starlette.types import ASGIApp, Message

from receiver.auth.digest import response_hash
from receiver.auth.scheme import REALM
from tests.asgi import http_scope
from tests.support import ANSWER, FIELDS, QUERY, credentials

SERVERS_CORE, OWN_CORE = 0, -1  # of those that this process may use
_CALLS = 64  # different ones, by their session_id
_NONCE = re.compile(rb'nonce="([^"]+)"')
_OK = b"HTTP/1.1 200"


class Request(NamedTuple):
    """One request."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def octets(self) -> bytes:
        target = f"{self.path}?{self.query}" if self.query else self.path
        fields = b"".join(b"%b: %b\r\n" % field for field in self.headers)
        return b"%b %b HTTP/1.1\r\n%b\r\n%b" % (
            *(self.method.encode(), target.encode(), fields, self.body),
        )


class Kind(NamedTuple):
    """A kind of callback.

    Attributes:
        scheme: how it proves who it is.
        challenged: every time anew, before it proves it.
        fresh: on a connection of its own.
        goal: the least speed relative to L1 that the issue asks for.
    """

    name: str
    scheme: Literal["bearer", "basic", "digest"]
    goal: float
    challenged: bool = False
    fresh: bool = False

    def request(self, number: int, nonce: bytes = b"", *, proof: bool = True) -> Request:
        """One that is right.

        Parameters:
            number: counts up on one nonce, from 1.
            nonce: of the server's challenge; only for digest.
            proof: False for what comes before a challenge, which has no body.
        """
        method = "GET" if self.scheme == "basic" else "POST"
        path = f"/action/888/{method.lower()}-{self.scheme}"
        session = f"{10_000_000 + number % _CALLS}"
        headers = [(b"host", b"127.0.0.1"), (b"user-agent", b"PortSIP"), (b"accept", b"*/*")]
        if proof:
            headers.append((b"authorization", self._proof(path, number, nonce)))
        if method == "GET":
            return Request("GET", path, QUERY.replace("12345678", session), tuple(headers), b"")
        body = json.dumps({**FIELDS, "session_id": session}).encode() if proof else b""
        headers.append((b"content-type", b"application/json"))
        headers.append((b"content-length", b"%d" % len(body)))
        return Request("POST", path, "", tuple(headers), body)

    def _proof(self, path: str, number: int, nonce: bytes) -> bytes:
        known = credentials(f"888/{path.rpartition('/')[2]}")
        if self.scheme == "bearer":
            return f"Bearer {known.token.reveal()}".encode()
        password = known.password.reveal()
        if self.scheme == "basic":
            return b"Basic " + base64.b64encode(f"{known.username}:{password}".encode())
        sent = {"realm": REALM, "nonce": nonce.decode(), "uri": path, "cnonce": "0a4f113b"}
        sent |= {"nc": f"{1 if self.challenged else number:08x}", "qop": "auth"}
        sent["response"] = response_hash(
            "MD5", method="POST", username=known.username, password=password, parameters=sent
        )
        return (
            f'Digest username="{known.username}", realm="{REALM}", nonce="{sent["nonce"]}", '
            f'uri="{path}", cnonce="{sent["cnonce"]}", nc={sent["nc"]}, qop=auth, '
            f'response="{sent["response"]}", algorithm="MD5"'
        ).encode()


KINDS = (
    Kind("bearer POST, keep-alive", "bearer", 1.0),
    Kind("basic GET, keep-alive", "basic", 1.0),
    Kind("digest MD5, one nonce, keep-alive", "digest", 0.9),
    Kind("digest MD5, challenged each, keep-alive", "digest", 0.9, challenged=True),
    Kind("bearer POST, new connection each", "bearer", 0.95, fresh=True),
    Kind("digest MD5, new connection each", "digest", 0.9, challenged=True, fresh=True),
)


class Way(Protocol):
    """One server, and how it is asked.

    Attributes:
        at_once: requests of a round.
    """

    at_once: int

    def spent(self) -> int:
        """Nanoseconds of CPU that the server has used up, those of all its threads."""
        ...

    def round(self, requests: Sequence[Request]) -> list[bytes]:
        """The nonces of the answers' challenges, empty where one was answered well."""
        ...

    def renew(self) -> None:
        """The next round comes on new connections."""
        ...


def turn(way: Way, kind: Kind, many: int) -> float:
    """Microseconds of CPU for one of about ``many`` callbacks."""
    rounds = max(1, many // way.at_once)
    first = kind.request(0, proof=False)
    way.renew()  # servers close what was idle for long
    nonces = way.round([first if kind.scheme == "digest" else kind.request(0)]) * way.at_once
    begun = way.spent()
    for number in range(rounds):
        if kind.fresh:
            way.renew()
        if kind.challenged:
            nonces = way.round([first] * way.at_once)
        base = 1 + number * way.at_once
        way.round([kind.request(base + more, nonce) for more, nonce in enumerate(nonces)])
    time.sleep(0.05)  # the last log lines are written
    return (way.spent() - begun) / rounds / way.at_once / 1000


class Inside:
    """An app in this process."""

    at_once = 100

    def __init__(self, app: ASGIApp, loop: asyncio.AbstractEventLoop) -> None:
        self._app = app
        self._loop = loop
        self._in_rounds = 0

    def spent(self) -> int:
        """What other threads did is the app's; of this one only the rounds are."""
        return time.process_time_ns() - time.thread_time_ns() + self._in_rounds

    def round(self, requests: Sequence[Request]) -> list[bytes]:
        scopes = [
            (
                http_scope(
                    *(r.path.encode(), r.query.encode(), r.method, list(r.headers)),
                    client=("127.0.0.1", 5),
                ),
                r.body,
            )
            for r in requests
        ]
        begun = time.thread_time_ns()
        found = self._loop.run_until_complete(self._all(scopes))
        self._in_rounds += time.thread_time_ns() - begun
        return found

    def renew(self) -> None:
        """There are none."""

    async def _all(self, scopes: list[tuple[Any, bytes]]) -> list[bytes]:
        found = []
        for scope, body in scopes:
            sent: list[Any] = []

            async def receive(body: bytes = body) -> Message:
                return {"type": "http.request", "body": body, "more_body": False}

            async def send(message: Message, sent: list[Any] = sent) -> None:
                sent.append(message)

            await self._app(scope, receive, send)
            found.append(b"" if sent[0]["status"] == 200 else _nonce(dict(sent[0]["headers"])))
            assert found[-1] or sent[1]["body"] == ANSWER
        return found


def _nonce(headers: dict[bytes, bytes]) -> bytes:
    found = _NONCE.search(headers[b"www-authenticate"])
    assert found
    return found[1]


class Wire:
    """A server in a process of its own, pinned to a core."""

    at_once = 16

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self._port = int(process.stdout.readline())
        self._statm = Path(f"/proc/{process.pid}/statm")
        # The clock of all threads of another process, as clock_getcpuclockid() reckons it.
        self._clock = (~process.pid << 3) | 2
        self._connections: list[socket.socket] = []

    def spent(self) -> int:
        return time.clock_gettime_ns(self._clock)

    def memory(self) -> int:
        """Resident bytes of the server."""
        return int(self._statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def round(self, requests: Sequence[Request]) -> list[bytes]:
        for connection, request in zip(self._connections, requests, strict=False):
            connection.sendall(request.octets())
        found = []
        for connection, _ in zip(self._connections, requests, strict=False):
            answer = connection.recv(65536)
            while not answer.endswith(ANSWER if answer.startswith(_OK) else b"\r\n\r\n"):
                more = connection.recv(65536)
                assert more, answer
                answer += more
            challenge = _NONCE.search(answer)
            assert challenge or answer.startswith(_OK), answer
            found.append(challenge[1] if challenge else b"")
        return found

    def renew(self) -> None:
        self.close()
        for _ in range(self.at_once):
            connection = socket.create_connection(("127.0.0.1", self._port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(connection)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        self._connections.clear()


@contextmanager
def served(name: str, listener: socket.socket | None = None) -> Iterator[Wire]:
    """The contestant ``name`` in a process of its own, maybe one of several workers."""
    shared = () if listener is None else (listener.fileno(),)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.bench.cost", "--serve", name),
            *(f"--descriptor={number}" for number in shared),
        ],
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=shared,
    )
    try:
        wire = Wire(process)
        yield wire
        wire.close()
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def pin(which: int) -> None:
    """Keep this process on one of its cores."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[which]})
