"""The login of the console in production."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie

import httpx
import pytest
from starlette.types import ASGIApp, Message

from receiver import Settings
from receiver.auth.throttle import FREE, SHUT_AFTER
from receiver.console import login
from receiver.console.feed import Feed
from receiver.console.login import DOOR, Gate, Sessions
from receiver.console.web import PAGE, make_console
from receiver.operators.tokens import admission, token
from receiver.stores import Memory
from receiver.telemetry.seldom import Seldom
from tests.support import SECRET

HERE = "127.0.0.1:8001"
OUTSIDE = "ivr.example.com"
HEAD = {"X-Console-Token": "of-this-start"}
PASSWORD = {"Authorization": f"Bearer {token(DOOR, SECRET, 1).reveal()}"}
WRONG = {"Authorization": "Bearer wrong"}


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Console:
    """The console behind its login."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.feed = Feed({"mode": "live"})
        self.sessions = Sessions(self.feed.release, self.clock)
        settings = Settings(secret=SECRET)
        self.admission = admission(DOOR, settings, Memory(life=60), Seldom())
        hosts = {HERE, OUTSIDE}
        self.app = make_console(self.feed, hosts=hosts, token="of-this-start", within=self._gate)

    def _gate(self, inner: ASGIApp) -> ASGIApp:
        return Gate(
            inner,
            self.sessions,
            self.admission,
            plain={HERE},
            cookie="receiver-console-8001",
            token="of-this-start",
            page=PAGE,
            now=self.clock,
        )

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


async def test_nothing_is_told_to_whoever_is_not_signed_in(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/")
    assert "Sign in" in page.text
    assert "of-this-start" in page.text
    assert (await browser.get("/page/login.js")).status_code == 200
    for path in ("/state", "/events", "/calls", "/calls/1", "/page", "//page/x", "/login", "/x"):
        assert (await browser.get(path)).status_code == 401, path
    assert (await browser.head("/")).status_code == 401
    assert (await browser.post("/page/login.js")).status_code == 405


async def test_signing_in_and_out(browser: httpx.AsyncClient, console: Console) -> None:
    answer = await browser.post("/login", headers=PASSWORD)
    assert answer.json() == {}
    assert (await browser.get("/state")).json()["mode"] == "live"
    assert 'id="logout"' in (await browser.get("/")).text
    kept = dict(browser.cookies)
    assert (await browser.post("/logout")).json() == {}
    browser.cookies.update(kept)  # whoever has kept the word has nothing
    assert (await browser.get("/state")).status_code == 401


async def test_whoever_looks_on_is_let_go_at_the_end(console: Console) -> None:
    word = console.sessions.begin()
    viewer = console.feed.watch(0)
    console.sessions.end("another")
    assert not viewer.dropped
    console.sessions.end(word)
    assert viewer.dropped
    assert await viewer.next(10) is None
    assert not console.feed.watch(0).dropped  # the others may come again


async def test_a_session_ends_by_itself(browser: httpx.AsyncClient, console: Console) -> None:
    await browser.post("/login", headers=PASSWORD)
    viewer = console.feed.watch(0)
    console.clock.now += login.LASTS - 1
    console.sessions.sweep()
    assert (await browser.get("/state")).status_code == 200
    assert not viewer.dropped
    console.clock.now += 2
    assert (await browser.get("/state")).status_code == 401
    console.sessions.sweep()
    assert viewer.dropped


def test_sessions_are_few(monkeypatch: pytest.MonkeyPatch, console: Console) -> None:
    monkeypatch.setattr(login, "MOST", 2)
    first, *others = [console.sessions.begin() for _ in range(3)]
    assert not console.sessions.has(first)
    assert all(map(console.sessions.has, others))


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
    following = {"Authorization": f"Bearer {token(DOOR, SECRET, 2).reveal()}"}
    assert (await browser.post("/login", headers=following)).status_code == 200


async def test_whoever_guesses_has_to_wait(console: Console) -> None:
    async with console.browser(address="8.8.8.8") as stranger:
        tries = [await stranger.post("/login", headers=WRONG) for _ in range(FREE + 1)]
        assert {one.status_code for one in tries} == {401}
        late = await stranger.post("/login", headers=WRONG)
        assert (late.status_code, late.headers["retry-after"]) == (429, "1")
        assert "try again in 1 s" in late.json()["error"]
        assert (await stranger.post("/login", headers=PASSWORD)).status_code == 429
    async with console.browser(address="1.1.1.1") as other:
        assert (await other.post("/login", headers=PASSWORD)).status_code == 200


async def test_from_an_address_that_others_share_the_right_one_is_let_in(console: Console) -> None:
    async with console.browser(address="127.0.0.1") as browser:
        for _ in range(SHUT_AFTER):
            last = await browser.post("/login", headers=WRONG)
        assert last.status_code == 429
        assert (await browser.post("/login", headers=PASSWORD)).status_code == 200


async def test_a_stream_ends_with_the_session(console: Console) -> None:
    word = console.sessions.begin()
    begun = asyncio.Event()
    sent: list[bytes] = []

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            sent.append(message["body"])
            begun.set()

    cookie = f"receiver-console-8001={word}".encode()
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/events",
        "query_string": b"",
        "headers": [(b"host", HERE.encode()), (b"cookie", cookie)],
    }
    task = asyncio.ensure_future(console.app(scope, receive, send))
    await begun.wait()
    console.sessions.end(word)
    await asyncio.wait_for(task, 30)
    assert (sent[0], sent[-1]) == (b": welcome\n\n", b"")  # and it is complete
