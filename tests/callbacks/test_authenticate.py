"""Authentication: client addresses, credentials, throttle and replay window; without a socket."""

import httpx
import pytest
from msgspec.structs import replace

from receiver.auth import Bearer, Digest, Scheme
from receiver.auth.client_address import Sources, read_networks
from receiver.auth.digest import NONCE_LIFE
from receiver.auth.throttle import BLOCK_AFTER, FREE_FAILURES
from receiver.callbacks.authenticate import (
    OVERALL_FACTOR,
    Authenticated,
    Authenticator,
    AuthTarget,
    Refusal,
)
from receiver.callbacks.request import Request
from receiver.credentials import Credentials, Secret
from receiver.observability.log_throttle import LogThrottle
from receiver.storage.memory import MemoryAuth

KNOWN = Credentials("user", Secret("password"), Secret("token"), Secret("key"))
PBX, STRANGER = "1.1.1.7", "8.8.8.66"  # addresses of the wide world
RIGHT, WRONG = "Bearer token", "Bearer wrong"
NOW = 1_800_000_000.0
TARGET = AuthTarget("8000/pick", "/action/8000/pick", "8000/pick")


def make(
    allowed: str = "",
    proxies: str = "",
    scheme: Scheme | None = None,
    store: MemoryAuth | None = None,
) -> Authenticator:
    return Authenticator(
        scheme or Bearer([KNOWN]),
        Sources(read_networks(allowed), read_networks(proxies)),
        store or MemoryAuth(life=NONCE_LIFE),
        LogThrottle(),
    )


def asked(authorization: str = "", peer: str = PBX, **headers: str) -> Request:
    sent = {"authorization": authorization, **headers} if authorization else headers
    scope = {
        "method": "POST",
        "path": "/action/8000/pick",
        "raw_path": b"/action/8000/pick",
        "query_string": b"",
        "client": (peer, 1),
        "headers": [(k.replace("_", "-").encode(), v.encode()) for k, v in sent.items()],
    }
    return Request.of_scope(scope)


async def status(
    authenticator: Authenticator, request: Request, now: float = NOW, target: AuthTarget = TARGET
) -> int:
    refusal = await authenticator.authenticate(request, target, now)
    return refusal.status if isinstance(refusal, Refusal) else 200


async def fail(
    authenticator: Authenticator,
    times: int,
    peer: str = STRANGER,
    *,
    at: str = "8000/pick",
    **headers: str,
) -> list[tuple[int, bytes]]:
    """Status and `Retry-After` of several wrong credentials."""
    target = TARGET._replace(identity=at)
    found = []
    for _ in range(times):
        refusal = await authenticator.authenticate(asked(WRONG, peer, **headers), target, NOW)
        assert isinstance(refusal, Refusal)
        found.append((refusal.status, dict(refusal.headers).get(b"retry-after", b"")))
    return found


async def test_the_right_credentials_and_nothing_else() -> None:
    authenticator = make()
    assert isinstance(await authenticator.authenticate(asked(RIGHT), TARGET, NOW), Authenticated)
    assert await status(authenticator, asked(WRONG)) == 401
    assert await status(authenticator, asked()) == 401


async def test_right_credentials_from_elsewhere_are_not_looked_at() -> None:
    authenticator = make(allowed=PBX)
    assert await status(authenticator, asked(RIGHT)) == 200
    assert await status(authenticator, asked(RIGHT, "::ffff:" + PBX)) == 200
    refusal = await authenticator.authenticate(asked(RIGHT, STRANGER), TARGET, NOW)
    assert isinstance(refusal, Refusal)
    assert (refusal.status, refusal.headers, refusal.foreign) == (403, (), True)
    assert await status(authenticator, asked(RIGHT, STRANGER, x_forwarded_for=PBX)) == 403
    assert await status(authenticator, replace(asked(RIGHT), client=None)) == 403


async def test_the_client_address_comes_from_a_trusted_proxy() -> None:
    authenticator = make(allowed=PBX, proxies="10.0.0.1")
    assert await status(authenticator, asked(RIGHT, "10.0.0.1", x_forwarded_for=PBX)) == 200
    assert await status(authenticator, asked(RIGHT, "10.0.0.1", x_forwarded_for=STRANGER)) == 403
    forged = asked(RIGHT, "10.0.0.1", x_forwarded_for=STRANGER, forwarded=f"for={PBX}")
    assert await status(authenticator, forged) == 403


