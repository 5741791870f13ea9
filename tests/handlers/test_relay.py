"""handlers/relay.py"""

import asyncio
import base64
import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from handlers.relay import Relay, read
from receiver import (
    Call,
    DeclarationError,
    Forward,
    Hangup,
    Repeat,
    Reply,
    ReplyError,
    Secret,
    Unavailable,
)
from receiver.errors import CircuitOpen, UpstreamLate, UpstreamRefused
from tests.upstream.stage import BROKEN, CUT, HANG, Crm, Timed, answer

SECRET = "whsec_" + base64.b64encode(b"thirty-two octets, and no fewer.").decode()
CALL = Call("+4930123456", "Ada", "8000", "Sales", "22", "s1")


def parsed(request: str) -> tuple[dict[str, str], str]:
    head, _, body = request.partition("\r\n\r\n")
    lines = (line.partition(": ") for line in head.split("\r\n")[1:])
    return {name.lower(): value for name, _, value in lines}, body


async def test_the_service_gets_the_call_and_decides(other: Crm) -> None:
    other.script = [answer(b'{"action":"call","destination":"222"}'), answer(b"hangup")]
    relay = Relay(other.url + "/hook/7?flow=a", headers={"X-Key": "k"})
    assert [await relay(CALL), await relay(CALL)] == [Forward("222"), Hangup()]
    headers, body = parsed(other.requests[0])
    assert other.requests[0].startswith("POST /hook/7?flow=a HTTP/1.1")
    assert (headers["x-key"], headers["content-type"]) == ("k", "application/json")
    assert "webhook-signature" not in headers
    assert json.loads(body) == {
        "session_id": "s1",
        "from": "+4930123456",
        "to": "8000",
        "input": "22",
        "from_name": "Ada",
        "account_name": "Sales",
    }


async def test_an_independent_library_verifies_the_signature(other: Crm) -> None:
    other.script = [answer(b"222")]
    relay = Relay(other.url, secret=SECRET)
    await relay(CALL)
    await relay(CALL)
    (headers, body), (again, _) = map(parsed, other.requests)
    assert Webhook(SECRET).verify(body, headers) == json.loads(body)
    assert headers["webhook-id"] != again["webhook-id"]
    wrong = "whsec_" + base64.b64encode(b"x" * 32).decode()
    for secret, text in ((wrong, body), (SECRET, body.replace("222", "223") + " ")):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(text, headers)


async def test_an_old_signature_is_refused(other: Crm) -> None:
    other.script = [answer(b"222")]
    await Relay(other.url, secret=Secret(SECRET), clock=lambda: 1_000_000.0)(CALL)
    headers, body = parsed(other.requests[0])
    assert headers["webhook-timestamp"] == "1000000"
    with pytest.raises(WebhookVerificationError, match="too old"):
        Webhook(SECRET).verify(body, headers)


@pytest.mark.parametrize(
    ("body", "reply"),
    [
        (b'{"status_code":200,"action":"call","destination":"222"}', Forward("222")),
        (b'{"action": "Forward", "destination": 222}', Forward("222")),
        (b'{"action":"transfer","destination":" 00491234567890123456 "}', None),
        (b'{"destination":"+49301"}', Forward("+49301")),
        (b'{"destination":"hangup"}', None),
        (b'{"action":"hangup","destination":""}', Hangup()),
        (b'{"action":"Hang up"}', Hangup()),
        (b'{"action":"repeat","destination":null}', Repeat()),
        (b'[{"destination":"222"}]', Forward("222")),
        (b'["repeat"]', Repeat()),
        (b'"222"', Forward("222")),
        (b"222\n", Forward("222")),
        (b"0042", Forward("0042")),
        (b"\xef\xbb\xbfHANGUP", Hangup()),
        (b"", None),
        (b"null", None),
        (b"true", None),
        (b"1.5", None),
        (b"1e3", None),
        (b"-1", None),
        (b"{}", None),
        (b"[]", None),
        (b'[{"destination":"222"},{"destination":"333"}]', None),
        (b'{"action":"call"}', None),
        (b'{"action":"play","destination":"222"}', None),
        (b'{"action":["call"],"destination":"222"}', None),
        (b'{"action":"call","destination":["222"]}', None),
        (b'{"action":"call","destination":"sip:222@x"}', None),
        (b"<html>Workflow started</html>", None),
        (b"[" * 100_000, None),
    ],
)
def test_how_answers_are_read(body: bytes, reply: Reply | None) -> None:
    if b" 00491" in body:
        reply = Forward("00491234567890123456")
    if reply is not None:
        assert read(body) == reply
        return
    with pytest.raises(ReplyError):
        read(body)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "it is empty"),
        (b"<html>Workflow started hunter2</html>", "it is HTML or XML: does url= lead to"),
        (b"Workflow hunter2", "the text of 16 characters is neither hangup, repeat nor a n"),
        (b'{"action":"hunter2"', "it begins like JSON and cannot be read"),
        (b'[{"destination":"222"},{"hunter2":"333"}]', "it is a list of 2 items"),
        (b"null", "it is null, not an object"),
        (b"[true]", "it is true or false, not an object"),
        (b"[[1]]", "it is a list, not an object"),
        (b'{"action":["call"]}', "its action is a list, not a text"),
        (b'{"action":"hunter2","destination":"222"}', "its action is none of call, forward, trans"),
        (b'{"hunter2":"222"}', "it has no action and no destination, as in"),
        (b'{"action":"call","destination":"  "}', "it has no destination"),
        (b'{"action":"call","destination":{"hunter2":1}}', "its destination is an object"),
        (
            b'{"action":"call","destination":"sip:hunter2@x"}',
            "its destination of 13 characters is no number that",
        ),
    ],
)
async def test_the_log_names_the_error_of_an_answer(
    body: bytes, reason: str, other: Crm, caplog: pytest.LogCaptureFixture
) -> None:
    other.script = [answer(body)]
    assert await Relay(other.url, fallback="8000")(CALL) == Forward("8000")
    assert "Relay uses its fallback: the answer of http://127.0.0.1" in caplog.text
    assert f"is no reply: {reason}" in caplog.text.replace("Forward got ", "")
    assert "hunter2" not in caplog.text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["action", "destination", "x"]), inner)
    ),
)


