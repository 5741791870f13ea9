"""``receiver serve --workers``: real processes, killed, hung, replaced and stopped under load."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from receiver.credentials import Secret, derive
from tests.served import Service
from tests.stopwatch import Stopwatch

RATE = 50
"""Callbacks per second, each on a new connection, as a PBX probably sends them."""

SECRET = "6d0f2c9ab17e4583f4c8d25e90ab3716"
APP = """
import asyncio, os, sys, time
from receiver import Call, Forward, Ivr, Receiver, Reply
from tests.limits import extend_limits

extend_limits()
ivr = Ivr("8000")

@ivr.dtmf("1", auth=None, fallback=Forward("0"))
async def pick(call: Call) -> Reply:
    return Forward(str(os.getpid()))

@ivr.dtmf("2", auth=None, fallback=Forward("0"), request_timeout=30)
async def slow(call: Call) -> Reply:
    print("slow has begun", file=sys.stderr)
    await asyncio.sleep(1)
    return Forward("222")

@ivr.dtmf("3", auth=None, fallback=Forward("0"))
async def block(call: Call) -> Reply:
    time.sleep(60)
    return Forward("222")

@ivr.dtmf("4", auth="digest", fallback=Forward("0"))
async def known(call: Call) -> Reply:
    return Forward(str(os.getpid()))

leaked = []

@ivr.dtmf("5", auth=None, fallback=Forward("0"))
async def leak(call: Call) -> Reply:
    leaked.append(b"x" * 200_000_000)
    return Forward("222")

