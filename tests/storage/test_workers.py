"""Two workers or machines that share a secret and a store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from receiver import Secret, Settings
from receiver.auth.client_address import read_networks
from receiver.auth.throttle import FREE_FAILURES
from receiver.server.uvicorn_server import running
from tests.stores import Server
from tests.support import ANSWER, FIELDS, SECRET, Counted, credentials, make_app

PATH = "/action/888/post-digest"
STRANGER = {"X-Forwarded-For": "8.8.8.66"}
KNOWN = credentials("888/post-digest")


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Secret:
    if request.param == "sqlite":
        return Secret(str(tmp_path / "store.db"))
    server: Server = request.getfixturevalue("server")
    return server.url


@pytest.fixture
def handler() -> Counted:
    return Counted()


@pytest.fixture
async def workers(store: Secret, handler: Counted) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Clients of two workers."""
    proxies = read_networks("127.0.0.1")
    settings = Settings(secret=SECRET, store=store, trusted_proxies=proxies)
    async with AsyncExitStack() as stack:
        urls = [
            await stack.enter_async_context(running(make_app(handler, settings))) for _ in range(2)
        ]
        yield [await stack.enter_async_context(httpx.AsyncClient(base_url=url)) for url in urls]


def answer_to(challenge: httpx.Response) -> dict[str, str]:
    """Return the header with which httpx answers the challenge."""
    flow = httpx.DigestAuth(KNOWN.username, KNOWN.password.reveal()).auth_flow(challenge.request)
    next(flow)
    return {"Authorization": flow.send(challenge).headers["Authorization"]}


async def test_the_two_legs_of_digest_may_reach_two_workers(
    workers: list[httpx.AsyncClient], handler: Counted
) -> None:
    for number in range(6):
        first, second = workers[number % 2], workers[(number + 1) % 2]
        sent = answer_to(await first.post(PATH, json=FIELDS))
        assert (await second.post(PATH, json=FIELDS, headers=sent)).content == ANSWER
    assert len(handler.calls) == 6


async def test_a_captured_request_is_refused_by_every_worker(
    workers: list[httpx.AsyncClient], handler: Counted
) -> None:
    sent = answer_to(await workers[0].post(PATH, json=FIELDS))
    assert (await workers[0].post(PATH, json=FIELDS, headers=sent)).content == ANSWER
    for worker in workers:
        refused = await worker.post(PATH, json=FIELDS, headers=sent)
        assert refused.status_code == 401
        assert refused.headers["www-authenticate"].endswith(", stale=true")
    assert len(handler.calls) == 1


async def test_failures_at_one_worker_count_at_the_other(workers: list[httpx.AsyncClient]) -> None:
    path, wrong = "/action/888/post-bearer", {"Authorization": "Bearer wrong", **STRANGER}
    for number in range(FREE_FAILURES + 1):
        await workers[number % 2].post(path, json=FIELDS, headers=wrong)
    token = credentials("888/post-bearer").token.reveal()
    right = {"Authorization": f"Bearer {token}", **STRANGER}
    for worker in workers:
        assert (await worker.post(path, json=FIELDS, headers=wrong)).status_code == 429
        assert (await worker.post(path, json=FIELDS, headers=right)).content == ANSWER


async def test_an_outage_of_the_store_is_logged_at_the_start(
    handler: Counted, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(secret=SECRET, store=Secret("redis://:a-long-password@127.0.0.1:1/0"))
    async with running(make_app(handler, settings)):
        (line,) = (r.getMessage() for r in caplog.records if "unavailable" in r.getMessage())
    assert line.startswith("the shared store (Redis) is unavailable (")


async def test_an_outage_of_the_store_costs_no_callback(
    store: Secret, handler: Counted, request: pytest.FixtureRequest
) -> None:
    settings = Settings(secret=SECRET, store=store)
    async with running(make_app(handler, settings)) as url, httpx.AsyncClient() as client:
        login = httpx.DigestAuth(KNOWN.username, KNOWN.password.reveal())
        assert (await client.post(url + PATH, json=FIELDS, auth=login)).content == ANSWER
        if store.reveal().startswith("redis"):
            request.getfixturevalue("server").kill()
        else:
            for path in Path(store.reveal()).parent.glob("store.db*"):
                path.unlink()
        for _ in range(3):
            assert (await client.post(url + PATH, json=FIELDS, auth=login)).content == ANSWER
