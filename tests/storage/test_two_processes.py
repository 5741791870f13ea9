"""Two processes of a service on two ports and one Redis: each callback of a call, and each leg of
its digest, goes to the other process."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from receiver.credentials import Credentials, Secret, derive

SECRET = "6d0f2c9ab17e4583f4c8d25e90ab3716"
REPEAT = {"status_code": 200, "action": "repeat", "destination": ""}
APP = """
import os
from tests.limits import extend_limits
from receiver import Call, Forward, Ivr, Receiver, Repeat, Reply

extend_limits()
ivr = Ivr("8000")

@ivr.caller("*******", auth="basic", method="GET", request_timeout=30, fallback=Forward("0"))
async def known(call: Call) -> Reply:
    async with call.session() as session:
        session["customer"] = call.caller
        session["seen_by"] = [os.getpid()]
    return Repeat()

@ivr.dtmf("1-9", auth="digest", request_timeout=30, fallback=Forward("0"), max_repeats=20)
async def keyed(call: Call) -> Reply:
    async with call.session() as session:
        session["digits"] = session.get("digits", "") + call.digits
        session["seen_by"] = [*session["seen_by"], os.getpid()]
        seen_by = session["seen_by"]
        if len(session["digits"]) < 5:
            return Repeat()
        alternating = seen_by == [*seen_by[:2]] * 3 and seen_by[0] != seen_by[1]
        return Forward(session["customer"] + session["digits"] + str(int(alternating)))

@ivr.dtmf("0", auth="bearer", request_timeout=30, fallback=Forward("0"))
async def stubborn(call: Call) -> Reply:
    return Repeat()

app = Receiver(ivr)
"""


class Service:
    """One process of the service."""

    def __init__(self, folder: Path, store: Secret) -> None:
        command = [sys.executable, "-m", "receiver", "serve", "myapp:app", "--port", "0"]
        environ = {"RECEIVER_SECRET": SECRET, "RECEIVER_STORE": store.reveal()}
        self._process = subprocess.Popen(
            command, env={**os.environ, **environ}, cwd=folder, stderr=subprocess.PIPE, text=True
        )
        assert self._process.stderr is not None
        self._log = self._process.stderr
        # Later lines are read and dropped, or the pipe would fill up.
        self._reader = threading.Thread(target=self._log.read, daemon=True)

    def url(self) -> str:
        said = []
        for line in self._log:
            said.append(line)
            if "serving on " in line:
                self._reader.start()
                return line.split("serving on ")[1].strip()
        pytest.fail("".join(said))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._reader.ident:
            self._reader.join()
        self._log.close()


@pytest.fixture
def urls(tmp_path: Path, redis_url: Secret) -> Iterator[list[str]]:
    (tmp_path / "myapp.py").write_text(APP)
    services = [Service(tmp_path, redis_url) for _ in range(2)]
    try:
        yield [service.url() for service in services]
    finally:
        for service in services:
            service.close()


@pytest.fixture
async def services(urls: list[str]) -> AsyncIterator[list[httpx.AsyncClient]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=60))
            for url in urls
        ]


def known(name: str) -> Credentials:
    return derive(Secret(SECRET), f"8000/{name}")


async def keyed(first: httpx.AsyncClient, second: httpx.AsyncClient, fields: object) -> object:
    """Send the two requests of digest to two processes; return the answer."""
    login = known("keyed")
    path = "/action/8000/keyed"
    challenge = await first.post(path, json=fields)
    assert challenge.status_code == 401
    flow = httpx.DigestAuth(login.username, login.password.reveal()).auth_flow(challenge.request)
    next(flow)
    header = {"Authorization": flow.send(challenge).headers["Authorization"]}
    answer = await second.post(path, json=fields, headers=header)
    assert answer.status_code == 200
    return answer.json()


async def call(services: list[httpx.AsyncClient], number: int) -> object:
    """Play one call with five digits; return the last answer."""
    fields = {"from": str(5550000 + number), "to": "8000", "session_id": f"call {number}"}
    login = known("known")
    answer = await services[number % 2].get(
        "/action/8000/known",
        params=fields,
        auth=(login.username, login.password.reveal()),
    )
    assert answer.json() == REPEAT
    last: object = None
    for key in range(1, 6):
        here, there = services[(number + key) % 2], services[(number + key + 1) % 2]
        last = await keyed(there, here, {**fields, "input": str(key)})
        assert key == 5 or last == REPEAT
    return last


async def test_calls_alternate_between_two_processes(services: list[httpx.AsyncClient]) -> None:
    """Each process answers from the session that the other process stored."""
    assert services[0].base_url.port != services[1].base_url.port
    answers = await asyncio.gather(*(call(services, number) for number in range(5)))
    assert answers == [
        {"status_code": 200, "action": "call", "destination": f"{5550000 + number}123451"}
        for number in range(5)
    ]


async def test_a_repeat_loop_that_alternates_ends(services: list[httpx.AsyncClient]) -> None:
    """Each process counts separately: three repeats each."""
    header = {"Authorization": f"Bearer {known('stubborn').token.reveal()}"}
    fields = {"from": "1", "to": "8000", "input": "0", "session_id": "in circles"}
    actions = []
    for number in range(7):
        answer = await services[number % 2].post(
            "/action/8000/stubborn", json=fields, headers=header
        )
        actions.append(answer.json()["action"])
    assert actions == ["repeat"] * 6 + ["call"]
