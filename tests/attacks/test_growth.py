"""The time of every parser that meets unauthenticated input is linear in the length of that input.

Hostile inputs are generated: a beginning, a piece that is repeated, an end. Time is CPU time of
this process, so that other load does not count, and growth is judged only where it is above noise:
from n to 4n characters a linear parser takes four times as long, a quadratic one sixteen times.
"""

from __future__ import annotations

import asyncio
import importlib
import pkgutil
import re
from collections.abc import Callable, Coroutine, Iterator
from functools import cache, partial
from itertools import product
from typing import Any

import pytest
from starlette.types import Message, Scope

import receiver
from receiver.auth import AuthRequest, Basic, Bearer, Digest, Scheme, SecretHeader
from receiver.auth.browser_sessions import BrowserSessions
from receiver.auth.client_address import Sources, read_networks
from receiver.auth.digest import parse_parameters
from receiver.auth.probe_token import check_token
from receiver.callbacks.authenticate import Authenticator
from receiver.callbacks.http_limits import HEADERS_LIMIT, TARGET_LIMIT, problem_of_request
from receiver.callbacks.operator_access import OperatorAccess
from receiver.callbacks.parser import read_body, read_query
from receiver.console.live import password_login
from receiver.console.security import Guard
from receiver.credentials import Credentials, Secret
from receiver.declarations.actions import split_path
from receiver.dispatch.session_key import key_of
from receiver.masks import Mask
from receiver.observability.log_throttle import LogThrottle
from receiver.phone_numbers.notation import is_anonymous, read_number
from receiver.storage.memory import MemoryAuth
from tests.growth import is_steep, seconds
from tests.support import SECRET

RUNNER = asyncio.Runner()

NOISE = 0.005
"""Seconds below which nothing is said of growth."""

STEEP = 8
"""The most that four times the input may multiply the time: between linear and quadratic."""

BEGINNINGS = ["", '"', 'a="', "for=", 'for="', "for=1.1.1.1;by=", "{", "/action/"]
PIECES = [
    *(" ", "\t", ",", ";", "=", '"', "\\", '\\"', "a", "1", ".", ":", "%", "%41", "+", "&", "["),
    *("]", "-", "?", "/", "*", "\r\n", "\r", "\xff", " 1", "a=", "a=b;", '="', ',"', '"a"', ", "),
    *("1.1.1.1,", "for=1.1.1.1,", 'for="\\', "a%3d", "&a=", "?from=", "--x\r\n", "\r\n--", " \t"),
    *('{"a":', '"a":"\\u0041",', "a{0}=b,", 'a{0}="b", ', "a{0}=1&", "a/", "-1", ";1-2", "; "),
]
ENDS = ["", "\0", '"', "x"]

KNOWN = Credentials("user", Secret("password"), Secret("token"), Secret("key"))

Parse = Callable[[str], object]


@pytest.fixture(scope="module", autouse=True)
def _loop() -> Iterator[None]:
    with RUNNER:
        yield


