"""The table of actions: exact paths, and what a stranger learns of them."""

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.types import Message

from receiver import Forward, Ivr, Receiver, Settings
from receiver.auth import Auth
from receiver.auth.client_address import read_networks
from receiver.auth.probe_token import HEADER, LIFE, UNKNOWN, make_token
from receiver.auth.throttle import FREE_FAILURES
from receiver.callbacks.request import ARRIVED
from receiver.credentials import Secret, derive
from tests.asgi import http_scope
from tests.support import ANSWER, FIELDS, SECRET, SETTINGS, Counted, credentials, make_app


def client(app: Receiver, peer: str = "127.0.0.1") -> httpx.AsyncClient:
    transport = httpx.ASGITransport(app, client=(peer, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://ivr.example")


@pytest.fixture
def handler() -> Counted:
    return Counted()


def one_action(handler: Any, settings: Settings = SETTINGS, **options: Any) -> Receiver:
    ivr = Ivr("888")
    ivr.add("DTMF", "1", handler, name="pick", **options)
    return Receiver(ivr, settings=settings)


@pytest.fixture
async def http(handler: Counted) -> AsyncIterator[httpx.AsyncClient]:
    async with client(make_app(handler)) as made:
        yield made


def shape(answer: httpx.Response) -> tuple[int, tuple[str, ...], str, bytes]:
    """Return all that a client can observe, except nonces."""
    challenge = answer.headers.get("www-authenticate", "").split("nonce=")
    return (
        answer.status_code,
        tuple(sorted(answer.headers)),
        challenge[0] + challenge[-1][45:],
        answer.content,
    )


PATHS = ("/action/888/pick", "/action/888/no", "/action/999/no", "/action/888/no/2")
SENT: tuple[dict[str, str], ...] = (
    {},
    {"Authorization": "Bearer wrong"},
    {"Authorization": "Basic d3Jvbmc6d3Jvbmc="},
    {"Authorization": "Digest rubbish"},
    {"Authorization": 'Digest username="u", realm="callbacks", nonce="n", uri="/other", '
     'response="r", algorithm=MD5, qop=auth, nc=00000001, cnonce="c"'},
    {"Authorization": 'Digest username="u", realm="callbacks", nonce="n", uri="/calls%s", '
     'response="r", algorithm=MD5, qop=auth, nc=00000001, cnonce="c"'},
    {"X-Key": "wrong"},
    {HEADER: "1-" + "0" * 64},
)  # fmt: skip


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"auth": "basic"},
        {"auth": "digest"},
        {"auth": "digest", "algorithms": ("MD5", "SHA-256")},
        {"auth": None, "secret_header": "X-Key"},
        {"secret_header": "X-Key"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "HEAD", "PUT"])
async def test_a_stranger_cannot_tell_which_actions_there_are(
    method: str, options: dict[str, Any], handler: Counted
) -> None:
    settings = Settings(secret=SECRET, public_url="https://ivr.example/calls")
    async with client(one_action(handler, settings, **options)) as http:
        for sent in SENT:
            answers = []
            for path in PATHS:
                headers = {key: value.replace("%s", path) for key, value in sent.items()}
                answers.append(shape(await http.request(method, path, headers=headers)))
            assert answers == answers[:1] * 4
            assert answers[0][0] in (400, 401, 403, 405)
    assert handler.calls == []


async def test_an_unknown_path_always_looks_the_same(http: httpx.AsyncClient) -> None:
    """With actions of several schemes each path looks like one of them, and all occur."""
    schemes = set()
    for number in range(40):
        url = f"/action/888/no-{number}"
        asked = {(await http.post(url)).headers["www-authenticate"].split()[0] for _ in range(3)}
        assert len(asked) == 1
        schemes |= asked
    assert schemes == {"Basic", "Bearer", "Digest"}


async def test_failures_count_there_as_everywhere(handler: Counted) -> None:
    async with client(one_action(handler), "8.8.8.8") as http:
        for path in ("/action/888/pick", "/action/888/no"):
            wrong = {"Authorization": "Bearer wrong"}
            answers = [await http.post(path, headers=wrong) for _ in range(FREE_FAILURES + 1)]
            assert [one.status_code for one in answers] == [401] * FREE_FAILURES + [429]
            assert answers[-1].headers["retry-after"] == "1"


@pytest.mark.parametrize("peer", ["192.0.2.1", "192.0.2.9"])
async def test_where_only_the_source_counts_it_hides_them_too(peer: str, handler: Counted) -> None:
    settings = Settings(secret=SECRET, allowed_sources=read_networks("192.0.2.1"))
    async with client(one_action(handler, settings, auth=None), peer) as http:
        known = await http.post("/action/888/pick", json=FIELDS)
        unknown = [await http.post(f"/action/{path}") for path in ("888/no", "999/no", "x/888/no")]
    if peer == "192.0.2.9":
        assert {shape(answer) for answer in unknown} == {shape(known)}
        assert known.status_code == 403
    else:
        assert {answer.status_code for answer in unknown} == {404}
        assert known.content == ANSWER


