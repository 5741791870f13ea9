"""The login of the console in production."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie

import httpx
import pytest
from starlette.types import ASGIApp, Message

from receiver import Settings
from receiver.auth.browser_sessions import LIFETIME, BrowserSessions
from receiver.auth.client_address import Network, read_networks
from receiver.auth.throttle import FREE_FAILURES
from receiver.callbacks.operator_access import (
    OperatorAccess,
    endpoint_authenticator,
    operator_token,
)
from receiver.console.feed import Feed
from receiver.console.live import password_login
from receiver.console.security import TOKEN_NAME
from receiver.console.web import make_console
from receiver.observability.log_throttle import LogThrottle
from receiver.storage.memory import MemoryAuth
from tests.clock import Clock
from tests.support import SECRET

HERE = "127.0.0.1:8001"
OUTSIDE = "ivr.example.com"
HEAD = {"X-Console-Token": "of-this-start"}
PASSWORD = {"Authorization": f"Bearer {operator_token(TOKEN_NAME, SECRET, 1).reveal()}"}
WRONG = {"Authorization": "Bearer wrong"}


class Console:
    """The console behind its login."""

    def __init__(self, trusted_proxies: tuple[Network, ...] = ()) -> None:
        self.clock = Clock(1000.0)
        self.feed = Feed({"mode": "live"})
        self.sessions = BrowserSessions(self.feed.release, self.clock, secrets.token_bytes)
        settings = Settings(secret=SECRET, trusted_proxies=trusted_proxies)
        store = MemoryAuth(life=60)
        self.authenticator = endpoint_authenticator(TOKEN_NAME, settings, store, LogThrottle())
        hosts = {HERE, OUTSIDE}
        self.app = make_console(self.feed, hosts=hosts, token="of-this-start", within=self._gate)

    def _gate(self, inner: ASGIApp) -> ASGIApp:
        login = password_login(self.sessions, {HERE}, "receiver-console-8001", "of-this-start")
        return OperatorAccess(inner, TOKEN_NAME, self.authenticator, login, now=self.clock)

    def browser(self, host: str = HERE, address: str = "198.51.100.9") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, client=(address, 40000))
        return httpx.AsyncClient(transport=transport, base_url=f"http://{host}", headers=HEAD)


@pytest.fixture
def console() -> Console:
    return Console()


@pytest.fixture
async def browser(console: Console) -> AsyncIterator[httpx.AsyncClient]:
    async with console.browser() as browser:
        yield browser


async def test_without_a_session_nothing_is_served(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/")
    assert "Sign in" in page.text
    assert "of-this-start" in page.text
    assert (await browser.get("/page/login.js")).status_code == 200
    for path in ("/state", "/events", "/calls", "/calls/1", "/page", "//page/x", "/login", "/x"):
        assert (await browser.get(path)).status_code == 401, path
    assert (await browser.head("/")).status_code == 401
    assert (await browser.post("/page/login.js")).status_code == 401


async def test_signing_in_and_out(browser: httpx.AsyncClient, console: Console) -> None:
    answer = await browser.post("/login", headers=PASSWORD)
    assert answer.json() == {}
    assert (await browser.get("/state")).json()["mode"] == "live"
    assert 'id="logout"' in (await browser.get("/")).text
    kept = dict(browser.cookies)
    assert (await browser.post("/logout")).json() == {}
    browser.cookies.update(kept)  # a kept cookie is useless
    assert (await browser.get("/state")).status_code == 401


async def test_viewers_are_disconnected_at_the_end_of_a_session(console: Console) -> None:
    cookie = console.sessions.begin()
    viewer = console.feed.watch(0)
    console.sessions.end("another")
    assert not viewer.dropped
    console.sessions.end(cookie)
    assert viewer.dropped
    assert await viewer.next(10) is None
    assert not console.feed.watch(0).dropped  # the others may come again


async def test_a_session_expires(browser: httpx.AsyncClient, console: Console) -> None:
    await browser.post("/login", headers=PASSWORD)
    viewer = console.feed.watch(0)
    console.clock.now += LIFETIME - 1
    console.sessions.sweep()
    assert (await browser.get("/state")).status_code == 200
    assert not viewer.dropped
    console.clock.now += 2
    assert (await browser.get("/state")).status_code == 401
    console.sessions.sweep()
    assert viewer.dropped


def test_the_number_of_sessions_is_bounded() -> None:
    sessions = BrowserSessions(lambda: None, Clock(1000.0), secrets.token_bytes, max_sessions=2)
    first, *others = [sessions.begin() for _ in range(3)]
    assert not sessions.has(first)
    assert all(map(sessions.has, others))


@pytest.mark.parametrize(("host", "secure"), [(HERE, False), (OUTSIDE, True)])
async def test_the_cookie(console: Console, host: str, *, secure: bool) -> None:
    async with console.browser(host) as browser:
        answer = await browser.post("/login", headers=PASSWORD)
    cookie = SimpleCookie(answer.headers["set-cookie"])["receiver-console-8001"]
    assert cookie["httponly"]
    assert cookie["samesite"].lower() == "strict"
    assert bool(cookie["secure"]) is secure
    assert not cookie["path"]  # the folder of the login, wherever a proxy has put that
    assert not cookie["domain"]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        (WRONG, 401),
        ({"Authorization": "Basic b3A6cHc="}, 401),
        ({**PASSWORD, "X-Console-Token": "another"}, 403),
        ({**PASSWORD, "Origin": "https://evil.example"}, 403),
        ({**PASSWORD, "Host": "evil.example"}, 421),
    ],
)
async def test_who_is_not_signed_in(
    browser: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    answer = await browser.post("/login", headers=headers)
    assert answer.status_code == status
    assert "set-cookie" not in answer.headers
    assert answer.json()["error"]


async def test_the_next_epochs_password_is_good(browser: httpx.AsyncClient) -> None:
    following = {"Authorization": f"Bearer {operator_token(TOKEN_NAME, SECRET, 2).reveal()}"}
    assert (await browser.post("/login", headers=following)).status_code == 200


@pytest.mark.parametrize("address", ["8.8.8.8", "127.0.0.1"])
async def test_wrong_passwords_are_throttled_and_the_right_one_is_accepted(
    console: Console, address: str
) -> None:
    async with console.browser(address=address) as browser:
        tries = [await browser.post("/login", headers=WRONG) for _ in range(FREE_FAILURES)]
        assert {one.status_code for one in tries} == {401}
        late = await browser.post("/login", headers=WRONG)
        assert (late.status_code, late.headers["retry-after"]) == (429, "1")
        assert "try again in 1 s" in late.json()["error"]
        assert (await browser.post("/login", headers=PASSWORD)).status_code == 200
    async with console.browser(address="1.1.1.1") as other:
        assert (await other.post("/login", headers=WRONG)).status_code == 401


@pytest.mark.parametrize("forged", ["for=unknown", "for=_hidden", 'for="'])
async def test_a_forged_address_does_not_turn_the_throttle_off(forged: str) -> None:
    console = Console(trusted_proxies=read_networks("10.0.0.1"))
    head = {**WRONG, "Forwarded": forged}
    async with console.browser(address="10.0.0.1") as browser:
        tries = [await browser.post("/login", headers=head) for _ in range(FREE_FAILURES + 1)]
        assert [one.status_code for one in tries] == [401] * FREE_FAILURES + [429]
        good = {**PASSWORD, "Forwarded": forged}
        assert (await browser.post("/login", headers=good)).status_code == 200


async def test_a_stream_ends_with_the_session(console: Console) -> None:
    cookie = console.sessions.begin()
    begun = asyncio.Event()
    sent: list[bytes] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            sent.append(message["body"])
            begun.set()

    header = f"receiver-console-8001={cookie}".encode()
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/events",
        "query_string": b"",
        "headers": [(b"host", HERE.encode()), (b"cookie", header)],
    }
    task = asyncio.ensure_future(console.app(scope, receive, send))
    await begun.wait()
    console.sessions.end(cookie)
    await asyncio.wait_for(task, 60)
    assert (sent[0], sent[-1]) == (b": connected\n\n", b"")  # and it is complete
