"""The log line, the counts and the scrape, through the app and through a real server."""

import asyncio
import dataclasses
import json
import logging
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import astuple
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import Receive, Scope, Send

from receiver import Call, Forward, Ivr, Receiver, Reply, Secret, Settings
from receiver.auth.client_address import read_networks
from receiver.auth.throttle import FREE_FAILURES
from receiver.callbacks.metrics_endpoint import IDENTITY, kept
from receiver.callbacks.metrics_folder import Folder
from receiver.callbacks.observer import Observer
from receiver.callbacks.operator_access import operator_token
from receiver.cli import main
from receiver.observability.callback_record import Record
from receiver.observability.log_setup import written
from receiver.observability.metrics import (
    COUNTS,
    DROPPED,
    FAMILIES,
    LAG,
    Counts,
    Family,
    Labels,
    add_up,
)
from receiver.server.uvicorn_server import running
from receiver.storage.auth_fallback import AuthFallback
from tests.command_line import CliRunner
from tests.support import FIELDS, QUERY, SECRET, Counted, credentials, make_app

ROOT = Path(__file__).parents[2]
OPEN = Settings(secret=SECRET, metrics=True)
SCRAPER = {"Authorization": f"Bearer {operator_token(IDENTITY, SECRET, 1).reveal()}"}


