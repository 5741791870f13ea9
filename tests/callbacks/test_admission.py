"""Who may ask: sources, failures, credentials, what was used up; on scopes, without a socket."""

from typing import Any

import httpx
import pytest

from receiver.auth import Bearer, Digest, Scheme
from receiver.auth.digest import NONCE_LIFE
from receiver.auth.sources import Sources, read_networks
from receiver.auth.throttle import FREE, SHUT, SHUT_AFTER, SLOW
from receiver.callbacks.admission import EVERYWHERE, Admission, Admitted, Place, Turned
from receiver.secrets import Credentials, Secret
from receiver.stores import Memory
from receiver.telemetry.seldom import Seldom

KNOWN = Credentials("user", Secret("password"), Secret("token"), Secret("key"))
PBX, STRANGER = "1.1.1.7", "8.8.8.66"  # addresses of the wide world
RIGHT, WRONG = "Bearer token", "Bearer wrong"
NOW = 1_800_000_000.0
PLACE = Place("8000/pick", "/action/8000/pick", "8000/pick")
OTHER = PLACE._replace(identity="8000/other")


def make(
    allowed: str = "", proxies: str = "", scheme: Scheme | None = None, store: Memory | None = None
) -> Admission:
    return Admission(
        scheme or Bearer([KNOWN]),
        Sources(read_networks(allowed), read_networks(proxies)),
        store or Memory(life=NONCE_LIFE),
        Seldom(),
    )


def scope(authorization: str = "", peer: str = PBX, **headers: str) -> dict[str, Any]:
    sent = {"authorization": authorization, **headers} if authorization else headers
    return {
        "method": "POST",
        "path": "/action/8000/pick",
        "raw_path": b"/action/8000/pick",
        "query_string": b"",
        "client": (peer, 1),
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in sent.items()],
    }


async def status(
    admission: Admission, asked: dict[str, Any], now: float = NOW, place: Place = PLACE
) -> int:
    turned = await admission.judge(asked, place, now)
    return turned.status if isinstance(turned, Turned) else 200


async def fail(admission: Admission, times: int, now: float, peer: str = STRANGER) -> float:
    """Fail so often, slowly enough for each failure to be examined; when the last one was."""
    for _ in range(times):
        now += SLOW
        await admission.judge(scope(WRONG, peer), PLACE, now)
    return now


async def test_the_right_credentials_and_nothing_else() -> None:
    admission = make()
    assert isinstance(await admission.judge(scope(RIGHT), PLACE, NOW), Admitted)
    assert await status(admission, scope(WRONG)) == 401
    assert await status(admission, scope()) == 401


async def test_right_credentials_from_elsewhere_are_not_looked_at() -> None:
    admission = make(allowed=PBX)
    assert await status(admission, scope(RIGHT)) == 200
    assert await status(admission, scope(RIGHT, "::ffff:" + PBX)) == 200
    turned = await admission.judge(scope(RIGHT, STRANGER), PLACE, NOW)
    assert isinstance(turned, Turned)
    assert (turned.status, turned.headers, turned.foreign) == (403, (), True)
    assert await status(admission, scope(RIGHT, STRANGER, x_forwarded_for=PBX)) == 403
    assert await status(admission, {**scope(RIGHT), "client": None}) == 403


async def test_a_trusted_proxy_tells_where_it_came_from() -> None:
    admission = make(allowed=PBX, proxies="10.0.0.1")
    assert await status(admission, scope(RIGHT, "10.0.0.1", x_forwarded_for=PBX)) == 200
    assert await status(admission, scope(RIGHT, "10.0.0.1", x_forwarded_for=STRANGER)) == 403
    forged = scope(RIGHT, "10.0.0.1", x_forwarded_for=STRANGER, forwarded=f"for={PBX}")
    assert await status(admission, forged) == 403


