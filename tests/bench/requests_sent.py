"""The callbacks that the benchmarks send, and servers that they are sent to."""

from __future__ import annotations

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
from typing import Literal, NamedTuple

from receiver.auth.digest import response_hash
from receiver.auth.scheme import REALM
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
        challenged: whether each request is preceded by a challenge.
        fresh: on a new connection.
        goal: the least speed relative to L1.
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
            proof: False for a request before a challenge, which has no body.
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
    Kind("bearer, keep-alive", "bearer", 0.95),
    Kind("basic, keep-alive", "basic", 0.95),
    Kind("digest, keep-alive", "digest", 0.75),
    Kind("bearer, new connection each", "bearer", 1.1, fresh=True),
    Kind("digest as libcurl", "digest", 0.9, challenged=True, fresh=True),
)


def turn(server: Wire, kind: Kind, many: int) -> float:
    """Microseconds of CPU for one of about ``many`` callbacks."""
    rounds = max(1, many // server.at_once)
    first = kind.request(0, proof=False)
    server.renew()  # servers close what was idle for long
    nonces = server.round([first if kind.scheme == "digest" else kind.request(0)]) * server.at_once
    begun = server.spent()
    for number in range(rounds):
        if kind.fresh:
            server.renew()
        if kind.challenged:
            nonces = server.round([first] * server.at_once)
        base = 1 + number * server.at_once
        server.round([kind.request(base + more, nonce) for more, nonce in enumerate(nonces)])
    time.sleep(0.05)  # the last log lines are written
    return (server.spent() - begun) / rounds / server.at_once / 1000


class Wire:
    """A server in a separate process, pinned to a core."""

    at_once = 16  # requests of a round

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.port = int(process.stdout.readline())
        self._statm = Path(f"/proc/{process.pid}/statm")
        # The clock of all threads of another process, as clock_getcpuclockid() reckons it.
        self._clock = (~process.pid << 3) | 2
        self._connections: list[socket.socket] = []

    def spent(self) -> int:
        """Return the nanoseconds of CPU that all its threads have used."""
        return time.clock_gettime_ns(self._clock)

    def memory(self) -> int:
        """Resident bytes of the server."""
        return int(self._statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def round(self, requests: Sequence[Request]) -> list[bytes]:
        """Return the nonces of the answers' challenges, empty where one was 200."""
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
        """Have the next round sent on new connections."""
        self.close()
        for _ in range(self.at_once):
            connection = socket.create_connection(("127.0.0.1", self.port))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._connections.append(connection)

    def close(self) -> None:
        for connection in self._connections:
            connection.close()
        self._connections.clear()


@contextmanager
def served(name: str, listener: socket.socket | None = None) -> Iterator[Wire]:
    """The contestant ``name`` in a separate process, maybe one of several workers."""
    shared = () if listener is None else (listener.fileno(),)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.bench.contestants", name),
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