app = Receiver(ivr)
"""


Start = Callable[..., Service]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    (tmp_path / "myapp.py").write_text(APP)
    services = list[Service]()

    def run(
        options: str = "--workers 2", ready: int = 2, app: str = "myapp:app", **environ: str
    ) -> Service:
        environ = {"RECEIVER_SECRET": SECRET, **environ}
        services.append(service := Service.begin(tmp_path, app, options, environ))
        if ready:
            service.wait(ready)
        return service

    yield run
    for service in services:
        service.end()


@dataclass(frozen=True)
class Answer:
    """The answer that a caller got."""

    destination: str
    seconds: float
    begin: float


async def call(url: str, name: str = "pick") -> Answer:
    """One callback; its destination is what went wrong, if anything did."""
    begin, port = time.monotonic(), int(url.rpartition(":")[2])
    try:
        async with asyncio.timeout(60):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            head = f"POST /action/8000/{name}?input=1 HTTP/1.1\r\nHost: x\r\n"
            writer.write(f"{head}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
            try:
                status, _, rest = (await reader.read()).partition(b"\r\n")
            finally:
                writer.close()
        found = json.loads(rest.partition(b"\r\n\r\n")[2])["destination"]
        assert status == b"HTTP/1.1 200 OK"
    except (OSError, ValueError, TimeoutError) as error:
        found = type(error).__name__
    return Answer(found, time.monotonic() - begin, begin)


async def load(url: str, seconds: float, *acts: tuple[float, Callable[[], object]]) -> list[Answer]:
    """Calls at `RATE`; each act runs after its number of seconds."""
    loop = asyncio.get_running_loop()
    for when, act in acts:
        loop.call_later(when, act)
    tasks, begin = [], loop.time()
    for number in range(round(seconds * RATE)):
        await asyncio.sleep(begin + number / RATE - loop.time())
        tasks.append(asyncio.create_task(call(url)))
    return await asyncio.gather(*tasks)


def lost(answers: list[Answer], stopwatch: Stopwatch) -> list[Answer]:
    def late(one: Answer) -> bool:
        return stopwatch.seconds(one.begin, one.begin + one.seconds) > 1.5

    return [one for one in answers if not one.destination.isdecimal() or late(one)]


async def test_a_worker_is_killed_under_load(start: Start, stopwatch: Stopwatch) -> None:
    service, killed = start(), list[float]()
    before = service.workers()

    def kill() -> None:
        os.kill(before[0], signal.SIGKILL)
        killed.append(time.monotonic())

    answers = await load(service.url, 3, (0.5, kill))
    in_progress = [one for one in answers if 0 <= killed[0] - one.begin <= one.seconds]
    assert set(lost(answers, stopwatch)) <= set(
        in_progress
    )  # they end with the worker, and no others
    await asyncio.to_thread(service.until, r"Started server process", 3)
    new = service.until(rf"worker {before[0]} exited \(SIGKILL\): it is replaced at once")
    assert len(new) == 1
    after = set(service.workers()) - {before[0]}
    assert len(after) == 2
    assert {int(one.destination) for one in answers[-50:]} <= after


async def test_a_worker_that_hangs_is_replaced_and_its_callers_are_answered(
    start: Start, stopwatch: Stopwatch
) -> None:
    service = start()
    task = asyncio.create_task(call(service.url, "block"))
    await asyncio.to_thread(service.until, r"blocked in the handler of 8000/block")
    answers = await load(service.url, 5)
    assert lost(answers, stopwatch) == []
    blocked = await task
    assert blocked.destination == "0"
    assert stopwatch.seconds(blocked.begin, blocked.begin + blocked.seconds) < 2
    service.until(r"blocked in the handler of 8000/block\n +\S+myapp.py:\d+ block\n")
    await asyncio.to_thread(service.until, r"worker \d+ hangs and is killed")
    await asyncio.to_thread(service.until, r"Started server process", 3)


async def test_what_a_worker_that_hangs_has_not_read_another_answers(
    start: Start, stopwatch: Stopwatch
) -> None:
    service, clients = start(), dict[str, list[httpx.AsyncClient]]()
    while len(clients) < 2 or min(map(len, clients.values())) < 4:
        client = httpx.AsyncClient(base_url=service.url)
        found = (await client.post("/action/8000/pick?input=1")).json()["destination"]
        clients.setdefault(found, []).append(client)
    (_, (first, *rest)), (other, _) = clients.items()
    task = asyncio.create_task(first.post("/action/8000/block?input=3"))
    await asyncio.to_thread(service.until, r"blocked in the handler of 8000/block")
    begin = time.monotonic()
    asked = await asyncio.gather(*(one.post("/action/8000/pick?input=1") for one in rest))
    assert {answer.json()["destination"] for answer in asked} == {other}
    assert stopwatch.seconds(begin) < 2
    again = await rest[0].post("/action/8000/pick?input=1")  # and on from there
    assert again.json()["destination"] == other
    assert (await task).json()["destination"] == "0"
    for client in (*clients[other], first, *rest):
        await client.aclose()


async def test_new_code_is_loaded_without_a_lost_call(
    start: Start, tmp_path: Path, stopwatch: Stopwatch
) -> None:
    service = start()
    (tmp_path / "myapp.py").write_text(APP.replace("Forward(str(os.getpid()))", 'Forward("777")'))
    answers = await load(service.url, 4, (0.2, lambda: service.process.send_signal(signal.SIGHUP)))
    assert lost(answers, stopwatch) == []
    await asyncio.to_thread(service.until, r"INFO reloaded")
    assert (await call(service.url)).destination == "777"
    assert answers[0].destination != "777"


async def test_a_configuration_file_is_read_again_like_code(start: Start, tmp_path: Path) -> None:
    file = tmp_path / "app.toml"
    text = (
        '[[ivr]]\nnumber = "8000"\n'
        '[[ivr.dtmf]]\nname = "pick"\nmask = "1"\nauth = "none"\nthen = "222"\n'
    )
    file.write_text(text)
    service = start(app="app.toml")
    file.write_text(text.replace("then", "when"))
    service.process.send_signal(signal.SIGHUP)
    await asyncio.to_thread(service.until, r"app\.toml:7: ivr\.dtmf\.when: there is no such key")
    await asyncio.to_thread(service.until, r"the old")
    assert (await call(service.url)).destination.isdigit()
    file.write_text(text.replace("222", "777"))
    service.process.send_signal(signal.SIGHUP)
    await asyncio.to_thread(service.until, r"INFO reloaded")
    assert (await call(service.url)).destination == "777"


async def test_new_code_that_does_not_start_changes_nothing(
    start: Start, tmp_path: Path, stopwatch: Stopwatch
) -> None:
    service = start()
    (tmp_path / "myapp.py").write_text("import nothing_there")
    answers = await load(service.url, 2, (0, lambda: service.process.send_signal(signal.SIGHUP)))
    assert lost(answers, stopwatch) == []
    await asyncio.to_thread(service.until, "does not start: the old workers stay")
    assert {int(one.destination) for one in answers} <= set(service.workers())


@pytest.mark.parametrize("code", ["import nothing_there", "raise SystemExit(7)"])
def test_workers_that_cannot_start_at_all_end_the_service(
    start: Start, tmp_path: Path, code: str
) -> None:
    service = start()
    (tmp_path / "myapp.py").write_text(code)
    for worker in service.workers():
        os.kill(worker, signal.SIGKILL)
    assert service.process.wait(60) == 1
    service.until(r"no worker serves and the last 3 did not start \(status \d\): the service ends")
    if "nothing_there" in code:
        service.until("nothing_there")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="only Linux tells")
async def test_a_worker_that_leaked_is_replaced_without_a_lost_call(start: Start) -> None:
    """A single worker is replaced too: the new one serves before the old one stops.

    Calls are placed until the new worker answers one, however long its start takes.
    """
    service = start("", 1, RECEIVER_WORKER_MEMORY="200")
    (leaking,) = service.workers()
    answers = [await call(service.url, "leak")]  # on a busy machine its fallback
    while answers[-1].destination not in map(str, service.workers()[1:]):
        answers.append(await call(service.url))
    answers += await load(service.url, 2)
    assert [one for one in answers if not one.destination.isdecimal()] == []
    service.until(rf"worker {leaking} uses \d+ MiB of memory, the limit is 200: it is replaced")
    assert answers[-1].destination == str(service.workers()[-1]) != str(leaking)


@pytest.mark.parametrize("options", ["", "--workers 2"])
async def test_the_calls_in_hand_are_finished(options: str, start: Start) -> None:
    service = start(options, 2 if options else 1)
    tasks = [asyncio.create_task(call(service.url, "slow")) for _ in range(10)]
    await asyncio.to_thread(service.until, r"slow has begun", 10)
    service.process.terminate()
    assert {(await task).destination for task in tasks} == {"222"}
    assert await asyncio.to_thread(service.process.wait, 60) == 0


async def test_it_says_that_it_will_go_before_it_goes(start: Start) -> None:
    service = start("--workers 2 --notice 60")
    async with httpx.AsyncClient(base_url=service.url) as client:
        assert (await client.get("/ready")).json()["store"] is True
        service.process.terminate()
        status = 200
        while status == 200:
            status = (await client.get("/ready")).status_code
            assert (await call(service.url)).destination.isdecimal()
    assert status == 503


async def test_a_second_signal_ends_it_at_once(start: Start) -> None:
    service = start("--workers 2 --notice 60")
    service.process.terminate()
    async with httpx.AsyncClient(base_url=service.url) as client:
        while (await client.get("/ready")).status_code == 200:
            pass
    service.process.terminate()
    assert await asyncio.to_thread(service.process.wait, 40) == 0


async def test_no_worker_outlives_its_parent(start: Start) -> None:
    service = start()
    service.process.kill()
    while (await call(service.url)).destination != "ConnectionRefusedError":
        pass


def test_an_app_that_cannot_start_ends_the_command(start: Start, tmp_path: Path) -> None:
    (tmp_path / "myapp.py").write_text("import nothing_there")
    service = start(ready=0)
    assert service.process.wait(60) == 2
    service.until("Error: ")
    assert [line for line in service.lines if "INFO" not in line] == [
        "Error: myapp needs the module 'nothing_there', which is not installed\n"
    ]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ("--workers 2 --host 203.0.113.9", "cannot listen on 203.0.113.9"),
        ("--workers 2 --certfile nowhere", "cannot read nowhere"),
        ("--as-worker 1 77 78", "only receiver serve can start a worker"),
    ],
)
def test_what_else_cannot_be(options: str, problem: str, start: Start) -> None:
    service = start(options, ready=0)
    assert service.process.wait(60) == 2
    service.until(problem)


async def test_workers_share_what_was_used(start: Start) -> None:
    """The two legs of digest, and a captured request, go to different workers."""
    service = start()
    clients: dict[str, httpx.AsyncClient] = {}
    while len(clients) < 2:
        client = httpx.AsyncClient(base_url=service.url)
        found = (await client.post("/action/8000/pick?input=1")).json()["destination"]
        if clients.setdefault(found, client) is not client:
            await client.aclose()
    one, two = clients.values()
    known = derive(Secret(SECRET), "8000/known")
    request = one.build_request("POST", "/action/8000/known?input=4")
    flow = httpx.DigestAuth(known.username, known.password.reveal()).sync_auth_flow(request)
    challenged = await one.send(next(flow))
    again = flow.send(challenged)
    answers = [challenged, await two.send(again), await one.send(again), await two.send(again)]
    assert [answer.status_code for answer in answers] == [401, 200, 401, 401]
    assert answers[1].json()["destination"] == list(clients)[1]
    for client in clients.values():
        await client.aclose()


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="looks into /proc")
@pytest.mark.allow_secrets
def test_the_store_of_the_workers_is_private_and_goes_with_them(start: Start) -> None:
    service = start()

    def look(pid: int, what: str) -> dict[str, Any]:
        parts = Path(f"/proc/{pid}/{what}").read_text().split("\0")
        return dict(part.partition("=")[::2] for part in parts)

    stores = {look(pid, "environ")["RECEIVER_STORE"] for pid in service.workers()}
    assert len(stores) == 1
    assert {look(pid, "environ")["WEB_CONCURRENCY"] for pid in service.workers()} == {"2"}
    folder = Path(stores.pop()).parent
    assert folder.stat().st_mode & 0o777 == 0o700
    assert "RECEIVER_STORE" not in look(service.process.pid, "environ")
    for pid in (*service.workers(), service.process.pid):
        assert not [part for part in look(pid, "cmdline") if str(folder) in part or SECRET in part]
    service.process.terminate()
    service.process.wait(60)
    assert not folder.exists()


def test_a_store_that_was_named_is_kept(start: Start, tmp_path: Path) -> None:
    start(RECEIVER_STORE=str(tmp_path / "named.sqlite"))
    assert (tmp_path / "named.sqlite").exists()


async def test_an_otlp_endpoint_that_does_not_answer_delays_no_stop(start: Start) -> None:
    """The exporter would wait for it longer than a worker may be silent."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        service = start(
            "--workers 1",
            ready=1,
            RECEIVER_TRACING="true",
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{silent.getsockname()[1]}",
        )
        assert (await call(service.url)).destination.isdigit()
        service.process.terminate()
        assert service.process.wait(60) == 0
    service.until("the last spans were dropped: the OTLP endpoint did not answer in 1 s")
    assert "is killed" not in "".join(service.lines)