async def test_too_many_failures_slow_a_source_down_and_then_shut_it_out() -> None:
    admission = make()
    last = await fail(admission, FREE, NOW)
    assert await status(admission, scope(RIGHT, STRANGER), last) == 200
    last = await fail(admission, 1, last)
    turned = await admission.judge(scope(RIGHT, STRANGER), PLACE, last)
    assert isinstance(turned, Turned)
    assert (turned.status, turned.headers) == (429, ((b"retry-after", b"1"),))
    assert await status(admission, scope(RIGHT, STRANGER), last + SLOW) == 200
    last = await fail(admission, SHUT_AFTER - FREE - 1, last)
    for wait in (SLOW, SHUT - 0.1):
        assert await status(admission, scope(RIGHT, STRANGER), last + wait) == 429
    assert await status(admission, scope(RIGHT, STRANGER), last + SHUT) == 200


async def test_nobody_else_is_shut_out_with_it() -> None:
    store = Memory(life=NONCE_LIFE)
    admission = make(store=store)
    another = Admission(Bearer([KNOWN]), Sources(), store, Seldom())
    last = await fail(admission, SHUT_AFTER * 2, NOW)
    assert await status(admission, scope(RIGHT, PBX), last) == 200
    assert await status(another, scope(RIGHT, STRANGER), last, OTHER) == 200


async def test_one_owner_of_many_ipv6_addresses_is_one_source() -> None:
    admission = make()
    for number in range(FREE + 1):
        await admission.judge(scope(WRONG, f"2a00:1450::{number:x}"), PLACE, NOW)
    assert await status(admission, scope(RIGHT, "2a00:1450::ffff"), NOW) == 429
    assert await status(admission, scope(RIGHT, "2a00:1450:0:1::1"), NOW) == 200


async def test_the_pbx_on_the_list_is_always_let_in() -> None:
    """Its own failures only keep it waiting while its credentials are wrong."""
    admission = make(allowed=PBX)
    last = await fail(admission, SHUT_AFTER * 2, NOW, peer=PBX)
    assert await status(admission, scope(WRONG), last) == 429
    assert await status(admission, scope(RIGHT), last) == 200


@pytest.mark.parametrize(
    ("peer", "sent"),
    [
        ("10.0.0.1", {"x_forwarded_for": STRANGER}),
        ("10.0.0.1", {}),
        ("127.0.0.1", {}),
        ("8.8.8.1", {}),  # a trusted proxy that tells nothing
        ("8.8.8.1", {"x_forwarded_for": "unreadable"}),
    ],
)
async def test_strangers_who_share_an_address_with_the_pbx_do_not_shut_it_out(
    peer: str, sent: dict[str, str]
) -> None:
    admission = make(proxies="8.8.8.1")
    for _ in range(SHUT_AFTER * 2):
        await admission.judge(scope(WRONG, peer, **sent), PLACE, NOW)
    assert await status(admission, scope(WRONG, peer, **sent)) == 429
    assert await status(admission, scope(RIGHT, peer, **sent)) == 200


async def test_a_header_does_not_buy_a_stranger_another_try() -> None:
    admission = make()
    last = await fail(admission, SHUT_AFTER, NOW)
    sent = scope(RIGHT, STRANGER, x_forwarded_for="10.0.0.1")
    assert await status(admission, sent, last) == 429


async def test_who_fails_everywhere_is_shut_out_everywhere() -> None:
    admission = make()
    now = NOW
    for number in range(SHUT_AFTER * EVERYWHERE):
        now += SLOW
        place = PLACE._replace(identity=f"8000/no-{number}")
        assert await status(admission, scope(WRONG, STRANGER), now, place) == 401
    assert await status(admission, scope(RIGHT, STRANGER), now, PLACE) == 429
    assert await status(admission, scope(RIGHT, PBX), now, PLACE) == 200
    assert await status(admission, scope(RIGHT, STRANGER), now + SHUT, PLACE) == 200


async def test_only_wrong_credentials_are_failures() -> None:
    admission = make()
    for sent in ("", "Basic dXNlcjpwYXNz", "Digest x=y"):
        for _ in range(FREE * 2):
            await admission.judge(scope(sent, STRANGER), PLACE, NOW)
    assert await status(admission, scope(RIGHT, STRANGER)) == 200