def client(app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service")


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with client(make_app(Counted(), OPEN)) as made:
        yield made


async def value(http: httpx.AsyncClient, series: str) -> float:
    text = (await http.get("/metrics", headers=SCRAPER)).text
    found = re.search(rf"^{re.escape(series)} (.*)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def records(caplog: pytest.LogCaptureFixture) -> list[Record]:
    return [one.msg for one in caplog.records if isinstance(one.msg, Record)]


# the record ----------------------------------------------------------------------------------


async def test_one_record_a_callback(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    await http.post("/action/888/post-open", json=FIELDS)
    (record,) = records(caplog)
    assert astuple(record)[:8] == ("888/post-open", "", "DTMF", "call", "handled", 2, 3, 8)
    assert record.budget == 2
    assert min(record.seconds) >= 0
    parts = record.authentication + record.body + record.handler
    assert parts <= record.whole < record.budget


async def test_an_unreadable_callback_is_logged_too(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    await http.post("/action/888/post-open", content=b"nonsense")
    (record,) = records(caplog)
    assert (record.decision, record.reason, record.digits) == ("repeat", "invalid", 0)


async def test_a_body_that_does_not_come_is_a_late_callback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ivr = Ivr("8000")
    ivr.add("DTMF", "1", Counted(), name="slow", auth=None, request_timeout=1)
    async with running(Receiver(ivr, settings=Settings(secret=SECRET, margin=0.9))) as url:
        host, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"POST /action/8000/slow HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
        assert b"200" in await asyncio.wait_for(reader.read(), 60)
        writer.close()
    (record,) = records(caplog)
    assert (record.decision, record.reason) == ("repeat", "late")


@pytest.mark.parametrize("is_served", [True, False])
async def test_a_fault_of_the_core_gives_the_fallback_and_a_record(
    is_served: bool, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Observer, "begin", broken)
    app = make_app(Counted())
    if is_served:
        async with running(app) as url, httpx.AsyncClient(base_url=url) as http:
            answer = await http.post("/action/888/post-open", json=FIELDS)
    else:
        async with client(app) as http:
            answer = await http.post("/action/888/post-open", json=FIELDS)
    assert (answer.status_code, answer.json()["action"]) == (200, "repeat")
    (record,) = records(caplog)
    assert (record.decision, record.reason) == ("repeat", "raised")
    assert "888/post-open: ZeroDivisionError inside the receiver" in caplog.messages


@pytest.mark.parametrize("is_mounted", [False, True])
async def test_a_callback_whose_task_is_cancelled_gets_the_fallback(
    is_mounted: bool,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """The shared store is confirming meanwhile that valid credentials are no replay."""

    async def confirm(*_: object) -> bool:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().call_soon(task.cancel)
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(AuthFallback, "confirm", confirm)
    inside = make_app(Counted(), Settings(secret=SECRET, store=Secret(str(tmp_path / "store.db"))))
    app = Starlette(routes=[Mount("/", inside)]) if is_mounted else inside
    known = credentials("888/post-digest")
    auth = httpx.DigestAuth(known.username, known.password.reveal())
    async with running(app) as url, httpx.AsyncClient(base_url=url, auth=auth) as http:
        answer = await http.post("/action/888/post-digest", json=FIELDS)
    assert (answer.status_code, answer.json()["action"]) == (200, "repeat")
    if not is_mounted:
        (record,) = records(caplog)
        assert (record.decision, record.reason) == ("repeat", "raised")


@pytest.mark.parametrize("ends", ["cancelled", "timeout"])
async def test_a_callback_that_an_app_around_it_cancels_has_a_record_and_its_jobs(
    ends: str, caplog: pytest.LogCaptureFixture
) -> None:
    done = asyncio.Event()

    async def job() -> None:
        done.set()

    async def slow(call: Call) -> Reply:
        call.after(job)
        end[0]()
        await asyncio.Event().wait()
        raise AssertionError

    end, loop = list[Callable[[], object]](), asyncio.get_running_loop()
    ivr = Ivr("8000")
    ivr.add("DTMF", "1", slow, name="slow", auth=None, fallback=Forward("0"))
    inside = Receiver(ivr, settings=Settings(secret=SECRET))

    async def around(scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        assert task is not None
        if scope["type"] == "http" and ends == "timeout":
            async with asyncio.timeout(None) as limit:
                end.append(lambda: limit.reschedule(loop.time()))
                await inside(scope, receive, send)
            return
        end.append(lambda: loop.call_soon(task.cancel))
        await inside(scope, receive, send)

    async with running(around) as url, httpx.AsyncClient(base_url=url) as http:
        answer = await http.post("/action/8000/slow", json=FIELDS)
        await asyncio.wait_for(done.wait(), 60)
    assert (answer.status_code, answer.json()["destination"]) == (200, "0")
    (record,) = records(caplog)
    assert (record.decision, record.reason) == ("call", "raised")


@pytest.mark.parametrize("sensitive", [True, False])
async def test_a_sensitive_action_shows_nothing_whatever_the_setting(
    sensitive: bool, caplog: pytest.LogCaptureFixture
) -> None:
    async def card(call: Call) -> Reply:
        return Forward("222")

    ivr = Ivr("8000")
    ivr.add("DTMF", "4*", card, name="card", auth=None, sensitive=sensitive)
    app = Receiver(ivr, settings=Settings(secret=SECRET, log_caller_data=True))
    async with client(app) as http:
        await http.post("/action/8000/card", json={**FIELDS, "input": "4111"})
    (record,) = records(caplog)
    assert (record.digits, record.caller) == ((4, 3) if sensitive else ("4111", "101"))
    assert ("4111" in caplog.text) is not sensitive


async def test_no_record_is_made_without_a_consumer(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "receiver")
    before = COUNTS.snapshot()
    async with client(make_app(Counted())) as http:
        await http.post("/action/888/post-open", json=FIELDS)
    assert not records(caplog)
    assert COUNTS.snapshot() == before


# no query string -----------------------------------------------------------------------------

TARGETS = (
    f"/action/888/get-open?{QUERY}",
    f"/action/888/get-bearer?{QUERY}",  # no credentials
    f"/action/888/post-open?{QUERY}",  # another method
    f"/action/888/unknown?{QUERY}",
    f"/nowhere?{QUERY}",
    f"/action/888/get-open?{QUERY}&{'x' * 70000}",  # too long
    f"/action/888/get-open?{QUERY} HTTP/1.1\r\nA: b\r\n\r\nx",  # no request at all
)


async def breaking(call: Call) -> Reply:
    raise LookupError(call.digits)


@pytest.mark.parametrize("form", ["text", "json"])
async def test_no_query_string_is_ever_written(form: str, tmp_path: Path) -> None:
    out = tmp_path / "log"
    logging.getLogger().setLevel(logging.DEBUG)
    with out.open("wb") as file, written(form, fd=file.fileno()):
        for handler in (Counted(), breaking):
            async with running(make_app(handler)) as url:
                host, port = url.removeprefix("http://").split(":")
                for target in TARGETS:
                    reader, writer = await asyncio.open_connection(host, int(port))
                    writer.write(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
                    assert await asyncio.wait_for(reader.read(12), 60)
                    writer.close()
    logging.getLogger().setLevel(logging.WARNING)
    text = out.read_text()
    assert "888/get-open" in text
    for hidden in ("input", "session_id", "12345678", "Jason"):
        assert hidden not in text
    if form == "json":
        assert all(json.loads(one)["time"] for one in text.splitlines())


SERVED = """
import sys; sys.path[:0] = [{root!r}]
import uvicorn
from tests.support import make_app, Counted
uvicorn.run(make_app(Counted()), port=0, log_level="trace")
"""


async def test_the_access_log_of_uvicorn_has_no_caller_data() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        SERVED.format(root=str(ROOT)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    assert process.stdout
    said = ""
    while not (found := re.search(r"running on (http://[0-9.:]+)", said)):
        said += (await asyncio.wait_for(process.stdout.readline(), 60)).decode()
    async with httpx.AsyncClient() as http:
        for target in TARGETS[:5]:
            await http.get(f"{found[1]}{target}")
    process.terminate()
    said += (await asyncio.wait_for(process.communicate(), 60))[0].decode()
    assert '"GET /action/888/get-open HTTP/1.1" 200' in said
    for hidden in ("input=", "12345678", "Jason"):
        assert hidden not in said


# the metrics ---------------------------------------------------------------------------------


async def test_answers_are_counted_by_action_decision_and_reason(http: httpx.AsyncClient) -> None:
    answers = 'receiver_callbacks_total{action="888/post-open",decision="call",reason="handled"}'
    wholes = 'receiver_stage_budget_ratio_count{action="888/post-open",stage="whole"}'
    before = await value(http, answers), await value(http, wholes)
    await http.post("/action/888/post-open", json=FIELDS)
    assert (await value(http, answers), await value(http, wholes)) == (before[0] + 1, before[1] + 1)


@pytest.mark.parametrize(
    ("reason", "path", "sent"),
    [
        ("missing", "/action/888/post-bearer", {}),
        ("wrong", "/action/888/post-bearer", {"headers": {"Authorization": "Bearer x"}}),
        ("other", "/action/888/post-basic", {"headers": {"Authorization": "Bearer x"}}),
        ("unreadable", "/action/888/post-digest", {"headers": {"Authorization": "Digest =,="}}),
        ("method", "/action/888/get-open", {}),
        ("size", "/action/888/post-open", {"content": b"x" * 70000}),
        (
            "coding",
            "/action/888/post-open",
            {"content": b"x", "headers": {"Content-Encoding": "br"}},
        ),
        ("framing", "/action/888/post-open", {"headers": {"X": "\x00"}}),
        ("missing", "/metrics", {}),
    ],
)
async def test_refusals_are_counted_by_reason(
    reason: str, path: str, sent: dict[str, Any], http: httpx.AsyncClient
) -> None:
    series = f'receiver_refusals_total{{reason="{reason}"}}'
    before = await value(http, series)
    await http.post(path, **sent)
    assert await value(http, series) == before + 1


async def test_a_foreign_source_is_counted() -> None:
    settings = Settings.read(
        {"RECEIVER_SECRET": SECRET.reveal(), "RECEIVER_ALLOWED_SOURCES": "203.0.113.7"}, None
    )
    async with client(make_app(Counted(), settings)) as http:
        before = COUNTS.cell(FAMILIES[2], ("source",))[0]
        await http.post("/action/888/post-open", json=FIELDS)
    assert COUNTS.cell(FAMILIES[2], ("source",))[0] == before + 1


async def test_metrics_require_the_token(http: httpx.AsyncClient) -> None:
    answer = await http.get("/metrics", headers=SCRAPER)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert (await http.get("/metrics")).status_code == 401
    assert (await http.post("/metrics", headers=SCRAPER)).status_code == 405
    action = {"Authorization": f"Bearer {credentials('888/post-bearer').token.reveal()}"}
    assert (await http.get("/metrics", headers=action)).status_code == 401
    answer = await http.post("/action/888/post-bearer", json=FIELDS, headers=SCRAPER)
    assert answer.status_code == 401
    rotated = {"Authorization": f"Bearer {operator_token(IDENTITY, SECRET, 2).reveal()}"}
    assert (await http.get("/metrics", headers=rotated)).status_code == 200


async def test_wrong_tokens_of_a_scraper_are_throttled_behind_a_forged_address() -> None:
    settings = dataclasses.replace(OPEN, trusted_proxies=read_networks("127.0.0.1"))
    forged = {"Forwarded": "for=unknown"}
    async with client(make_app(Counted(), settings)) as http:
        wrong = {"Authorization": "Bearer wrong", **forged}
        tries = [(await http.get("/metrics", headers=wrong)) for _ in range(FREE_FAILURES + 1)]
        assert [answer.status_code for answer in tries] == [401] * FREE_FAILURES + [429]
        assert (await http.get("/metrics", headers={**SCRAPER, **forged})).status_code == 200


async def test_metrics_are_off_by_default() -> None:
    async with client(make_app(Counted())) as http:
        assert (await http.get("/metrics", headers=SCRAPER)).status_code == 404


async def test_no_caller_and_no_stranger_is_in_any_label(http: httpx.AsyncClient) -> None:
    await http.post("/action/888/post-open", json={**FIELDS, "input": "98765"})
    await http.get(f"/action/888/get-open?{QUERY}")
    await http.post("/action/888/never-declared", json=FIELDS)
    text = (await http.get("/metrics", headers=SCRAPER)).text
    for hidden in ("98765", "Jason", "12345678", "never-declared", "101"):
        assert hidden not in re.sub(r" [0-9.e+-]+$", "", text, flags=re.MULTILINE)


def dropped(folder: Folder) -> float:
    ((_, cell),) = add_up(folder.read())[DROPPED.name]
    return cell[0]


def test_workers_add_up_in_a_folder_and_broken_files_are_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = Counts(), Counts()
    folders = Folder(one, tmp_path), Folder(two, tmp_path)
    one.add(DROPPED)
    two.add(DROPPED)
    for folder in (*folders, *folders):
        folder.write()
    one.add(DROPPED)  # what a worker has itself is never old
    assert dropped(folders[0]) == 3
    assert dropped(folders[1]) == 2
    (tmp_path / "x.json").write_bytes(b'{"receiver_')
    assert dropped(folders[0]) == 3
    assert "cannot be read" in caplog.text


def test_a_folder_that_cannot_be_written_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = Folder(Counts(), tmp_path / "gone")
    folder.write()
    folder.write()
    (line,) = caplog.messages
    assert line == (
        "the metrics cannot be shared, each worker shows its own: no such file or directory in "
        f"{tmp_path / 'gone'}; create it, or name another in RECEIVER_METRICS_FOLDER"
    )


async def test_a_worker_that_ends_leaves_its_counts(tmp_path: Path) -> None:
    settings = Settings(secret=SECRET, metrics=True, metrics_folder=tmp_path)
    async with running(make_app(Counted(), settings)) as url, httpx.AsyncClient() as http:
        await http.post(f"{url}/action/888/post-open", json=FIELDS)
    (left,) = tmp_path.iterdir()
    assert "888/post-open" in left.read_text()


class Measured(Counts):
    """Counts, and an event once the lag of the event loop was measured."""

    def __init__(self) -> None:
        super().__init__()
        self.done = asyncio.Event()

    def observe(self, family: Family, labels: Labels, value: float) -> None:
        super().observe(family, labels, value)
        self.done.set()


async def test_the_lag_of_the_event_loop_is_measured(tmp_path: Path) -> None:
    counts = Measured()
    folder = Folder(counts, tmp_path)
    async with kept(folder, counts, beat=0.001):
        await asyncio.wait_for(counts.done.wait(), 60)
    ((_, cell),) = add_up(folder.read())[LAG.name]
    assert sum(cell[:-1]) >= 1


@pytest.mark.allow_secrets
def test_the_scrape_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECEIVER_SECRET", SECRET.reveal())
    monkeypatch.setenv("RECEIVER_PUBLIC_URL", "https://ivr.example.com/calls")
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(main, ["metrics", "examples/01_first.py:app"])
    assert done.exit_code == 0
    assert f"credentials: {operator_token(IDENTITY, SECRET, 1).reveal()}\n" in done.output
    assert "metrics_path: /calls/metrics\n" in done.output
    assert '["ivr.example.com"]' in done.output
    assert "# If a proxy forwards /action/ only" in done.output
    assert "metrics are off: set RECEIVER_METRICS=true" in done.output


# the examples' documents ---------------------------------------------------------------------

NAMES = {
    name
    for one in FAMILIES
    for name in (
        [f"{one.name}_bucket", f"{one.name}_sum", f"{one.name}_count"] if one.bounds else [one.name]
    )
}
LABELS = {label for one in FAMILIES for label in one.labels} | {"le", "job"}


@pytest.mark.parametrize("file", ["alerts.yml", "dashboard.json"])
def test_alerts_and_dashboard_speak_of_what_there_is(file: str) -> None:
    text = (ROOT / "examples" / file).read_text().replace('\\"', '"')
    assert set(re.findall(r"\breceiver_[a-z_]+", text)) <= NAMES
    for family in FAMILIES:
        assert family.name in text
    for labels in re.findall(r"by \(([a-z, ]+)\)", text):
        assert set(labels.split(", ")) <= LABELS
    for label, _ in re.findall(r'[{,]([a-z]+)(=~|=|!=)"', text):
        assert label in LABELS


def test_the_dashboard_is_one() -> None:
    board = json.loads((ROOT / "examples" / "dashboard.json").read_text())
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    assert all(panel["targets"][0]["expr"] for panel in board["panels"])
