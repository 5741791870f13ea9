"""The app over ASGI, without a socket: routing, refusals, forms, fallbacks."""

import asyncio
import gzip
import json
import logging
import sys
import time
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Message

from receiver import Call, DeclarationError, Forward, Hangup, Ivr, Receiver, Reply, SettingsError
from receiver.auth.digest import parse_parameters, response_hash
from receiver.auth.probe_token import HEADER, make_token
from receiver.callbacks.request import BODY_LIMIT
from receiver.credentials import derive
from receiver.settings import Settings
from tests.support import ANSWER, FIELDS, QUERY, SECRET, SETTINGS, Counted, credentials, make_app

BEARER = {"Authorization": f"Bearer {credentials('888/post-bearer').token.reveal()}"}


def client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service")


@pytest.fixture
def handler() -> Counted:
    return Counted()


@pytest.fixture
async def http(handler: Counted) -> AsyncIterator[httpx.AsyncClient]:
    async with client(make_app(handler)) as made:
        yield made


async def test_the_documented_get_and_post(http: httpx.AsyncClient, handler: Counted) -> None:
    get = await http.get(f"/action/888/get-open?{QUERY}")
    post = await http.post("/action/888/post-open", json=FIELDS)
    for answer in (get, post):
        assert (answer.status_code, answer.content) == (200, ANSWER)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["content-length"] == str(len(ANSWER))
        assert "content-encoding" not in answer.headers
        assert "set-cookie" not in answer.headers
    wanted = Call("101", "Jason", "888", "Sales", "22", "12345678")
    assert handler.calls == [wanted, wanted]


@pytest.mark.parametrize(
    "request_parts",
    [
        {"data": FIELDS},
        {"files": {k: (None, v) for k, v in FIELDS.items()}},
        {"content": json.dumps(FIELDS), "headers": {"content-type": "text/plain"}},
        {"content": json.dumps(FIELDS)},
        {"content": QUERY, "headers": {"content-type": "application/json"}},
        {"params": FIELDS},
        {"params": FIELDS, "content": "\r\n"},
    ],
)
async def test_every_form_of_a_post(
    request_parts: dict[str, Any], http: httpx.AsyncClient, handler: Counted
) -> None:
    answer = await http.post("/action/888/post-open", **request_parts)
    assert answer.content == ANSWER
    assert handler.calls == [Call("101", "Jason", "888", "Sales", "22", "12345678")]


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "FOO"])
@pytest.mark.parametrize("path", ["post-bearer", "get-basic", "nothing"])
async def test_methods_that_no_action_has_are_refused_everywhere_alike(
    method: str, path: str, http: httpx.AsyncClient, handler: Counted
) -> None:
    answer = await http.request(method, f"/action/888/{path}?{QUERY}", headers=BEARER)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST")
    assert handler.calls == []


async def test_only_authenticated_clients_learn_the_method(
    http: httpx.AsyncClient, handler: Counted
) -> None:
    url = f"/action/888/post-bearer?{QUERY}"
    assert (await http.get(url)).status_code == 401
    answer = await http.get(url, headers=BEARER)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert handler.calls == []


async def test_a_get_is_not_a_post(http: httpx.AsyncClient) -> None:
    answer = await http.post("/action/888/get-open", json=FIELDS)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")


@pytest.mark.parametrize(
    "path",
    [
        "/action/888/post-open/",
        "/action/888/",
        "/action/888/a/b/c",
        "/action/888/" + "x" * 65,
        "//action/888/post-open",
        "/action/888%2Fpost-open",
        "/action/888/post-open%00",
        "/action/888/%2e%2e/888/post-open",
        "/",
    ],
)
async def test_other_paths_are_not_found_and_never_redirected(
    path: str, http: httpx.AsyncClient
) -> None:
    assert (await http.post(path, json=FIELDS)).status_code == 404


@pytest.mark.parametrize(
    ("name", "challenge"),
    [
        ("bearer", 'Bearer realm="callbacks"'),
        ("basic", 'Basic realm="callbacks", charset="UTF-8"'),
        ("digest", 'Digest realm="callbacks", nonce="'),
    ],
)
async def test_without_credentials_no_body_is_looked_at(
    name: str, challenge: str, http: httpx.AsyncClient, handler: Counted
) -> None:
    for body in (b"", b"rubbish", json.dumps(FIELDS).encode()):
        answer = await http.post(f"/action/888/post-{name}", content=body)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith(challenge)
        assert answer.content == b""
    assert handler.calls == []