FREE_OF_CHARGE, SLOWLY, LATER = (401, b""), (429, b"1"), (429, b"60")
THROTTLED = [
    *[FREE_OF_CHARGE] * FREE_FAILURES,
    *[SLOWLY] * (BLOCK_AFTER - FREE_FAILURES - 1),
    *[LATER] * BLOCK_AFTER,
]
"""The answers to `2 * SHUT_AFTER - 1` wrong credentials."""


async def test_wrong_credentials_are_throttled_and_valid_ones_accepted_at_any_time() -> None:
    authenticator = make()
    for expected in THROTTLED:
        assert await fail(authenticator, 1) == [expected]
        assert await status(authenticator, asked(RIGHT, STRANGER)) == 200


@pytest.mark.parametrize(
    ("peer", "sent"),
    [
        (STRANGER, {}),
        (STRANGER, {"x_forwarded_for": "10.0.0.1"}),
        (STRANGER, {"forwarded": "for=unknown"}),
        ("10.0.0.1", {}),
        ("127.0.0.1", {"x_forwarded_for": STRANGER}),
        ("", {}),  # a server on a Unix socket names no address
        *[("8.8.8.1", {"x_forwarded_for": text}) for text in ("", "unknown", "?", "1.2.3")],
        *[
            ("8.8.8.1", {"forwarded": text})
            for text in ("for=unknown", "for=_hidden", 'for="_x:1"', "proto=https", 'for="', "=")
        ],
        ("8.8.8.1", {"x_forwarded_for": PBX, "forwarded": f"for={STRANGER}"}),
        ("8.8.8.1", {}),
    ],
)
async def test_no_header_turns_the_throttle_off_and_no_address_is_locked_out(
    peer: str, sent: dict[str, str]
) -> None:
    authenticator = make(proxies="8.8.8.1")
    assert await fail(authenticator, len(THROTTLED), peer, **sent) == THROTTLED
    assert await status(authenticator, asked(RIGHT, peer, **sent)) == 200


async def test_unknown_addresses_behind_one_proxy_are_counted_together_at_the_proxy() -> None:
    authenticator = make(proxies="8.8.8.1 8.8.8.2")
    await fail(authenticator, FREE_FAILURES, "8.8.8.1", forwarded="for=unknown")
    assert await fail(authenticator, 1, "8.8.8.1", forwarded="for=_hidden") == [SLOWLY]
    assert await fail(authenticator, 1, "8.8.8.2", forwarded="for=unknown") == [FREE_OF_CHARGE]
    assert await fail(authenticator, 1, "8.8.8.1", forwarded=f"for={PBX}") == [FREE_OF_CHARGE]


@pytest.mark.parametrize("text", ["for=unknown", "for=_hidden", 'for="', "proto=https"])
async def test_an_unknown_address_is_not_an_allowed_one(text: str) -> None:
    authenticator = make(allowed=f"{PBX} 8.8.8.1", proxies="8.8.8.1")
    assert await status(authenticator, asked(RIGHT, "8.8.8.1", forwarded=text)) == 403
    assert await status(authenticator, asked(RIGHT, "8.8.8.1", forwarded=f"for={PBX}")) == 200


async def test_other_addresses_and_actions_are_not_throttled_with_it() -> None:
    authenticator = make()
    await fail(authenticator, BLOCK_AFTER)
    assert await fail(authenticator, 1, PBX) == [FREE_OF_CHARGE]
    assert await fail(authenticator, 1, at="8000/other") == [FREE_OF_CHARGE]


async def test_one_owner_of_many_ipv6_addresses_is_one_source() -> None:
    authenticator = make()
    for number in range(FREE_FAILURES):
        await fail(authenticator, 1, f"2a00:1450::{number:x}")
    assert await fail(authenticator, 1, "2a00:1450::ffff") == [SLOWLY]
    assert await fail(authenticator, 1, "2a00:1450:0:1::1") == [FREE_OF_CHARGE]


async def test_wrong_credentials_at_many_actions_are_throttled_at_all() -> None:
    authenticator = make()
    found = []
    for number in range(BLOCK_AFTER * OVERALL_FACTOR):
        found += await fail(authenticator, 1, at=f"8000/no-{number}")
    slowly = (BLOCK_AFTER - FREE_FAILURES) * OVERALL_FACTOR - 1
    assert found == [
        *[FREE_OF_CHARGE] * (FREE_FAILURES * OVERALL_FACTOR),
        *[SLOWLY] * slowly,
        LATER,
    ]
    assert await fail(authenticator, 1, PBX) == [FREE_OF_CHARGE]
    assert await status(authenticator, asked(RIGHT, STRANGER)) == 200