async def test_each_pbx_hides_its_own_and_a_stranger_label_looks_like_one(
    handler: Counted,
) -> None:
    north, south = Ivr("888", pbx="north"), Ivr("888", pbx="south")
    north.add("DTMF", "1", handler, name="pick", auth=None)
    south.add("DTMF", "1", handler, name="pick")
    listed = Settings(secret=SECRET, allowed_sources=read_networks("192.0.2.1"))
    settings = {"north": listed, "south": SETTINGS}
    seen = set()
    async with client(Receiver(north, south, settings=settings), "192.0.2.9") as http:
        for label, status in (("north", 403), ("south", 401)):
            for name in ("pick", "no", "other"):
                assert (await http.post(f"/action/{label}/888/{name}")).status_code == status
        for number in range(20):
            url = f"/action/label{number}/888"
            answers = {(await http.post(f"{url}/{name}")).status_code for name in "abc"}
            assert len(answers) == 1
            seen |= answers
    assert seen == {401, 403}


async def test_where_nothing_is_guarded_an_unknown_path_is_not_found(handler: Counted) -> None:
    async with client(one_action(handler, auth=None)) as http:
        assert (await http.post("/action/888/no")).status_code == 404
        assert (await http.post("/action/888/pick", json=FIELDS)).content == ANSWER


async def test_a_probe_learns_that_there_is_no_such_action(
    http: httpx.AsyncClient,
) -> None:
    mark = {HEADER: make_token(SECRET, "888/no", time.time())}
    answer = await http.post("/action/888/no", headers=mark)
    assert (answer.status_code, answer.headers[HEADER]) == (404, UNKNOWN)
    other = {HEADER: make_token(SECRET, "888/pick", time.time())}
    assert (await http.post("/action/888/no", headers=other)).status_code == 401


async def test_a_probe_learns_the_epoch_that_refused_its_credentials(
    handler: Counted,
) -> None:
    settings = Settings(secret=SECRET, epoch=7)
    path, identity = "/action/888/post-bearer", "888/post-bearer"
    wrong = {"authorization": "Bearer wrongwrong"}
    async with client(make_app(handler, settings), "198.51.100.66") as http:
        for secret, moment, expected in (
            (SECRET, time.time(), "epoch 7"),
            (SECRET, time.time() - 2 * LIFE, None),
            (Secret("another secret of the tests"), time.time(), None),
        ):
            mark = {HEADER: make_token(secret, identity, moment)}
            for headers in (mark, mark | wrong):
                answer = await http.post(path, headers=headers)
                assert (answer.status_code, answer.headers.get(HEADER)) == (401, expected)
        assert HEADER not in (await http.post(path, headers=wrong)).headers
    assert handler.calls == []


@pytest.mark.parametrize(
    ("path", "epoch"), [("/action/888/post-bearer", " epoch 1"), ("/action/888/no", "")]
)
async def test_a_probe_learns_the_client_address_that_is_not_allowed(
    path: str, epoch: str, handler: Counted
) -> None:
    settings = Settings(secret=SECRET, allowed_sources=read_networks("203.0.113.7"))
    identity = path.removeprefix("/action/")
    mark = {HEADER: make_token(SECRET, identity, time.time())}
    async with client(make_app(handler, settings), "198.51.100.66") as http:
        explained = await http.post(path, headers=mark)
        assert (explained.status_code, explained.headers[HEADER]) == (
            403,
            "source 198.51.100.66" + epoch,
        )
        silent = await http.post(path)
        assert (silent.status_code, HEADER in silent.headers) == (403, False)
    assert handler.calls == []


async def test_each_pbx_has_separate_sources(handler: Counted) -> None:
    north, south = Ivr("888", pbx="north"), Ivr("888", pbx="south")
    for ivr in (north, south):
        ivr.add("DTMF", "1", handler, name="pick")
    app = Receiver(
        north,
        south,
        settings={
            "north": Settings(secret=SECRET, allowed_sources=read_networks("192.0.2.1")),
            "south": Settings(secret=SECRET, allowed_sources=read_networks("192.0.2.2")),
        },
    )
    async with client(app, "192.0.2.1") as http:
        for label, status in (("north", 200), ("south", 403)):
            token = credentials(f"{label}/888/pick").token.reveal()
            headers = {"Authorization": f"Bearer {token}"}
            answer = await http.post(f"/action/{label}/888/pick", json=FIELDS, headers=headers)
            assert answer.status_code == status


async def test_a_secret_header_is_demanded_on_top(handler: Counted) -> None:
    known = derive(SECRET, "888/pick")
    bearer = {"Authorization": f"Bearer {known.token.reveal()}"}
    key = {"x-key": known.key.reveal()}
    async with client(one_action(handler, secret_header="X-Key")) as http:
        for sent, status in ((bearer, 401), (key, 401), (bearer | key, 200)):
            answer = await http.post("/action/888/pick", json=FIELDS, headers=sent)
            assert answer.status_code == status
    async with client(one_action(handler, auth=None, secret_header="X-Key")) as http:
        for sent, status in ((bearer, 403), (key, 200)):
            answer = await http.post("/action/888/pick", json=FIELDS, headers=sent)
            assert answer.status_code == status
    assert len(handler.calls) == 2