async def test_credentials_of_one_action_do_not_open_another(
    http: httpx.AsyncClient, handler: Counted
) -> None:
    other = {"Authorization": f"Bearer {credentials('888/get-bearer').token.reveal()}"}
    answer = await http.post("/action/888/post-bearer", json=FIELDS, headers=other)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].endswith('error="invalid_token"')
    assert handler.calls == []


async def test_a_digest_nonce_of_one_action_is_stale_at_another(http: httpx.AsyncClient) -> None:
    known = credentials("888/post-digest")
    login = httpx.DigestAuth(known.username, known.password.reveal())
    assert (await http.post("/action/888/post-digest", json=FIELDS, auth=login)).status_code == 200
    foreign = await http.get("/action/888/get-digest")
    login._last_challenge = login._parse_challenge(
        foreign.request, foreign, foreign.headers["www-authenticate"]
    )
    seen = []

    async def watch(response: httpx.Response) -> None:
        seen.append((response.status_code, "stale=true" in str(response.headers)))

    http.event_hooks = {"response": [watch]}
    answer = await http.post("/action/888/post-digest", json=FIELDS, auth=login)
    assert seen == [(401, True), (200, False)]  # stale: httpx tries again with the new nonce
    assert answer.content == ANSWER


async def test_a_digest_header_that_cannot_be_read_is_a_bad_request(
    http: httpx.AsyncClient,
) -> None:
    answer = await http.post("/action/888/post-digest", headers={"Authorization": "Digest =,="})
    assert answer.status_code == 400
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize("body", [b"", b"hello", b"[]", b"{", b'{"a":' + b"[" * 50_000])
async def test_past_authentication_a_caller_always_gets_an_answer(
    body: bytes, handler: Counted
) -> None:
    async with client(Receiver(*make_app(handler).ivrs, fallback=Hangup(), settings=SETTINGS)) as c:
        answer = await c.post("/action/888/post-bearer", content=body, headers=BEARER)
    assert answer.status_code == 200
    assert answer.json() == {"status_code": 200, "action": "hangup", "destination": ""}
    assert handler.calls == []


