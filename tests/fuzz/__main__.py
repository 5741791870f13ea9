"""Coverage-guided fuzzing with atheris.

    python -m tests.fuzz headers|body|app|connection [-max_total_time=60] [options of libFuzzer]

Rule: no exception escapes, parsed text can be encoded, no client without credentials is accepted,
and an answer has one of the known statuses. On a connection the answers are the same however the
bytes are cut into segments. It needs the extra ``fuzz``.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import re
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from itertools import pairwise
from typing import Any

from uvicorn.server import ServerState

atheris: Any = importlib.import_module("atheris")  # has no types, and is not there everywhere
atheris.enabled_hooks.add("str")  # what a text is compared with guides it too
with atheris.instrument_imports(include=["receiver", "python_multipart"]):
    from receiver.auth import Accepted, Algorithm, Auth, AuthRequest, make_scheme
    from receiver.auth.client_address import Sources, read_networks
    from receiver.auth.digest import response_hash
    from receiver.callbacks.parser import Callback, read_body, read_query
    from receiver.calls import WIRE, Call
    from receiver.errors import CallbackError
    from receiver.server import Http
    from receiver.server.uvicorn_server import configure
    from tests.asgi import KNOWN, http_scope, status_of
    from tests.support import ALGORITHMS, METHODS, MODES, Counted, credentials, make_app

NOW = 1_800_000_000.0
_KNOWN = credentials("888/fuzz")
_LOCKS: list[tuple[Auth, tuple[Algorithm, ...]]] = [
    *(("bearer", ("MD5",)), ("basic", ("MD5",)), ("digest", ("MD5",))),
    *(("digest", algorithms) for algorithms in ALGORITHMS.values()),
]
_SCHEMES = [
    make_scheme(auth, [_KNOWN], b"k" * 32, bytes, algorithms=algorithms, keyed=keyed)
    for auth, algorithms in _LOCKS
    for keyed in (False, True)
]
_KINDS = ["", "Basic ", "Bearer ", "Digest ", "Bearer Bearer "]
_SOURCES = Sources(read_networks("192.0.2.0/24 2001:db8::/32"), read_networks("127.0.0.0/8 ::1"))
_TYPES = ["", "text/plain; charset=", "multipart/form-data; boundary=", "application/json;charset="]
_TYPES += ["a; charset=unicode_escape;", "a; charset=utf-7;", "a; charset=utf-16;"]
_NAMES = [b"x-forwarded-for", b"forwarded", b"authorization", b"content-type", b"x-receiver-check"]
_PATHS = [f"888/{method.lower()}-{auth or 'open'}" for method in METHODS for auth in MODES]


def headers(octets: bytes) -> None:
    """Return the headers with credentials and client addresses."""
    data = atheris.FuzzedDataProvider(octets)
    scheme = data.PickValueInList(_SCHEMES)
    lines = [_line(data) for _ in range(data.ConsumeIntInRange(0, 2))]
    keys = tuple(_latin(data, 20) for _ in range(data.ConsumeIntInRange(0, 2)))
    result = scheme.check(AuthRequest("POST", "/a?b", tuple(lines), _latin(data, 10), keys), NOW)
    assert not isinstance(result, Accepted)
    assert result.status in (400, 401)
    assert all(text.isascii() and text.isprintable() for text in result.challenges)
    peer = data.PickValueInList(["127.0.0.1", "::1", "192.0.2.1", "", _latin(data, 20)])
    sent = [(data.PickValueInList(_NAMES[:2]), data.ConsumeBytes(60)) for _ in range(2)]
    source = _SOURCES.find((peer, 4711), sent)
    _SOURCES.allows(source)
    assert str(source).isascii()
    assert str(source).isprintable()


def _line(data: Any) -> str:
    """An Authorization header, now and then with a hash that is right."""
    if not data.ConsumeBool():
        return str(data.PickValueInList(_KINDS)) + _latin(data, 300)
    sent = {"realm": "callbacks", "uri": "/a?b", "qop": "auth"}
    sent |= {name: _latin(data, 50) for name in ("nonce", "cnonce")}
    sent["nc"] = data.PickValueInList(["00000001", "ffffffff", _latin(data, 9)])
    known = {"username": _KNOWN.username, "password": _KNOWN.password.reveal()}
    response = response_hash("MD5", method="POST", **known, parameters=sent)
    sent |= {"username": _KNOWN.username, "response": response}
    return "Digest " + ", ".join(f'{name}="{value}"' for name, value in sent.items())


def body(octets: bytes) -> None:
    """Fuzz the body and the query of a callback."""
    data = atheris.FuzzedDataProvider(octets)
    kind = data.PickValueInList(_TYPES) + _latin(data, 20)
    start = data.PickValueInList([b"", b'{"from":', b"--b\r\n", b"from=", b"\xff\xfe{\0"])
    rest = start + data.ConsumeBytes(data.remaining_bytes())
    for read in (partial(read_body, rest, kind), partial(read_query, rest)):
        found = Callback(Call())
        with suppress(CallbackError):
            found = read()
        for name in WIRE.values():
            getattr(found.call, name).encode()
        assert all(text.isprintable() for text in found.oddities)


def app(octets: bytes) -> None:
    """A whole request."""
    data = atheris.FuzzedDataProvider(octets)
    action = data.PickValueInList(_PATHS)
    path = data.PickValueInList([f"/action/{action}".encode(), b"/action/888/", b"/", b""])
    path += data.ConsumeBytes(data.ConsumeIntInRange(0, 8))
    sent = [(b"host", b"x")] * data.ConsumeIntInRange(0, 2)
    if data.ConsumeBool():
        sent.append((b"authorization", f"Bearer {credentials(action).token.reveal()}".encode()))
    for _ in range(data.ConsumeIntInRange(0, 3)):
        sent.append((data.PickValueInList(_NAMES), data.ConsumeBytes(40)))
    method = data.PickValueInList(["GET", "POST", "PUT", _latin(data, 5)])
    version = data.PickValueInList(["1.1", "1.1", "1.0", "2", _latin(data, 3)])
    client = data.PickValueInList([None, ("127.0.0.1", 1), (_latin(data, 9), 0)])
    query = data.ConsumeBytes(40)
    rest = data.ConsumeBytes(data.remaining_bytes())
    scope = http_scope(path, query, method, sent, http_version=version, client=client)
    status = _LOOP.run_until_complete(status_of(_APP, scope, rest))
    assert status in KNOWN, status


def connection(octets: bytes) -> None:
    """Octets on a connection, in one segment and in several."""
    _HANDLER.calls.clear()
    data = atheris.FuzzedDataProvider(octets)
    cuts = sorted(data.ConsumeIntInRange(0, 300) for _ in range(data.ConsumeIntInRange(0, 4)))
    parts = [data.PickValueInList(_PARTS) for _ in range(data.ConsumeIntInRange(0, 12))]
    parts.insert(data.ConsumeIntInRange(0, len(parts)), data.ConsumeBytes(300))
    sent = b"".join((*parts, b"\r\n\r\n"))  # no line is left without its end
    whole = _LOOP.run_until_complete(_statuses([sent]))
    segments = [sent[begin:end] for begin, end in pairwise((0, *cuts, len(sent)))]
    cut = _LOOP.run_until_complete(_statuses([segment for segment in segments if segment]))
    # A raw space in a target is accepted only where a segment begins with its request.
    assert cut == whole or _SPACED.search(sent), (cut, whole, sent)


async def _statuses(segments: list[bytes]) -> list[int]:
    """Return what is answered on a connection, of which all else is checked."""
    transport = _Transport()
    protocol = Http(_CONFIG, ServerState(), {}, _LOOP)
    protocol.connection_made(transport)
    for segment in segments:
        if not transport.ended:
            protocol.data_received(segment)
        await _settle()
    answers = transport.written.split(b"HTTP/1.1 ")
    assert answers[0] == b""
    statuses = [int(answer[:3]) for answer in answers[1:]]
    assert {*statuses} <= {*KNOWN, *_FRAMING}, statuses
    for answer in answers[1:-1]:  # which another follows
        assert b"\r\nconnection: close\r\n" not in answer
    protocol.connection_lost(None)
    await _settle()
    assert not protocol.shared.tasks
    assert not protocol.shared.all
    return [401 if status == 429 else status for status in statuses]  # by what was sent before


async def _settle() -> None:
    for _ in range(120):  # for a dozen pipelined requests, one after another
        await asyncio.sleep(0)


class _Transport(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written, self.ended = b"", False

    def write(self, data: Any) -> None:
        assert not self.ended
        self.written += data

    def close(self) -> None:
        self.ended = True

    abort = close

    def is_closing(self) -> bool:
        return self.ended

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


_TOKEN = credentials("888/post-bearer").token.reveal().encode()
_PARTS = [
    *(b"GET ", b"POST ", b"HEAD ", b"CONNECT ", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"\r\n", b"\n"),
    *(b"/action/888/get-open?input=1", b"/action/888/post-open", b"/action/888/post-bearer"),
    *(
        b"http://x",
        b"/live",
        b"*",
        b"\r\n\r\n",
        b": ",
        b" ",
        b"\t\r\n",
        b"0\r\n\r\n",
        b"2\r\n{}\r\n",
    ),
    *(b"Host: x\r\n", b"Content-Length: 2\r\n\r\n{}", b"Content-Length: 9\r\n", b"{}"),
    *(b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n", b"Upgrade: h2c\r\n"),
    *(b"Expect: 100-continue\r\n", b"Authorization: Bearer " + _TOKEN + b"\r\n", b"Trailer: a\r\n"),
    b"GET /action/888/get-open?input=1 HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /action/888/post-open HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
]
_SPACED = re.compile(rb"(GET|POST) [^\r\n]*[ \x80-\xff][^\r\n]* HTTP/1")
_FRAMING = (100, 400, 413, 414, 417, 431, 501, 505)


def _latin(data: Any, most: int) -> str:
    found: bytes = data.ConsumeBytes(data.ConsumeIntInRange(0, most))
    return found.decode("latin-1")


_LOOP = asyncio.new_event_loop()
_HANDLER = Counted()
_APP = make_app(_HANDLER)
_CONFIG = configure(_APP, "off")
_CONFIG.load()
_HARNESSES: dict[str, Callable[[bytes], None]] = {
    "headers": headers,
    "body": body,
    "app": app,
    "connection": connection,
}


def main() -> None:
    if len(sys.argv) < 2 or sys.argv[1] not in _HARNESSES:
        raise SystemExit(__doc__)
    logging.disable()
    program, name, *options = sys.argv
    kept = f"-artifact_prefix={tempfile.gettempdir()}/"  # what a failure was found with
    atheris.Setup([program, kept, *options], _HARNESSES[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
