"""The console over HTTP: what it gives, and whom it turns away."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from receiver.console.feed import Feed
from receiver.console.security import HEADERS, loopback
from receiver.console.web import (
    MAX_BODY,
    Audio,
    Clock,
    ControlError,
    Dial,
    Faults,
    Key,
    Night,
    make_console,
)
from receiver.server.uvicorn_server import running

HOST = "127.0.0.1:8080"
TOKEN = "the-token-of-this-start"
HEAD = {"X-Console-Token": TOKEN}


class RecordedControls:
    """Controls that note what was asked for."""

    def __init__(self) -> None:
        self.requested: list[Any] = []

    async def dial(self, wanted: Dial) -> str:
        if wanted.ivr == "9999":
            raise ControlError("there is no IVR 9999: choose another")
        self.requested.append(wanted)
        return "c1"

    async def key(self, call: str, pressed: Key) -> None:
        self.requested.append((call, pressed))

    async def hang_up(self, call: str) -> None:
        self.requested.append(call)

    async def clock(self, wanted: Clock) -> None:
        self.requested.append(wanted)

    async def night(self, wanted: Night) -> None:
        self.requested.append(wanted)

    async def faults(self, wanted: Faults) -> None:
        self.requested.append(wanted)

    async def audio(self, file_id: str) -> Audio | None:
        return Audio(b"RIFF", "audio/vnd.wave") if file_id == "f1" else None


POSTS: dict[str, tuple[dict[str, Any], Any]] = {
    "phone/dial": ({"ivr": "8000", "caller": "101", "name": "Ann"}, Dial("8000", "101", "Ann")),
    "phone/c1/key": ({"key": "#"}, ("c1", Key("#"))),
    "phone/c1/hangup": ({}, "c1"),
    "pbx/clock": ({"at": "2026-11-22T09:00"}, Clock("2026-11-22T09:00")),
    "pbx/night": ({"ivr": "8000", "on": True}, Night("8000", True)),
    "faults": ({"slow": 2, "network": "drop"}, Faults(slow=2.0, network="drop")),
}


@pytest.fixture
def feed() -> Feed:
    return Feed({"mode": "dev", "title": "app:app"})


@pytest.fixture
def noted() -> RecordedControls:
    return RecordedControls()


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "index.html").write_text('{{head.html}}<p title="{{{}}">')
    (tmp_path / "head.html").write_text('<meta name="console-token" content="{{token}}">')
    (tmp_path / "main.js").write_text("1;")
    (tmp_path / "notes.txt").write_text("no file of the page")
    return tmp_path


@pytest.fixture
async def browser(
    feed: Feed, noted: RecordedControls, page: Path
) -> AsyncIterator[httpx.AsyncClient]:
    app = make_console(feed, hosts=loopback(8080), token=TOKEN, controls=noted, page=page)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=f"http://{HOST}"
    ) as client:
        yield client


async def test_the_page_has_the_token_and_its_files(browser: httpx.AsyncClient) -> None:
    index = await browser.get("/")
    assert index.text == f'<meta name="console-token" content="{TOKEN}"><p title="{{{{{{}}}}">'
    assert index.headers["content-type"] == "text/html; charset=utf-8"
    script = await browser.get("/page/main.js")
    assert (script.text, script.headers["content-type"]) == ("1;", "text/javascript; charset=utf-8")


@pytest.mark.parametrize("name", ["notes.txt", "none.js", "..%2Fweb.py", "%2e%2e/web.py"])
async def test_nothing_else_is_given(browser: httpx.AsyncClient, name: str) -> None:
    assert (await browser.get(f"/page/{name}")).status_code == 404


@pytest.mark.parametrize("path", ["/", "/state", "/nothing", "/page/main.js", "/calls/none"])
async def test_every_answer_says_what_a_browser_may_do(
    browser: httpx.AsyncClient, path: str
) -> None:
    for answer in (
        await browser.get(path),
        await browser.get(path, headers={"Host": "evil.example"}),
        await browser.post(path),
    ):
        for name, value in HEADERS:
            assert answer.headers.get_list(name.decode()) == [value.decode()]


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1", "127.0.0.1:8081", "localhost.evil.example:8080", ""]
)
async def test_a_name_that_is_not_ours_gets_nothing(browser: httpx.AsyncClient, host: str) -> None:
    for path in ("/", "/state", "/events", "/calls"):
        answer = await browser.get(path, headers={"Host": host})
        assert answer.status_code == 421
        assert answer.json().keys() == {"error"}


@pytest.mark.parametrize("host", ["localhost:8080", "[::1]:8080", "LOCALHOST:8080"])
async def test_the_names_of_this_machine_are_ours(browser: httpx.AsyncClient, host: str) -> None:
    assert (await browser.get("/state", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("path", POSTS)
async def test_what_the_page_asks_for_is_done(
    browser: httpx.AsyncClient, noted: RecordedControls, path: str
) -> None:
    body, asked = POSTS[path]
    for headers in (HEAD, {**HEAD, "Origin": "http://localhost:8080"}):
        answer = await browser.post(path, json=body, headers=headers)
        assert answer.status_code == 200
        assert noted.requested.pop() == asked
    assert answer.json() == ({"call": "c1"} if path == "phone/dial" else {})


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Console-Token": ""},
        {"X-Console-Token": "another"},
        {"X-Console-Token": TOKEN + "x"},
        {**HEAD, "Origin": "http://evil.example"},
        {**HEAD, "Origin": "http://127.0.0.1:8081"},
        {**HEAD, "Origin": "null"},
        {**HEAD, "Origin": "file://127.0.0.1:8080"},
    ],
    ids=str,
)
async def test_other_pages_are_refused(
    browser: httpx.AsyncClient, noted: RecordedControls, path: str, headers: dict[str, str]
) -> None:
    answer = await browser.post(path, json=POSTS[path][0], headers=headers)
    assert (answer.status_code, noted.requested) == (403, [])


@pytest.mark.parametrize("path", POSTS)
async def test_a_get_changes_nothing(
    browser: httpx.AsyncClient, noted: RecordedControls, path: str
) -> None:
    assert (await browser.get(path, headers=HEAD)).status_code in (404, 405)
    assert noted.requested == []


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("phone/dial", "{}"),
        ("phone/dial", '{"ivr": 8000}'),
        ("phone/dial", '{"ivr": "8000", "more": 1}'),
        ("phone/dial", '{"ivr": "' + "8" * 201 + '"}'),
        ("phone/dial", "not JSON"),
        ("phone/c1/key", '{"key": "12"}'),
        ("phone/c1/key", '{"key": "a"}'),
        ("phone/c1/hangup", '{"now": true}'),
        ("pbx/clock", "{}"),
        ("pbx/night", '{"ivr": "8000", "on": 1}'),
        ("faults", '{"slow": 11}'),
        ("faults", '{"slow": -1}'),
        ("faults", '{"network": "gone"}'),
        ("faults", "[]"),
    ],
)
async def test_invalid_requests_are_refused(
    browser: httpx.AsyncClient, noted: RecordedControls, path: str, body: str
) -> None:
    answer = await browser.post(path, content=body, headers=HEAD)
    assert (answer.status_code, noted.requested) == (400, [])
    assert "invalid request" in answer.json()["error"]


async def test_a_body_that_is_too_large_is_refused(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("phone/dial", content="x" * (MAX_BODY + 1), headers=HEAD)
    assert answer.status_code == 413


async def test_what_cannot_be_done_is_said(browser: httpx.AsyncClient) -> None:
    answer = await browser.post("phone/dial", json={"ivr": "9999"}, headers=HEAD)
    assert answer.status_code == 409
    assert answer.json() == {"error": "there is no IVR 9999: choose another"}


async def test_who_may_only_look_can_ask_for_nothing(feed: Feed, page: Path) -> None:
    app = make_console(feed, hosts={HOST}, token=TOKEN, page=page)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=f"http://{HOST}"
    ) as client:
        assert (await client.get("/state")).json()["mode"] == "dev"
        for path, (body, _) in POSTS.items():
            assert (await client.post(path, json=body, headers=HEAD)).status_code == 404


async def test_the_calls(browser: httpx.AsyncClient, feed: Feed) -> None:
    for number in range(300):
        feed.call({"seq": number, "id": f"c{number}"})
    feed.step("c7", 0, {"type": "key"})
    state = (await browser.get("/state")).json()
    assert [one["seq"] for one in state["calls"]] == list(range(299, 99, -1))
    older = (await browser.get("/calls", params={"before": 100, "limit": 2})).json()
    assert [one["seq"] for one in older["calls"]] == [99, 98]
    assert (await browser.get("/calls/c7")).json()["steps"] == [{"type": "key"}]
    assert (await browser.get("/calls/none")).status_code == 404
    for wrong in ("-1", "x", "1" * 19, "²"):
        assert (await browser.get("/calls", params={"before": wrong})).status_code == 400


async def test_a_recording(browser: httpx.AsyncClient) -> None:
    found = await browser.get("/audio/f1")
    assert (found.content, found.headers["content-type"]) == (b"RIFF", "audio/vnd.wave")
    assert (await browser.get("/audio/f2")).status_code == 404


@pytest.mark.parametrize("missing", ["index.html", "head.html"])
async def test_a_page_that_is_not_there(feed: Feed, page: Path, missing: str) -> None:
    (page / missing).unlink()
    app = make_console(feed, hosts={HOST}, token=TOKEN, page=page)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=f"http://{HOST}"
    ) as client:
        answer = await client.get("/")
    assert (answer.status_code, "install" in answer.text) == (404, True)


@pytest.mark.parametrize("how", ["query", "header"])
async def test_events_come_as_they_happen(feed: Feed, how: str) -> None:
    hosts = set[str]()
    feed.publish({"type": "old"})
    feed.publish({"type": "missed"})
    async with running(make_console(feed, hosts=hosts, token=TOKEN), lifespan="off") as url:
        hosts.add(url.removeprefix("http://"))
        asked = {"query": ("?after=1", {}), "header": ("?after=0", {"Last-Event-ID": "1"})}[how]
        async with (
            httpx.AsyncClient(base_url=url) as client,
            client.stream("GET", f"/events{asked[0]}", headers=asked[1]) as answer,
            asyncio.timeout(60),
        ):
            assert answer.headers["content-type"].startswith("text/event-stream")
            lines = answer.aiter_lines()
            assert [await anext(lines) for _ in range(2)] == [": connected", ""]
            assert [await anext(lines) for _ in range(3)] == [
                "id: 2",
                'data: {"type":"missed"}',
                "",
            ]
            feed.publish({"type": "new", "name": "<script>"})
            assert await anext(lines) == "id: 3"
            assert json.loads((await anext(lines))[6:]) == {"type": "new", "name": "<script>"}
            feed.close()
            assert [line async for line in lines] == [""]
