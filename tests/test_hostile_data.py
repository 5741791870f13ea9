"""Hostile input breaks no log line, no answer and no terminal."""

import io
import json
import logging
import threading
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_from_bytes

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver import Call, Receiver, Reply, Settings
from receiver.auth import Auth
from receiver.callbacks.parser import read_body
from receiver.cli import main
from receiver.declarations.actions import Method
from receiver.pbx.callback_request import Outgoing, make_request
from receiver.pbx.callback_trace import Exchange, Outcome, Step, render
from receiver.pbx.models import ActionUrl
from receiver.text import line, quoted, short
from tests.asgi import KNOWN, http_scope, status_of
from tests.command_line import CliRunner
from tests.support import ANSWER, METHODS, MODES, SECRET, Counted, credentials, make_app

LONG = 2000
"""Characters that no line of the log has; a traceback shows source that is ours."""

HOSTILE = {
    "controls": "".join(map(chr, range(32))) + "\x7f" + "".join(map(chr, range(0x80, 0xA0))),
    "escapes": "\x1b[2J\x1b]0;title\x07\x9b31m\x1bP\x1b\\",
    "a forged log line": "22\r\n2026-01-01 00:00:00 CRITICAL 888/post-open: forged",
    "a forged header": "22\r\nSet-Cookie: a=b\r\n\r\n<script>",
    "NUL": "101\0102",
    "right to left": "\u202e\u202d\u202a\u202b\u202c\u2066\u2067\u2068\u2069\u200e\u200f\u061c",
    "line separators": "a\u2028b\u2029c\x85d\x0be\x0cf",
    "lone surrogates": "\ud800x\udfff",
    "nothing to see": "\u200b\u200c\u200d\ufeff\u00ad\U000e0041\U000e007f",
    "beyond Unicode": "\uffff\ufdd0\U0010ffff",
    "formats": "%s%n{0}{call}%(name)s$(id)`id`\\n\\x1b",
    "quotes": "'\"'\\' from '101': forward, handled",
    "64 KiB": "\x1b9\u202e" * 6_400,  # 10 octets each, in JSON
}
NAMES = ("from", "to", "input", "from_name", "account_name", "session_id")


def is_shown_as_it_is(character: str) -> bool:
    """Whether a terminal draws it and does nothing else: no control, format, separator or half."""
    return unicodedata.category(character)[0] not in "CZ" or character == " "