def hostile(beginning: str, piece: str, end: str, length: int) -> str:
    """Return an input of about ``length`` characters; ``{0}`` in a piece is a counter."""
    if "{0}" in piece:
        middle = numbered(piece, length // (len(piece) + 1))
    else:
        middle = piece * (length // len(piece))
    return beginning + middle + end


@cache  # each pattern and parser has the same ones
def numbered(piece: str, count: int) -> str:
    return "".join(piece.format(n) for n in range(count))


def too_steep(parse: Parse, length: int) -> Iterator[str]:
    """Yield the parsers whose time grows faster than the input, up to ``length`` characters."""
    for parts in product(BEGINNINGS, PIECES, ENDS):
        longest = hostile(*parts, length)
        if seconds(partial(parse, longest), 1) < NOISE:
            continue
        inputs = [partial(parse, hostile(*parts, length // n)) for n in (4, 2, 1)]
        if is_steep(inputs[0], inputs[2], STEEP, NOISE / 4):
            times = [f"{1000 * seconds(one):.1f} ms" for one in inputs]
            yield f"{parts}: {', '.join(times)} for n, 2n, 4n"


# the parsers ---------------------------------------------------------------------------------

BEHIND = Sources(read_networks("203.0.113.7"), read_networks("10.0.0.1"))


def forwarding(name: str) -> Parse:
    return lambda text: BEHIND.find(("10.0.0.1", 1), [(name.encode(), text.encode("latin-1"))])


def credentials(scheme: Scheme, prefix: str, target: str = "/action/8000/pick") -> Parse:
    def parse(text: str) -> object:
        asked = AuthRequest("GET", target, (prefix + text,), keys=(text,))
        return scheme.check(asked, 1_800_000_000.0)

    return parse


DIGEST = Digest([KNOWN], nonce_key=b"k", entropy=bytes)
COMPLETE = 'Digest username="user", realm="callbacks", response="0", nonce="{}", uri="{}"'


def nonce(text: str) -> object:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    header = COMPLETE.format(quoted, "/action/8000/pick")
    return DIGEST.check(AuthRequest("GET", "/action/8000/pick", (header,)), 1_800_000_000.0)


def target(text: str) -> object:
    quoted = text.replace("\\", "\\\\").replace('"', '\\"')
    return DIGEST.check(AuthRequest("GET", text, (COMPLETE.format("a", quoted),)), 1_800_000_000.0)


def unescaped_target(text: str) -> object:
    """The header quotes the target as it is, behind what looks like it nearly."""
    header = COMPLETE.format(text[: len(text) // 3], text[: len(text) // 2])
    return DIGEST.check(AuthRequest("GET", text[: len(text) // 2], (header,)), 1_800_000_000.0)


def framing(text: str) -> object:
    octets = text.encode("latin-1")
    names = octets.split(b";")
    many = [(name, octets[:9]) for name in names[:100]]
    problem_of_request("1.1", 1, many, dict(many), apart=True)
    fields = [b"host", b"content-length", b"transfer-encoding", b"upgrade"]
    return [
        problem_of_request("1.1", 1, [(name, octets)], {name: octets}, apart=True)
        for name in fields
    ]


def body(content_type: str) -> Parse:
    return lambda text: read_body(text.encode("latin-1"), content_type)


async def _nothing(*_: object) -> None:
    pass


async def _empty() -> Message:
    return {"type": "http.request", "body": b""}


def console(name: bytes, method: str, path: str) -> Parse:
    """The console behind its guard and its login, with a hostile header."""
    authenticator = Authenticator(Bearer([KNOWN]), Sources(), MemoryAuth(life=60), LogThrottle())
    sessions = BrowserSessions(lambda: None, lambda: 0.0, bytes)
    login = password_login(sessions, {"here"}, "a", "t")
    access = OperatorAccess(_nothing, "console", authenticator, login, now=lambda: 1_800_000_000.0)
    guard = Guard(access, hosts={"here"}, token="t")

    def parse(text: str) -> object:
        headers = {b"host": b"here", b"x-console-token": b"t", name: text.encode("latin-1")}
        scope: Scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "headers": [*headers.items()],
            "client": ("192.0.2.1", 1),
        }
        work = guard(scope, _empty, _nothing)
        assert isinstance(work, Coroutine)
        return RUNNER.run(work)

    return parse


FORM = "multipart/form-data; boundary=x"
PART = '--x\r\nContent-Disposition: form-data; name="from"'
PARSERS: dict[str, tuple[int, Parse]] = {
    "X-Forwarded-For": (HEADERS_LIMIT, forwarding("x-forwarded-for")),
    "Forwarded": (HEADERS_LIMIT, forwarding("forwarded")),
    "Basic": (HEADERS_LIMIT, credentials(Basic([KNOWN]), "Basic ")),
    "Bearer": (HEADERS_LIMIT, credentials(Bearer([KNOWN]), "Bearer ")),
    "Digest": (HEADERS_LIMIT, credentials(DIGEST, "Digest ")),
    "Authorization": (HEADERS_LIMIT, credentials(SecretHeader(DIGEST, [KNOWN]), "")),
    "digest parameters": (12_000, parse_parameters),
    "digest nonce": (6_000, nonce),
    "digest uri": (6_000, target),
    "digest uri, unescaped": (12_000, unescaped_target),
    "framing": (HEADERS_LIMIT, framing),
    "path": (TARGET_LIMIT, split_path),
    "query": (TARGET_LIMIT, lambda text: read_query(text.encode("latin-1"))),
    "body": (HEADERS_LIMIT, body("")),
    "body in a charset": (HEADERS_LIMIT, body("a/b; charset=iso-8859-1")),
    "multipart": (HEADERS_LIMIT, body(FORM)),
    "multipart header": (HEADERS_LIMIT, lambda text: body(FORM)(f"{PART}{text}\r\n\r\na\r\n--x--")),
    "multipart part": (HEADERS_LIMIT, lambda text: body(FORM)(f"{PART}\r\n\r\n{text}\r\n--x--")),
    "content type": (HEADERS_LIMIT, lambda text: body("multipart/form-data; " + text)("from=1")),
    "probe": (HEADERS_LIMIT, lambda text: check_token(SECRET, "8000/pick", text, 1_800_000_000.0)),
    "session key": (HEADERS_LIMIT, lambda text: key_of(text, text, text, "", secret=SECRET)),
    "console cookie": (HEADERS_LIMIT, console(b"cookie", "GET", "/state")),
    "console host": (HEADERS_LIMIT, console(b"host", "GET", "/")),
    "console origin": (HEADERS_LIMIT, console(b"origin", "POST", "/login")),
    "console token": (HEADERS_LIMIT, console(b"x-console-token", "POST", "/login")),
    "console password": (HEADERS_LIMIT, console(b"authorization", "POST", "/login")),
    "mask": (HEADERS_LIMIT, Mask.parse),
    "caller's number": (HEADERS_LIMIT, read_number),
    "anonymous caller": (HEADERS_LIMIT, is_anonymous),
}


@pytest.mark.parametrize("name", PARSERS)
def test_the_time_of_a_parser_grows_with_the_length(name: str) -> None:
    length, parse = PARSERS[name]
    assert next(too_steep(parse, length), "") == ""


def patterns() -> dict[str, re.Pattern[Any]]:
    """Every regular expression of a module of the package, also of those to come."""
    found = {}
    for module in pkgutil.walk_packages(receiver.__path__, "receiver."):
        if module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern):
                found[f"{module.name}.{name}"] = value
    return found


PATTERNS = patterns()


@pytest.mark.parametrize("name", PATTERNS)
def test_the_time_of_a_regular_expression_grows_with_the_length(name: str) -> None:
    pattern = PATTERNS[name]
    octets = isinstance(pattern.pattern, bytes)

    def match(text: str) -> object:
        return pattern.match(text.encode("latin-1") if octets else text)

    def fullmatch(text: str) -> object:
        return pattern.fullmatch(text.encode("latin-1") if octets else text)

    assert next(too_steep(match, 8192), "") == ""
    assert next(too_steep(fullmatch, 8192), "") == ""


def test_the_measure_sees_a_quadratic_one() -> None:
    """The pattern is the former one of `Forwarded`: spaces before and after an optional part."""
    quadratic = re.compile(r"[ \t]*(?:[a-z]+=[a-z]+)?[ \t]*([;,]|\Z)")
    assert next(too_steep(quadratic.match, 4096))
