"""The console in production beside real workers: it sees all of them, and none waits for it."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from receiver.callbacks.operator_access import operator_token
from receiver.console.security import TOKEN_NAME
from receiver.credentials import Secret
from receiver.server.sockets import bind
from tests.served import Service

SECRET = "6d0f2c9ab17e4583f4c8d25e90ab3716"
APP = """
import os
from receiver import Call, Forward, Ivr, Receiver, Reply

ivr = Ivr("8000")

@ivr.dtmf("1;22", auth=None, fallback=Forward("0"))
async def pick(call: Call) -> Reply:
    return Forward(str(os.getpid()))

app = Receiver(ivr)
"""
WAIT = 240.0
TLS = ssl.create_default_context()  # not used, but each client would make one


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    (tmp_path / "myapp.py").write_text(APP)
    environ = {"RECEIVER_SECRET": SECRET, "RECEIVER_CONSOLE": "127.0.0.1:0"}
    service = Service.begin(tmp_path, "myapp:app", "--workers 2", environ)
    service.wait(2)
    yield service
    service.end()


@asynccontextmanager
async def signed_in(service: Service) -> AsyncIterator[httpx.AsyncClient]:
    """The console, when it is there."""
    [url] = service.until(r"the console: (http://\S+)/,")
    async with httpx.AsyncClient(base_url=url, timeout=WAIT) as browser:
        page = await browser.get("/")  # the port is bound already: this waits for the process
        found = re.search('console-token" content="([^"]+)"', page.text)
        assert found
        head = {"X-Console-Token": found[1]}
        password = {
            "Authorization": f"Bearer {operator_token(TOKEN_NAME, Secret(SECRET), 1).reveal()}"
        }
        assert (await browser.post("/login", headers={**head, **password})).status_code == 200
        yield browser


async def ask(service: Service, session: str) -> str:
    """Send a callback on a new connection; return the worker that answered."""
    async with httpx.AsyncClient(base_url=service.url, timeout=WAIT, verify=TLS) as pbx:
        fields = {"from": "101", "to": "8000", "input": "22", "session_id": session}
        return str((await pbx.post("/action/8000/pick", json=fields)).json()["destination"])


async def ask_both(service: Service, name: str) -> int:
    """Callbacks until both workers have answered; how many."""
    async with asyncio.timeout(WAIT):
        seen, many = set[str](), 0
        while len(seen) < 2:
            seen.add(await ask(service, f"{name}{many}"))
            many += 1
    return many


async def until_calls(browser: httpx.AsyncClient, many: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(WAIT):
        while True:
            calls: list[dict[str, Any]] = (await browser.get("/state")).json()["calls"]
            if len(calls) >= many:
                return calls
            await asyncio.sleep(0.05)


async def test_it_shows_the_calls_of_all_workers(service: Service) -> None:
    async with signed_in(service) as browser:
        many = await ask_both(service, "call")
        calls = await until_calls(browser, many)
        assert len(calls) == many
        assert {call["caller"] for call in calls} == {"<3>"}
        assert len({call["end"]["text"] for call in calls}) == 2  # the numbers of both processes
        [one] = (await browser.get(f"/calls/{calls[0]['id']}")).json()["steps"]
        assert one["callback"]["digits"] == "<2>"


async def test_no_callback_waits_for_viewers_or_the_console(service: Service) -> None:
    async with signed_in(service) as browser, asyncio.timeout(WAIT):
        [(host, port)] = {(browser.base_url.host, browser.base_url.port)}
        cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
        slow = [socket.create_connection((host, port or 80)) for _ in range(5)]
        for viewer in slow:  # they ask for events, and read none
            head = (
                f"GET /events?after=0 HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: {cookie}\r\n\r\n"
            )
            viewer.sendall(head.encode())
        before = await ask_both(service, "slow")
        assert len(await until_calls(browser, before)) == before
        console = _console_of(service.process.pid)
        os.kill(console, signal.SIGSTOP)
        try:
            # Answered before the deadline, or they would be published as late.
            answers = await asyncio.gather(*(ask(service, f"stopped{n}") for n in range(40)))
        finally:
            os.kill(console, signal.SIGCONT)
        assert "0" not in answers
        calls = await until_calls(browser, 40)
        assert {call["reason"] for call in calls} == {"handled"}
        for viewer in slow:
            viewer.close()


async def test_a_console_that_dies_is_replaced_and_costs_nothing(service: Service) -> None:
    async with signed_in(service):
        os.kill(_console_of(service.process.pid), signal.SIGKILL)
    service.until("exited .SIGKILL.: it is replaced")
    await ask_both(service, "meanwhile")
    async with signed_in(service) as browser:  # a new process asks for the password again
        many = await ask_both(service, "later")
        assert len(await until_calls(browser, many)) >= many


def test_the_port_of_another_is_said(tmp_path: Path) -> None:
    (tmp_path / "myapp.py").write_text(APP)
    with bind("127.0.0.1", 0) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        environ = {"RECEIVER_SECRET": SECRET, "RECEIVER_CONSOLE": address}
        service = Service.begin(tmp_path, "myapp:app", "", environ)
        service.until("Error: cannot listen on 127.0.0.1 port")
        service.end()


def _console_of(parent: int) -> int:
    """The process of the console."""
    children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    [found] = [
        int(pid) for pid in children if b"\0console\0" in Path(f"/proc/{pid}/cmdline").read_bytes()
    ]
    return found
