"""Fuzzing with atheris: octets that a coverage of our code guides.

    python -m tests.fuzz headers|body|app [-max_total_time=60] [other options of libFuzzer]

Rule: no exception escapes, what is read is text that can be written, nobody without credentials is
let in, and an answer has one of the known statuses. It needs the extra ``fuzz``.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

atheris: Any = importlib.import_module("atheris")  # has no types, and is not there everywhere
atheris.enabled_hooks.add("str")  # what a text is compared with guides it too
with atheris.instrument_imports(include=["receiver", "python_multipart"]):
    from receiver.auth import Accepted, Algorithm, Asked, Auth, make_scheme
    from receiver.auth.digest import response_hash
    from receiver.auth.sources import Sources, read_networks
    from receiver.callbacks.reading import Callback, read_body, read_query
    from receiver.calls import WIRE, Call
    from receiver.errors import CallbackError
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
    """What says who is asking, and whence."""
    data = atheris.FuzzedDataProvider(octets)
    scheme = data.PickValueInList(_SCHEMES)
    lines = [_line(data) for _ in range(data.ConsumeIntInRange(0, 2))]
    keys = tuple(_latin(data, 20) for _ in range(data.ConsumeIntInRange(0, 2)))
    verdict = scheme.check(Asked("POST", "/a?b", tuple(lines), _latin(data, 10), keys), NOW)
    assert not isinstance(verdict, Accepted)
    assert verdict.status in (400, 401)
    assert all(text.isascii() and text.isprintable() for text in verdict.challenges)
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
    """What says what the call is about."""
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


def _latin(data: Any, most: int) -> str:
    found: bytes = data.ConsumeBytes(data.ConsumeIntInRange(0, most))
    return found.decode("latin-1")


_LOOP = asyncio.new_event_loop()
_APP = make_app(Counted())
_HARNESSES: dict[str, Callable[[bytes], None]] = {"headers": headers, "body": body, "app": app}


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