async def test_parts_of_a_mask_are_made_once_and_nothing_else_is_kept(handler: Counted) -> None:
    app = one_action(handler, fallback=Forward("0"))
    made = app._inside.table._made
    async with client(app) as http:
        for number in range(200):
            await http.post(f"/action/888/no-{number}")
            await http.post(f"/action/888/pick/{number}")
    assert set(made) == {"/action/888/pick"} | {f"/action/888/pick/{n}" for n in range(2, 100)}


def sent_by_pbx(auth: str | None, identity: str, *, header: bool) -> dict[str, str]:
    """Return the headers that the PBX sends to an action URL of an earlier ``apply``."""
    known = derive(SECRET, identity)
    plain = f"{known.username}:{known.password.reveal()}".encode()
    sent = {
        "bearer": {"Authorization": f"Bearer {known.token.reveal()}"},
        "basic": {"Authorization": f"Basic {b64encode(plain).decode()}"},
    }
    key = {"X-Key": known.key.reveal()} if header else {}
    return sent.get(auth or "", {}) | key


@pytest.mark.parametrize(
    ("auth", "header"), [("bearer", ""), ("basic", ""), ("bearer", "X-Key"), (None, "X-Key")]
)
async def test_a_caller_of_a_renamed_action_gets_the_fallback(
    auth: Auth | None, header: str, handler: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    """The PBX has the action URL of a name that is not declared any more, until ``apply``."""
    ivr, other = Ivr("888", fallback=lambda call: Forward(call.digits)), Ivr("777")
    for one in (ivr, other):
        one.add("DTMF", "1", handler, name="choose", auth=auth, secret_header=header)
    app = Receiver(ivr, other, settings=SETTINGS, fallback=Forward("9"))
    async with client(app) as http:
        for identity, expected in (("888/pick", "22"), ("777/pick", "9"), ("666/pick", "9")):
            sent = sent_by_pbx(auth, identity, header=bool(header))
            answer = await http.post(f"/action/{identity}", json=FIELDS, headers=sent)
            assert (answer.status_code, answer.json()["destination"]) == (200, expected)
            stranger = await http.post(f"/action/{identity}x", json=FIELDS, headers=sent)
            assert stranger.status_code in (401, 403)
    assert handler.calls == []
    lines = [one.getMessage() for one in caplog.records if one.levelname == "ERROR"]
    assert lines[0] == (
        "888/pick is registered on the PBX but not declared: the caller gets the fallback; if it "
        'was renamed, declare was="pick", otherwise run: receiver apply --allow-deletes'
    )


async def test_the_fallback_of_a_renamed_action_with_digest_and_allowed_sources(
    handler: Counted,
) -> None:
    known = derive(SECRET, "888/old")
    auth = httpx.DigestAuth(known.username, known.password.reveal())
    settings = Settings(secret=SECRET, allowed_sources=read_networks("192.0.2.1"))
    app = one_action(handler, settings, auth="digest", fallback=Forward("9"))
    for peer, status in (("192.0.2.1", 200), ("192.0.2.9", 403)):
        async with client(app, peer) as http:
            answer = await http.post("/action/888/old", json=FIELDS, auth=auth)
        assert answer.status_code == status
    assert handler.calls == []


async def test_a_challenge_for_a_renamed_action_is_valid_in_all_workers_and_once(
    handler: Counted,
) -> None:
    known = derive(SECRET, "888/old")
    auth = httpx.DigestAuth(known.username, known.password.reveal())
    first, second = (one_action(handler, auth="digest", fallback=Forward("9")) for _ in range(2))
    async with client(first) as one, client(second) as other:
        flow = auth.auth_flow(one.build_request("POST", "/action/888/old", json=FIELDS))
        sent = flow.send(await one.send(next(flow)))
        assert [(await other.send(sent)).status_code for _ in range(2)] == [200, 401]


@pytest.mark.parametrize("body", [b"{", b"x" * 70_000])
async def test_the_fallback_of_a_renamed_action_does_not_depend_on_the_body(
    body: bytes, handler: Counted
) -> None:
    sent = sent_by_pbx("bearer", "888/old", header=False)
    async with client(one_action(handler)) as http:
        answer = await http.post("/action/888/old", content=body, headers=sent)
    assert answer.status_code == (200 if len(body) == 1 else 413)


async def test_a_renamed_action_gets_the_fallback_if_the_body_is_late(handler: Counted) -> None:
    token = derive(SECRET, "888/old").token.reveal()
    headers = [(b"host", b"x"), (b"authorization", f"Bearer {token}".encode())]
    headers.append((b"content-length", b"5"))
    arrived = asyncio.get_running_loop().time() - 60
    scope = http_scope(b"/action/888/old", b"", "POST", headers, **{ARRIVED: arrived})
    sent: list[Message] = []

    async def receive() -> Message:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    async def send(message: Message) -> None:
        sent.append(message)

    await one_action(handler)(scope, receive, send)
    assert sent[0]["status"] == 200
    assert (b"connection", b"close") in sent[0]["headers"]
    assert b'"action":"repeat"' in sent[1]["body"]