def assert_harmless(lines: list[str], longest: int = LONG) -> None:
    for text in lines:
        assert all(map(is_shown_as_it_is, text)), ascii(text[:200])
        assert len(text) < longest
        text.encode()


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """Return the output of logging, set up as by the command line, at all levels."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    here = threading.get_ident()  # servers of other tests may log in their threads
    handler.addFilter(lambda record: record.thread == here)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("receiver")
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield written
    logger.removeHandler(handler)


def app(handler: Any, shown: bool) -> Receiver:
    return make_app(handler, Settings(secret=SECRET, log_caller_data=shown))


def octets(text: str) -> bytes:
    """Return the octets that a PBX without any check would send, surrogates included."""
    return text.encode("utf-8", "surrogatepass")


async def call(app: Receiver, method: Method, auth: Auth | None, text: str) -> httpx.Response:
    """A callback with ``text`` for a name, and its beginning in every field."""
    action = f"888/{method.lower()}-{auth or 'open'}"
    known = credentials(action)
    login: httpx.Auth | None = None
    headers = {}
    if auth == "bearer":
        headers = {"Authorization": f"Bearer {known.token.reveal()}"}
    elif auth is not None:
        kind = httpx.BasicAuth if auth == "basic" else httpx.DigestAuth
        login = kind(known.username, known.password.reveal())
    url, body = f"http://ivr.example/action/{action}", None
    if method == "GET":
        values = (f"{name}={quote_from_bytes(octets(text[:50]))}" for name in NAMES)
        url = f"{url}?{'&'.join(values)}"
    else:
        fields = {**dict.fromkeys(NAMES, text[:50]), "from_name": text}
        body = octets(json.dumps(fields, ensure_ascii=False))
    transport = httpx.ASGITransport(app, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport) as http:
        return await http.request(method, url, content=body, headers=headers, auth=login)


@pytest.mark.parametrize("shown", [False, True], ids=["withheld", "shown"])
@pytest.mark.parametrize("auth", MODES)
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_what_arrives_breaks_no_line_and_no_answer(
    text: str, method: Method, auth: Auth | None, shown: bool, log: io.StringIO
) -> None:
    handler = Counted()
    answer = await call(app(handler, shown), method, auth, text)
    assert answer.status_code == 200
    assert answer.content == ANSWER
    assert set(answer.headers) == {"content-type", "content-length"}
    assert len(handler.calls) == 1
    written = log.getvalue()
    assert written.endswith("\n")
    lines = written[:-1].split("\n")
    assert_harmless(lines)
    assert [text.split()[2:4] for text in lines if " digits " in text] == [
        ["INFO", f"888/{method.lower()}-{auth or 'open'}"]
    ]
    if not shown:
        assert "forged" not in written


@pytest.mark.parametrize("shown", [False, True], ids=["withheld", "shown"])
@pytest.mark.parametrize("plain", [False, True], ids=["async", "plain"])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
async def test_what_an_exception_says_breaks_no_line(
    text: str, plain: bool, shown: bool, log: io.StringIO
) -> None:
    def pick(call: Call) -> Reply:
        raise LookupError(f"no entry for {call.caller_name}")

    async def pick_async(call: Call) -> Reply:
        return pick(call)

    made = app(pick if plain else pick_async, shown)
    async with made.lifespan():
        answer = await call(made, "POST", None, text)
    assert answer.json() == {"status_code": 200, "action": "repeat", "destination": ""}
    lines = log.getvalue()[:-1].split("\n")
    assert_harmless(lines)
    raised, handled = (text.split(" ", 2)[2] for text in lines if not text.startswith("  "))
    assert raised.startswith("ERROR 888/post-open raised LookupError")
    assert ("no entry for" in raised) == shown
    assert handled.startswith("INFO 888/post-open DTMF digits ")


async def test_an_exception_that_cannot_say_what_it_is(log: io.StringIO) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise LookupError("no text")

    def pick(call: Call) -> Reply:
        raise Mute

    answer = await call(app(pick, True), "POST", None, "1")
    assert answer.json()["action"] == "repeat"
    assert "888/post-open raised Mute" in log.getvalue()
    assert "inside the receiver" not in log.getvalue()


async def test_what_strangers_send_is_not_in_the_log(log: io.StringIO) -> None:
    """No path, no header and no text in place of a user name is logged."""
    hostile = HOSTILE["a forged log line"].encode() + HOSTILE["escapes"].encode()
    made = app(Counted(), True)
    for path in ("/action/888/post-basic", "/action/888/forged", "/forged"):
        for scheme in (b"Basic ", b"Bearer ", b"Digest ", b"", b"forged "):
            for name in (b"authorization", b"x-forwarded-for", b"forwarded", b"x-receiver-check"):
                sent = [(b"host", b"x"), (name, scheme + hostile.replace(b"\r\n", b" "))]
                assert await status_of(made, http_scope(path.encode(), b"", "POST", sent)) < 500
    written = log.getvalue()
    assert "forged" not in written
    assert_harmless(written[:-1].split("\n"))


@pytest.mark.parametrize("charset", ["unicode_escape", "raw_unicode_escape", "utf-7", "utf-16-be"])
@pytest.mark.parametrize("value", ["%ff\\ud800", "+2AA-", "%d8%00%ff%d8"])
def test_no_charset_brings_half_a_character(value: str, charset: str) -> None:
    """A handler could neither store nor send it on."""
    read_body(f"from_name={value}".encode(), f"x/y; charset={charset}").call.caller_name.encode()


# the command line and the simulator ----------------------------------------------------------

APP = """
from receiver import Call, Forward, Ivr, Receiver, Reply

sales = Ivr("8000")

@sales.dtmf("1")
async def pick(call: Call) -> Reply:
    return Forward("222")

@sales.dtmf("2", method="GET", auth="digest")
async def get(call: Call) -> Reply:
    raise LookupError(call.caller_name + call.caller)

