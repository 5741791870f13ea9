"""The login to the page of receiver dev by the token in its URL."""

from __future__ import annotations

import os
import stat
from collections.abc import AsyncIterator, Iterator
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest

from receiver.auth.throttle import FREE_FAILURES
from receiver.cli import main
from receiver.console.feed import Feed
from receiver.console.security import HEADERS, loopback
from receiver.console.web import make_console
from receiver.credentials import Secret
from receiver.dev.develop import with_url_token
from tests.command_line import CliRunner
from tests.console.test_web import POSTS, RecordedControls
from tests.dev.dev_process import APP, Dev

TOKEN = "the-token-in-the-url"
COOKIE = "receiver-dev-8080"
HEAD = {"X-Console-Token": "of-this-start"}
READ = ("/state", "/events", "/calls", "/calls/c1", "/audio/f1", "/page", "//page/x", "/x")


@pytest.fixture
def noted() -> RecordedControls:
    return RecordedControls()


@pytest.fixture
async def browser(noted: RecordedControls) -> AsyncIterator[httpx.AsyncClient]:
    app = make_console(
        Feed({"mode": "dev"}),
        hosts=loopback(8080),
        token="of-this-start",
        controls=noted,
        within=lambda console: with_url_token(console, Secret(TOKEN), loopback(8080)),
    )
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://127.0.0.1:8080", headers=HEAD
    ) as browser:
        yield browser


async def assert_no_access(browser: httpx.AsyncClient, noted: RecordedControls) -> None:
    page = await browser.get("/")
    assert (page.status_code, "<code>receiver dev</code> printed" in page.text) == (401, True)
    assert "of-this-start" not in page.text
    for path in READ:
        assert (await browser.get(path)).status_code == 401, path
    assert (await browser.head("/")).status_code == 401
    for path, (body, _) in POSTS.items():
        assert (await browser.post(path, json=body)).status_code == 401, path
    assert (await browser.post("/page/main.js")).status_code == 401
    assert noted.requested == []


async def test_without_the_token_nothing_is_served(
    browser: httpx.AsyncClient, noted: RecordedControls
) -> None:
    await assert_no_access(browser, noted)
    assert (
        await browser.get("/page/login.css")
    ).status_code == 200  # of the page without a session


@pytest.mark.parametrize(
    "shown", ["", "wrong", TOKEN[:-1], TOKEN + "x", TOKEN.upper(), "%ff", "%ed%a0%80", "é"]
)
async def test_wrong_tokens(
    browser: httpx.AsyncClient, noted: RecordedControls, shown: str
) -> None:
    assert (await browser.get(f"/?token={shown}")).status_code == 401
    await assert_no_access(browser, noted)


async def test_wrong_tokens_are_throttled_and_the_right_one_is_accepted(
    browser: httpx.AsyncClient, noted: RecordedControls
) -> None:
    tries = [await browser.get("/?token=wrong") for _ in range(FREE_FAILURES + 1)]
    assert [answer.status_code for answer in tries] == [401] * FREE_FAILURES + [429]
    assert tries[-1].headers["retry-after"] == "1"
    assert "<code>receiver dev</code> printed" in tries[-1].text
    await assert_no_access(browser, noted)
    assert (await browser.get("/", params={"token": TOKEN})).cookies


async def test_a_token_in_a_header_begins_no_session(browser: httpx.AsyncClient) -> None:
    """Only the URL that was printed has it, and a wrong one there counts."""
    head = {"Authorization": f"Bearer {TOKEN}"}
    assert (await browser.post("/login", headers=head)).status_code == 401
    assert (await browser.get("/", headers=head)).status_code == 401
    assert (await browser.get("/?token=wrong", headers=head)).status_code == 401
    assert not browser.cookies


@pytest.mark.parametrize("path", ["/state", "/page/main.js", "/x"])
async def test_the_token_is_accepted_only_at_the_first_page(
    browser: httpx.AsyncClient, path: str
) -> None:
    await browser.get(path, params={"token": TOKEN})
    assert not browser.cookies
    assert (await browser.post("/", params={"token": TOKEN})).status_code == 401
    assert (await browser.head("/", params={"token": TOKEN})).status_code == 401


async def test_the_token_is_exchanged_for_a_session(
    browser: httpx.AsyncClient, noted: RecordedControls
) -> None:
    start = await browser.get("/", params={"token": TOKEN})
    assert 'content="0; url=./"' in start.text  # the URL without the token
    assert TOKEN not in start.text
    for name, value in HEADERS:
        assert start.headers.get_list(name.decode()) == [value.decode()]
    assert start.headers["referrer-policy"] == "no-referrer"
    assert "of-this-start" in (await browser.get("/")).text
    assert (await browser.get("/state")).json()["mode"] == "dev"
    for path, (body, asked) in POSTS.items():
        assert (await browser.post(path, json=body)).status_code == 200
        assert noted.requested.pop() == asked


async def test_the_cookie(browser: httpx.AsyncClient, noted: RecordedControls) -> None:
    answer = await browser.get("/", params={"token": TOKEN})
    cookie = SimpleCookie(answer.headers["set-cookie"])[COOKIE]
    assert (cookie["httponly"], cookie["samesite"].lower()) == (True, "strict")
    assert TOKEN not in answer.headers["set-cookie"]
    assert not cookie["domain"]
    browser.cookies.clear()
    for wrong in (TOKEN, "", cookie.value[:-1]):
        browser.cookies.set(COOKIE, wrong, domain="127.0.0.1")
        await assert_no_access(browser, noted)


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    (tmp_path / "app.py").write_text(APP)
    dev = Dev(tmp_path)
    yield dev
    dev.stop()


def test_only_the_terminal_has_the_token(dev: Dev, tmp_path: Path) -> None:
    dev.until_service("running")
    token = dev.opened.partition("?token=")[2]
    assert len(token) >= 32
    with httpx.Client(base_url=dev.url) as stranger:
        for path in ("state", "events", "calls", "calls/c1"):
            assert stranger.get(path).status_code == 401
        assert stranger.get("?token=wrong").status_code == 401
        dev.dial()
        stranger.get(f"x/%0d/{token}", params={"token": token})
    assert dev.stop() == 0
    assert sum(token in line for line in dev.lines) == 1
    for file in tmp_path.rglob("*"):
        assert not file.is_file() or token.encode() not in file.read_bytes(), file


def test_a_browser_gets_the_url_by_a_private_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other users of the machine can read a command line."""
    opened: list[tuple[str, str, int, int]] = []

    def note(url: str) -> bool:
        page = Path(url.removeprefix("file://"))
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (page, page.parent)]
        opened.append((url, page.read_text(), modes[0], modes[1]))
        return True

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr("webbrowser.open", note)
    monkeypatch.setattr("threading.Thread.start", lambda thread: thread.run())
    monkeypatch.setattr("asyncio.run", lambda coroutine: coroutine)
    monkeypatch.setattr(
        "receiver.dev.develop.develop",
        lambda target, *, port, real, terminal: terminal.console("http://x/?token=a&b", "http://y"),
    )
    done = CliRunner().invoke(main, ["dev", "app:app"], catch_exceptions=False)
    assert done.output.startswith("The console: http://x/?token=a&b\n")
    ((url, text, mode, folder),) = opened
    assert "token" not in url
    assert 'content="0; url=http://x/?token=a&amp;b"' in text
    assert (mode, folder) == (0o600, 0o700)
    assert not os.path.exists(url.removeprefix("file://"))