async def test_a_bug_in_the_receiver_still_gives_an_answer(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def explode(*_: object) -> None:
        raise RuntimeError("a bug that knows the digits 4111")

    monkeypatch.setattr("receiver.callbacks.request.read_body", explode)
    answer = await http.post("/action/888/post-open", json=FIELDS)
    assert answer.json()["action"] == "repeat"
    assert "RuntimeError inside the receiver" in caplog.text
    assert "4111" not in caplog.text


async def test_large_bodies_are_refused(
    http: httpx.AsyncClient, handler: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This test's own chunks come from no server that mixes trailers into the headers.
    monkeypatch.delitem(sys.modules, "uvicorn.protocols.http.httptools_impl", raising=False)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(BODY_LIMIT // 1000 + 2):
            yield b"x" * 1000

    for content in (b"x" * (BODY_LIMIT + 1), chunks()):
        answer = await http.post("/action/888/post-open", content=content)
        assert (answer.status_code, answer.headers["connection"]) == (413, "close")
    answer = await http.post("/action/888/post-bearer", content=b"x" * (BODY_LIMIT + 1))
    assert (answer.status_code, answer.headers["connection"]) == (401, "close")
    assert handler.calls == []


async def test_a_digest_whose_uri_lacks_the_query(handler: Counted) -> None:
    """At an action that allows it, and at one that is no longer declared."""
    ivr = Ivr("888")
    options: dict[str, Any] = {"auth": "digest", "method": "GET"}
    ivr.add("DTMF", "1", handler, name="open", uri_without_query=True, **options)
    async with client(Receiver(ivr, settings=SETTINGS)) as http:
        for name, action in (("open", "call"), ("nothing", "repeat")):
            challenge = (await http.get(f"/action/888/{name}?{QUERY}")).headers["www-authenticate"]
            asked = parse_parameters(challenge.removeprefix("Digest "))
            assert asked is not None
            known = credentials(f"888/{name}")
            sent = {"realm": asked["realm"], "nonce": asked["nonce"], "uri": f"/action/888/{name}"}
            sent |= {"qop": "auth", "nc": "00000001", "cnonce": "c"}
            response = response_hash(
                "MD5",
                method="GET",
                username=known.username,
                password=known.password.reveal(),
                parameters=sent,
            )
            sent |= {"username": known.username, "response": response}
            value = "Digest " + ", ".join(f'{key}="{text}"' for key, text in sent.items())
            answer = await http.get(f"/action/888/{name}?{QUERY}", headers={"Authorization": value})
            assert (answer.status_code, answer.json()["action"]) == (200, action)
    assert len(handler.calls) == 1


@pytest.mark.parametrize(
    ("name", "reply"),
    [
        ("Jason\tBourne", ANSWER),
        ('Jason "JB"', ANSWER),
        ("DOMAIN\\jason", ANSWER),
        ('x"}', ANSWER),
        ('x","from":"+49666', None),
        ('x"}","input":"9', None),
    ],
)
async def test_a_display_name_that_the_pbx_did_not_escape(
    name: str,
    reply: bytes | None,
    http: httpx.AsyncClient,
    handler: Counted,
    caplog: pytest.LogCaptureFixture,
) -> None:
    body = json.dumps(FIELDS).replace("Jason", name)
    answer = await http.post("/action/888/post-open", content=body)
    assert answer.status_code == 200
    if reply is None:
        assert answer.json()["action"] == "repeat"  # the fallback
        assert handler.calls == []
        assert "666" not in caplog.text
        return
    assert answer.content == reply
    call = handler.calls[0]
    assert (call.caller, call.ivr, call.digits) == ("101", "888", "22")


async def test_a_compressed_body_is_decoded_or_refused(
    http: httpx.AsyncClient, handler: Counted
) -> None:
    url, body = "/action/888/post-open", json.dumps(FIELDS).encode()
    packed = {"content-encoding": "gzip"}
    assert (await http.post(url, content=gzip.compress(body), headers=packed)).content == ANSWER
    assert handler.calls.pop() == Call("101", "Jason", "888", "Sales", "22", "12345678")
    large = gzip.compress(body + b" " * BODY_LIMIT)
    assert (await http.post(url, content=large, headers=packed)).status_code == 413
    for coding, content in (("deflate", zlib.compress(body)), ("br", b"x"), ("gzip", b"\x1f\x8b")):
        answer = await http.post(url, content=content, headers={"content-encoding": coding})
        assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "gzip")
    assert handler.calls == []


def scope(path: str, **changes: Any) -> dict[str, Any]:
    return {
        "type": "http",
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"x")],
        **changes,
    }


async def asgi(app: Receiver, scope: dict[str, Any], *messages: Message) -> list[Message]:
    """Run the app on messages by hand; after the last one nothing more comes."""
    waiting, sent = list(messages), []

    async def receive() -> Message:
        if waiting:
            return waiting.pop(0)
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        sent.append(message)

    await app(scope, receive, send)
    return sent


@pytest.mark.parametrize("name", ["post-open", "post-bearer"])
async def test_a_client_that_disconnects_gets_no_answer(name: str, handler: Counted) -> None:
    part = {"type": "http.request", "body": b"{", "more_body": True}
    left = {"type": "http.disconnect"}
    assert await asgi(make_app(handler), scope(f"/action/888/{name}"), part, left) == []
    assert handler.calls == []


@pytest.mark.parametrize(("name", "status"), [("post-open", 200), ("post-bearer", 401)])
async def test_a_client_that_never_finishes_is_disconnected(
    name: str, status: int, handler: Counted
) -> None:
    part = {"type": "http.request", "body": b"{", "more_body": True}
    app = make_app(handler, Settings(secret=SECRET, margin=0.999))
    for action in app:
        object.__setattr__(action, "request_timeout", 1)
    sent = await asgi(app, scope(f"/action/888/{name}"), part)
    assert sent[0]["status"] == status
    assert handler.calls == []
    assert (b"connection", b"close") in sent[0]["headers"]


async def test_a_scope_without_a_raw_path_or_a_client_will_do(handler: Counted) -> None:
    body = {"type": "http.request", "body": json.dumps(FIELDS).encode()}
    sent = await asgi(make_app(handler), scope("/action/888/post-open"), body)
    assert sent[0]["status"] == 200
    sent = await asgi(make_app(handler), scope("/action/888/post-digest"), body)
    assert sent[0]["status"] == 401