app = Receiver(sales)
"""


@pytest.mark.allow_secrets
@pytest.mark.parametrize(
    ("command", "options"),
    [
        ("dial hostile:app 8000 --press 2", ("--name", "--from")),
        ("curl hostile:app pick", ("--name", "--caller", "--digits", "--session")),
    ],
)
@pytest.mark.parametrize(
    "text", [text for text in HOSTILE.values() if "\0" not in text and len(text) < 1000], ids=ascii
)
def test_the_command_line_shows_nothing_raw(
    text: str,
    command: str,
    options: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / "hostile.py").write_text(APP)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("RECEIVER_SECRET", "6d0f2c9ab17e4583f4c8d25e90ab3716")
    done = CliRunner().invoke(
        main,
        [*command.split(), *(part for option in options for part in (option, text))],
        catch_exceptions=False,
    )
    assert done.exit_code == 0, done.output
    assert_harmless(done.output[:-1].split("\n"), 4000)


@pytest.mark.parametrize("secrets", [False, True], ids=["masked", "aloud"])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_trace_shows_nothing_raw(text: str, method: Method, secrets: bool) -> None:
    """A trace shows neither what was sent nor what the other end answered."""
    action = ActionUrl(name=text, url="http://ivr.example/x", method=method, auth="DISABLE")
    hostile = text[:1000]
    call = Call(hostile, hostile, hostile, hostile, hostile, hostile)
    request: Outgoing = make_request(action, call)
    exchange = Exchange(
        *(request.method, request.url, request.headers, request.body),
        *(200, (("X-Odd", octets(text).decode("latin-1")[:1000]),), octets(text), 0.1),
    )
    outcome = Outcome("failed", text[:1000])
    step = Step("press", "DTMF", text[:1000], text[:1000], (exchange,), outcome, 0.1, 2.0)
    assert_harmless(render(step, secrets=secrets), 40_000)


@given(st.text(st.characters()))
def test_printable_text(text: str) -> None:
    for shown in (line(text), short(text), quoted(text)):
        assert all(map(is_shown_as_it_is, shown))
    assert len(short(text, 9)) <= 9
    assert line(text) == text or not text.isprintable()


# any octets at all ---------------------------------------------------------------------------

PATHS = [
    f"/action/888/{method.lower()}-{auth or 'open'}".encode()
    for method in METHODS
    for auth in MODES
]
HEADERS = [
    *(b"authorization", b"host", b"content-length", b"transfer-encoding", b"content-type"),
    *(b"x-forwarded-for", b"forwarded", b"x-receiver-check", b"expect", b"connection", b"x"),
]
KINDS = [b"Bearer ", b"Basic ", b"Digest ", b'Digest username="', b"multipart/form-data; boundary="]
KINDS += [b"for=", b"[", b"chunked", b"text/plain; charset=", b"1"]


octet_lists = st.binary(max_size=200) | st.builds(
    lambda a, b: a + b, st.sampled_from(KINDS), st.binary()
)
header_lists = st.lists(
    st.tuples(st.sampled_from(HEADERS) | st.binary(min_size=1, max_size=9), octet_lists), max_size=6
)
methods = st.sampled_from(["GET", "POST", "POST", "HEAD", "PUT", "OPTIONS", "\x1b", ""])


@given(
    path=st.sampled_from(PATHS) | st.binary(max_size=60) | st.binary().map(b"/action/888/".__add__),
    query=st.binary(max_size=100) | st.binary().map(b"from=1&input=".__add__),
    method=methods,
    headers=header_lists,
    body=st.binary(max_size=300) | st.binary().map(b'{"from":"'.__add__),
    version=st.sampled_from(["1.1", "1.1", "1.0", "2", "9.9", ""]),
    client=st.none() | st.tuples(st.text(max_size=20), st.just(1)),
    has_host=st.booleans(),
)
async def test_any_octets_get_one_of_the_known_answers(
    path: bytes,
    query: bytes,
    method: str,
    headers: list[tuple[bytes, bytes]],
    body: bytes,
    version: str,
    client: tuple[str, int] | None,
    has_host: bool,
) -> None:
    host = [(b"host", b"ivr.example")] if has_host else []
    more = {"http_version": version, "client": client}
    scope = http_scope(path, query, method, [*host, *headers], **more)
    assert await status_of(make_app(Counted()), scope, body) in KNOWN


@given(
    query=st.binary(max_size=200),
    body=st.binary(max_size=400) | st.binary().map(b'{"from":"'.__add__),
    kind=octet_lists,
    method=st.sampled_from(METHODS),
)
async def test_every_authenticated_request_gets_a_reply(
    query: bytes, body: bytes, kind: bytes, method: Method
) -> None:
    """Past authentication the answer is 200 for any input."""
    action = f"888/{method.lower()}-bearer"
    token = credentials(action).token.reveal()
    headers = [
        (b"host", b"x"),
        (b"authorization", f"Bearer {token}".encode()),
        (b"content-type", kind.translate(None, b"\0\r\n")),
    ]
    scope = http_scope(f"/action/{action}".encode(), query, method, headers)
    assert await status_of(make_app(Counted()), scope, body) == 200