@given(JSON.map(lambda value: json.dumps(value).encode()) | st.binary())
def test_any_answer_is_a_reply_or_raises(body: bytes) -> None:
    with contextlib.suppress(ReplyError):
        assert isinstance(read(body), Reply)


REDIRECT = answer(b"222", "302 Found", "Location: http://127.0.0.1:1/\r\n")


@pytest.mark.parametrize(
    "step", [BROKEN, CUT, REDIRECT, answer(b"started"), answer(b"", "204 No Content")]
)
async def test_no_answer_leads_to_the_fallback(
    step: bytes, other: Crm, caplog: pytest.LogCaptureFixture
) -> None:
    async def menu(call: Call) -> Reply:
        return Forward(call.digits)

    other.script = [step]
    assert await Relay(other.url + "/secret-path", fallback=menu)(CALL) == Forward("22")
    assert other.count == 1
    [line] = caplog.messages
    assert line.startswith("Relay uses its fallback: ")
    assert other.url in line
    for text in ("secret-path", "30123456", "Ada", "started"):
        assert text not in line
    with pytest.raises(Unavailable):
        await Relay(other.url)(CALL)


async def test_the_deadline_of_the_call_applies(other: Crm) -> None:
    other.script = [HANG]
    relay = Relay(other.url, fallback="0", timeout=60)
    assert await relay(Timed(left=0.2)) == Forward("0")
    with pytest.raises(UpstreamLate):
        await Relay(other.url)(Timed(left=0.0))


async def test_a_failing_service_opens_the_circuit(other: Crm) -> None:
    other.script = [BROKEN]
    relay = Relay(other.url)
    for _ in range(5):
        with pytest.raises(UpstreamRefused):
            await relay(CALL)
    with pytest.raises(CircuitOpen):
        await relay(CALL)
    assert other.count == 5


async def test_connection_refused() -> None:
    server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    assert await Relay(f"http://localhost:{port}", fallback="0")(CALL) == Forward("0")


@pytest.mark.parametrize(
    "url",
    [
        "https://n8n.example.com/webhook/1",
        "https://10.0.0.1:5678/",
        "http://localhost:5678/x",
        "http://127.0.0.9/x",
        "http://[::1]:1880/x",
    ],
)
def test_good_urls(url: str) -> None:
    Relay(url)
    Relay("http://10.0.0.1:5678/x", plain=True)


@pytest.mark.parametrize(
    ("url", "options", "problem"),
    [
        ("http://n8n.example.com/x", {}, "url= is plain http to another machine"),
        ("http://10.0.0.1/x", {}, "set plain=True"),
        ("http://localhost.example.com/x", {}, "plain http to another"),
        ("ftp://x/y", {}, "url= is an https URL"),
        ("n8n.example.com/x", {}, "url= is an https URL"),
        ("https://u:hunter2@x/y", {}, "credentials belong in headers="),
        ("https://x/y#z", {}, "fragment"),
        ("https://", {}, "url= is an https URL"),
        ("https://x:port/", {}, "cannot be read as a URL"),
        (7, {}, "cannot be read as a URL|an https URL"),
        ("https://x", {"secret": "hunter2"}, 'secret= is "whsec_" and 24 to 64 octets'),
        ("https://x", {"secret": "whsec_" + base64.b64encode(b"hunter2").decode()}, "24 to 64"),
        ("https://x", {"fallback": "x"}, "Relay: fallback is neither"),
        ("https://x", {"ca": "none.pem"}, "ca='none.pem' is not a PEM file"),
    ],
)
def test_wrong_options(url: Any, options: Any, problem: str) -> None:
    with pytest.raises(DeclarationError, match=problem) as caught:
        Relay(url, **options)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("timeout", [0, -1.0, float("nan")])
def test_a_timeout_of_zero_is_refused(timeout: float) -> None:
    with pytest.raises(DeclarationError, match="must be a number of seconds above 0"):
        Relay("https://example.com", timeout=timeout)