async def test_websockets_are_refused(handler: Counted) -> None:
    connect = {"type": "websocket.connect"}
    socket = {"type": "websocket", "path": "/action/888/post-open", "headers": []}
    assert (await asgi(make_app(handler), socket, connect))[0]["type"] == "websocket.close"


async def test_lifespan_starts_and_stops(handler: Counted) -> None:
    messages = {"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}
    sent = await asgi(make_app(handler), {"type": "lifespan", "state": {}}, *messages)
    assert [m["type"] for m in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


async def test_without_a_secret_it_does_not_start(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    app = Receiver(Ivr("8000"))
    messages = {"type": "lifespan.startup"}
    with pytest.raises(SettingsError, match="RECEIVER_SECRET is not set"):
        await asgi(app, {"type": "lifespan", "state": {}}, messages)
    with pytest.raises(SettingsError, match="RECEIVER_SECRET is not set"):
        await asgi(app, scope("/action/8000/pick"))


async def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECEIVER_SECRET", SECRET.reveal())
    assert Receiver(Ivr("8000")).settings.secret == SECRET


async def test_mounted_in_a_larger_app(handler: Counted) -> None:
    settings = Settings(secret=SECRET, public_url="https://www.example/calls")
    app = Starlette(routes=[Mount("/calls", make_app(handler, settings))])
    known = credentials("888/post-digest")
    login = httpx.DigestAuth(known.username, known.password.reveal())
    async with client(app) as c:
        answer = await c.post("/calls/action/888/post-digest", json=FIELDS, auth=login)
        assert answer.content == ANSWER
        assert (await c.post("/action/888/post-open", json=FIELDS)).status_code == 404


async def test_behind_a_proxy_that_takes_the_prefix_away(handler: Counted) -> None:
    settings = Settings(secret=SECRET, public_url="https://www.example/calls")
    known = credentials("888/get-digest")
    login = httpx.DigestAuth(known.username, known.password.reveal())

    class Proxy(httpx.ASGITransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            request.url = request.url.copy_with(
                raw_path=request.url.raw_path.removeprefix(b"/calls")
            )
            return await super().handle_async_request(request)

    async with httpx.AsyncClient(transport=Proxy(make_app(handler, settings))) as c:
        url = f"https://www.example/calls/action/888/get-digest?{QUERY}"
        assert (await c.get(url, auth=login)).content == ANSWER


async def test_names_beyond_ascii_are_found() -> None:
    ivr = Ivr("8000")
    ivr.add("DTMF", "1", Counted(), name="Büro 1", auth=None)
    async with client(Receiver(ivr, settings=SETTINGS)) as c:
        answer = await c.post("/action/8000/B%C3%BCro%201", json=FIELDS)
    assert answer.content == ANSWER


async def test_the_log_shows_caller_data_only_if_configured(
    handler: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    fields = {**FIELDS, "from": "4930123456", "input": "41114111", "from_name": "Ada Example"}
    async with client(make_app(handler)) as c:
        await c.post("/action/888/post-open", json=fields)
        await c.post("/action/888/post-bearer", json=fields)
    assert "888/post-open DTMF digits <8> from <10>: call, handled, " in caplog.text
    assert "888/post-bearer refused: no credentials, from 127.0.0.1" in caplog.text
    for text in ("4930123456", "41114111", "Ada"):
        assert text not in caplog.text.replace("HTTP Request", "")
    async with client(make_app(handler, Settings(secret=SECRET, log_caller_data=True))) as c:
        await c.post("/action/888/post-open", json=fields)
    assert "digits '41114111' from '4930123456'" in caplog.text


def test_what_is_composed_must_fit_together() -> None:
    one, two = Ivr("8000"), Ivr("8000")

    @one.dtmf("1-5")
    async def pick(call: Call) -> Reply:
        return Forward("222")

    two.dtmf("5", name="other")(pick)
    with pytest.raises(
        DeclarationError, match=r"test_app\.py:[0-9]+: the masks .* both match \"5\""
    ):
        Receiver(one, two)
    assert [action.name for action in Receiver(one, one)] == ["pick"]


def test_actions_can_be_declared_until_the_first_request() -> None:
    one = Ivr("8000")
    app = Receiver(one, settings=SETTINGS)
    one.dtmf("1", name="late")(Counted())
    assert [action.name for action in app] == ["late"]
    two = Ivr("8000")
    clashing = Receiver(one, two, settings=SETTINGS)
    two.dtmf("1", name="clash")(Counted())
    with pytest.raises(DeclarationError, match="both match"):
        _ = clashing.starlette


def test_a_url_too_long_for_the_pbx_stops_the_start() -> None:
    settings = Settings(secret=SECRET, public_url="https://" + "x" * 100 + ".example")
    with pytest.raises(DeclarationError, match="the PBX takes 128"):
        _ = make_app(Counted(), settings).starlette


def test_wrong_arguments() -> None:
    with pytest.raises(DeclarationError, match="takes Ivr and Events objects, not str"):
        Receiver("8000")  # type: ignore[arg-type]
    with pytest.raises(DeclarationError, match="fallback must be a reply"):
        Receiver(fallback="0")  # type: ignore[arg-type]


# epochs, parts and marks ---------------------------------------------------------------------


@pytest.mark.parametrize(("epoch", "status"), [(1, 401), (2, 200), (3, 200), (4, 401)])
async def test_two_epochs_are_accepted(epoch: int, status: int, handler: Counted) -> None:
    token = derive(SECRET, "888/post-bearer", epoch).token.reveal()
    async with client(make_app(handler, Settings(secret=SECRET, epoch=2))) as http:
        sent = {"Authorization": f"Bearer {token}"}
        answer = await http.post("/action/888/post-bearer", json=FIELDS, headers=sent)
    assert answer.status_code == status


async def test_a_nonce_outlives_the_end_of_an_epoch(handler: Counted) -> None:
    url = "http://service/action/888/post-digest"
    async with client(make_app(handler, Settings(secret=SECRET, epoch=1))) as http:
        challenge = (await http.post(url)).headers["www-authenticate"]
    known = derive(SECRET, "888/post-digest", 2)
    flow = httpx.DigestAuth(known.username, known.password.reveal()).auth_flow(
        request := httpx.Request("POST", url, json=FIELDS)
    )
    next(flow)
    headers = {"www-authenticate": challenge}
    request = flow.send(httpx.Response(401, headers=headers, request=request))
    async with client(make_app(handler, Settings(secret=SECRET, epoch=2))) as http:
        assert (await http.send(request)).content == ANSWER


@pytest.mark.parametrize("public_url", ["", "http://service", "http://proxy/prefix"])
@pytest.mark.parametrize("name", ["post-bearer", "get-basic", "post-digest"])
async def test_a_part_of_a_long_mask_is_its_action(
    name: str, public_url: str, handler: Counted
) -> None:
    method, _, auth = name.partition("-")
    known = credentials(f"888/{name}")
    username, password = known.username, known.password.reveal()
    ways: dict[str, dict[str, Any]] = {
        "bearer": {"headers": {"Authorization": f"Bearer {known.token.reveal()}"}},
        "basic": {"auth": (username, password)},
        "digest": {"auth": httpx.DigestAuth(username, password)},
    }
    how = ways[auth]
    app = make_app(handler, Settings(secret=SECRET, public_url=public_url))
    async with client(app) as http:
        for part in (2, 99):
            path = f"/action/888/{name}/{part}"
            answer = await http.request(method, path, params=FIELDS, **how)
            assert answer.content == ANSWER
        for text in ("1", "02", "100", "x", "2/3"):
            answer = await http.request(method, f"/action/888/{name}/{text}", params=FIELDS, **how)
            assert answer.status_code == 404
        assert (await http.request(method, f"/action/888/{name}/2")).status_code == 401


async def test_a_probe_token_alone_does_not_authenticate(
    http: httpx.AsyncClient, handler: Counted
) -> None:
    mark = {HEADER: make_token(SECRET, "888/post-bearer", time.time())}
    refused = await http.post("/action/888/post-bearer", json=FIELDS, headers=mark)
    assert (refused.status_code, refused.headers[HEADER]) == (401, "epoch 1")
    answer = await http.post("/action/888/post-bearer", json=FIELDS, headers=BEARER | mark)
    assert (answer.status_code, answer.headers[HEADER]) == (200, "ok")
    assert answer.json()["action"] == "repeat"
    rubbish = await http.post("/action/888/post-bearer", content=b"\xff", headers=BEARER | mark)
    assert rubbish.headers[HEADER] == "incomplete"
    wrong = {HEADER: "x"}
    answer = await http.post("/action/888/post-bearer", json=FIELDS, headers=BEARER | wrong)
    assert answer.headers[HEADER] == "wrong"
    assert handler.calls == []