async def test_only_wrong_credentials_are_failures() -> None:
    authenticator = make()
    for sent in ("", "Basic dXNlcjpwYXNz", "Digest x=y"):
        for _ in range(FREE_FAILURES * 2):
            await authenticator.authenticate(asked(sent, STRANGER), TARGET, NOW)
    assert await fail(authenticator, 1) == [FREE_OF_CHARGE]


@pytest.fixture
def digest() -> Digest:
    return Digest([KNOWN], nonce_key=b"k", entropy=bytes)


def answer(refusal: Authenticated | Refusal, password: str = "password", count: int = 1) -> str:
    """Return the header that httpx sends after a challenge."""
    assert isinstance(refusal, Refusal)
    challenge = dict(refusal.headers)[b"www-authenticate"].decode()
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
    shared = MemoryAuth(life=NONCE_LIFE)
    here, there = make(scheme=digest, store=shared), make(scheme=digest, store=shared)
    sent = asked(answer(await here.authenticate(asked(), TARGET, NOW)))
    assert isinstance(await here.authenticate(sent, TARGET, NOW), Authenticated)
    for worker in (here, there):
        refusal = await worker.authenticate(sent, TARGET, NOW + 1)
        assert isinstance(refusal, Refusal)
        assert refusal.status == 401
        assert dict(refusal.headers)[b"www-authenticate"].endswith(b", stale=true")


@pytest.mark.parametrize(("counts", "spent"), [((1,), [0.25]), ((1, 2, 3), [0.25, 0.0, 0.0])])
async def test_the_time_since_the_challenge_is_reported_once(
    digest: Digest, counts: tuple[int, ...], spent: list[float]
) -> None:
    """A nonce that is used again was made for an earlier callback."""
    authenticator = make(scheme=digest)
    challenged = await authenticator.authenticate(asked(), TARGET, NOW)
    spent_times = []
    for count in counts:
        sent = asked(answer(challenged, count=count))
        authenticated = await authenticator.authenticate(
            sent, TARGET, NOW + 0.25 + (count - 1) * 10
        )
        assert isinstance(authenticated, Authenticated)
        spent_times.append(authenticated.spent)
    assert spent_times == [pytest.approx(0.25, abs=0.01), *spent[1:]]


async def test_stale_requests_are_no_failures(digest: Digest) -> None:
    authenticator = make(scheme=digest)
    sent = asked(answer(await authenticator.authenticate(asked(), TARGET, NOW)))
    for _ in range(FREE_FAILURES * 2):
        await authenticator.authenticate(sent, TARGET, NOW + 1)
    fresh = asked(answer(await authenticator.authenticate(asked(), TARGET, NOW + 2)))
    assert isinstance(await authenticator.authenticate(fresh, TARGET, NOW + 2), Authenticated)
    wrong = asked(answer(await authenticator.authenticate(asked(), TARGET, NOW), "wrong"))
    assert [await status(authenticator, wrong) for _ in range(FREE_FAILURES + 1)] == [
        401
    ] * FREE_FAILURES + [429]
    assert await status(authenticator, fresh) == 401  # stale: it was used, and is not throttled


async def test_the_log_names_the_source_and_nothing_that_was_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    authenticator = make(allowed=PBX)
    for _ in range(100):
        await authenticator.authenticate(asked("Bearer s3cr3t", STRANGER), TARGET, NOW)
        await authenticator.authenticate(asked("Bearer s3cr3t", PBX), TARGET, NOW)
    await authenticator.authenticate(asked("Bearer s3cr3t", STRANGER), TARGET, NOW + 60)
    assert [record.getMessage() for record in caplog.records] == [
        "8000/pick refused: it is not in RECEIVER_ALLOWED_SOURCES, from 8.8.8.66",
        "8000/pick refused: wrong token, from 1.1.1.7",
        "8000/pick refused: too many wrong credentials, from 1.1.1.7",
        "8000/pick refused: it is not in RECEIVER_ALLOWED_SOURCES, from 8.8.8.66, and 99 "
        "times since it was last logged",
    ]