@pytest.fixture
def digest() -> Digest:
    return Digest([KNOWN], nonce_key=b"k", entropy=bytes)


def answer(turned: Admitted | Turned, password: str = "password", count: int = 1) -> str:
    """What httpx sends after a challenge."""
    assert isinstance(turned, Turned)
    challenge = dict(turned.headers)[b"www-authenticate"].decode()
    request = httpx.Request("POST", "https://ivr.example/action/8000/pick")
    login = httpx.DigestAuth("user", password)
    flow = login.auth_flow(request)
    next(flow)
    headers = {"WWW-Authenticate": challenge}
    sent = flow.send(httpx.Response(401, headers=headers, request=request))
    for _ in range(count - 1):
        sent = next(login.auth_flow(httpx.Request("POST", request.url)))
    return str(sent.headers["Authorization"])


async def test_a_captured_request_is_refused_here_and_by_another_worker(digest: Digest) -> None:
    shared = Memory(life=NONCE_LIFE)
    here, there = make(scheme=digest, store=shared), make(scheme=digest, store=shared)
    sent = scope(answer(await here.judge(scope(), PLACE, NOW)))
    assert isinstance(await here.judge(sent, PLACE, NOW), Admitted)
    for worker in (here, there):
        turned = await worker.judge(sent, PLACE, NOW + 1)
        assert isinstance(turned, Turned)
        assert turned.status == 401
        assert dict(turned.headers)[b"www-authenticate"].endswith(b", stale=true")


@pytest.mark.parametrize(("counts", "spent"), [((1,), [0.25]), ((1, 2, 3), [0.25, 0.0, 0.0])])
async def test_the_time_since_the_challenge_is_told_once(
    digest: Digest, counts: tuple[int, ...], spent: list[float]
) -> None:
    """A nonce that is used again was made for an earlier callback."""
    admission = make(scheme=digest)
    challenged = await admission.judge(scope(), PLACE, NOW)
    told = []
    for count in counts:
        sent = scope(answer(challenged, count=count))
        admitted = await admission.judge(sent, PLACE, NOW + 0.25 + (count - 1) * 10)
        assert isinstance(admitted, Admitted)
        told.append(admitted.spent)
    assert told == [pytest.approx(0.25, abs=0.01), *spent[1:]]


async def test_stale_requests_are_no_failures(digest: Digest) -> None:
    admission = make(scheme=digest)
    sent = scope(answer(await admission.judge(scope(), PLACE, NOW)))
    for _ in range(FREE * 2):
        await admission.judge(sent, PLACE, NOW + 1)
    fresh = scope(answer(await admission.judge(scope(), PLACE, NOW + 2)))
    assert isinstance(await admission.judge(fresh, PLACE, NOW + 2), Admitted)
    wrong = scope(answer(await admission.judge(scope(), PLACE, NOW), "wrong"))
    for _ in range(FREE + 1):
        await admission.judge(wrong, PLACE, NOW)
    assert await status(admission, fresh, NOW) == 429


async def test_the_log_names_the_source_and_nothing_that_was_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    admission = make(allowed=PBX)
    for _ in range(100):
        await admission.judge(scope("Bearer s3cr3t", STRANGER), PLACE, NOW)
        await admission.judge(scope("Bearer s3cr3t", PBX), PLACE, NOW)
    await admission.judge(scope("Bearer s3cr3t", STRANGER), PLACE, NOW + 60)
    assert [record.getMessage() for record in caplog.records] == [
        "8000/pick refused: it is not in RECEIVER_ALLOWED_SOURCES, from 8.8.8.66",
        "8000/pick refused: wrong token, from 1.1.1.7",
        "8000/pick refused: too many wrong credentials, from 1.1.1.7",
        "8000/pick refused: it is not in RECEIVER_ALLOWED_SOURCES, from 8.8.8.66, and 99 "
        "times since that was said last",
    ]
