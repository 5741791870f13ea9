"""The reports of the child on a callback: log, exceptions, requests, blocking calls."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest
from starlette.types import Message

from receiver import Call, Forward, Ivr, Receiver, Reply, Secret, Settings
from receiver.declarations.introspection import source_location
from receiver.dev.callback_reports import LogCapture, Reporter
from receiver.dev.child import ReportingReceiver
from receiver.dev.error_details import load_problem
from receiver.dev.messages import Report, Simulation, decode_from_child, encode
from receiver.errors import DeclarationError, LoadError, UpstreamError
from receiver.execution.source_files import is_own
from receiver.upstream import Client, Lookup
from receiver.upstream.interception import intercepted
from tests.asgi import http_scope
from tests.upstream.stage import BROKEN, Crm

log = logging.getLogger("my.app")
NOTHING: dict[str, Reply] = {}
SETTINGS = Settings(secret=Secret("6d0f2c9ab17e4583f4c8d25e90ab3716"), log_caller_data=True)


@pytest.fixture
async def crm() -> AsyncIterator[Crm]:
    crm = Crm()
    await crm.start()
    yield crm
    await crm.stop()


@pytest.fixture(autouse=True)
def interception() -> Iterator[None]:
    """Observe requests as the child process does."""
    with intercepted():
        yield
    while REPORTERS:
        REPORTERS.pop().flush()  # ends its thread


@pytest.fixture(autouse=True)
def listener() -> Iterator[None]:
    handler = LogCapture()
    logging.getLogger().addHandler(handler)
    log.setLevel(logging.INFO)
    yield
    logging.getLogger().removeHandler(handler)


REPORTERS: list[Reporter] = []
"""The reporters that a test made."""


class Child:
    """An app as the child has it, and its last report of each callback."""

    def __init__(self, ivr: Ivr) -> None:
        self.reports: dict[int, Report] = {}
        self._came = asyncio.Event()
        self.reporter = Reporter(self._take)
        REPORTERS.append(self.reporter)
        self.app = ReportingReceiver(Receiver(ivr), self.reporter, SETTINGS)

    def _take(self, report: Report) -> None:
        self.reports[report.id] = report
        self._came.set()

    async def until(self, fits: Callable[[Report], object]) -> Report:
        """The last report, once it fits."""
        async with asyncio.timeout(60):
            while True:
                self._came.clear()
                if self.reports and fits(last := self.reports[max(self.reports)]):
                    return last
                await self._came.wait()

    async def ask(self, name: str, session: str = "7") -> dict[str, object]:
        """Ask an action without authentication, and without httpx, which is intercepted."""
        fields = {"from": "101", "input": "1", "session_id": session}
        body = json.dumps(fields).encode()
        headers = [(b"host", b"x"), (b"content-type", b"application/json")]
        scope = http_scope(f"/action/8000/{name}".encode(), b"", "POST", headers)
        sent: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        found: dict[str, object] = json.loads(sent[1]["body"])
        return found


async def test_log_lines_belong_to_their_callback_in_threads_too() -> None:
    ivr = Ivr("8000")

    @ivr.dtmf("1", auth=None)
    async def one(call: Call) -> Reply:
        log.info("one of %s", call.session_id)
        await asyncio.create_task(later(call))
        return Forward("222")

    async def later(call: Call) -> None:
        log.warning("later of %s", call.session_id)

    @ivr.dtmf("2", auth=None, sensitive=True)
    def two(call: Call) -> Reply:
        log.info("two of %s", call.session_id)
        log.debug("too fine")
        return Forward("333")

    child = Child(ivr)
    log.info("outside of all callbacks")
    answers = await asyncio.gather(child.ask("one", "a"), child.ask("two", "b"))
    assert [one["destination"] for one in answers] == ["222", "333"]
    await child.until(lambda _: sum(r.reason == "handled" for r in child.reports.values()) == 2)
    reports = {report.session: report for report in child.reports.values()}
    assert [line.message for line in reports["a"].log] == ["one of a", "later of a"]
    assert [line.message for line in reports["b"].log] == ["two of b"]
    assert (reports["b"].log[0].level, reports["b"].log[0].logger) == ("INFO", "my.app")
    assert reports["a"].action == "8000/one"
    assert reports["a"].handler.endswith(".one")
    assert reports["a"].stages is not None
    assert reports["a"].stages.keys() == {"authentication", "body", "handler", "whole"}


async def test_an_exception_in_a_thread_has_its_place() -> None:
    ivr = Ivr("8000")

    @ivr.dtmf("1", auth=None, fallback=Forward("0"))
    def bad(call: Call) -> Reply:
        return NOTHING["missing"]

    child = Child(ivr)
    assert (await child.ask("bad"))["destination"] == "0"
    report = await child.until(lambda r: r.reason)
    assert report.error is not None
    assert (report.reason, report.error.type) == ("raised", "KeyError")
    assert report.error.file.endswith("test_callback_reports.py")
    assert report.error.code.startswith('return NOTHING["missing"]')
    assert report.error.function == "bad"


def test_scheduled_reports_are_sent_when_the_service_ends() -> None:
    ivr = Ivr("8000")

    @ivr.dtmf("1", auth=None)
    async def one(call: Call) -> Reply:
        return Forward("222")

    child = Child(ivr)
    asyncio.run(child.ask("one"))
    assert not any(report.reason for report in child.reports.values())
    child.reporter.flush()
    assert [report.reason for report in child.reports.values()] == ["handled"]
    assert not child.reporter.scheduled


async def test_a_text_with_lone_surrogates_is_reported() -> None:
    ivr = Ivr("8000")

    @ivr.dtmf("1", auth=None, fallback=Forward("0"))
    async def odd(call: Call) -> Reply:
        log.info("a name of a file: \udcff")
        raise KeyError("\ud800")

    child = Child(ivr)
    await child.ask("odd")
    report = await child.until(lambda r: r.reason)
    decoded = decode_from_child(encode(report))
    assert isinstance(decoded, Report)
    assert (decoded.id, decoded.reason) == (report.id, "raised")
    assert [line.message for line in decoded.log] == ["a name of a file: \\udcff"]
    assert decoded.error is not None
    assert "ud800" in decoded.error.text


async def test_requests_to_a_crm_are_reported(crm: Crm) -> None:
    client = Client(crm.url, failures=1)
    ivr = Ivr("8000")

    async def find(key: str) -> bytes:
        return (await client.get("/people", params={"number": key})).body

    people = Lookup(find, fresh=60, stale=60)

    @ivr.dtmf("1", auth=None, fallback=Forward("0"))
    async def kept(call: Call) -> Reply:
        await people(call.caller, call)
        await people(call.caller, call)
        return Forward("222")

    @ivr.dtmf("2", auth=None, fallback=Forward("0"))
    async def broken(call: Call) -> Reply:
        for _ in range(2):
            try:
                await client.get("/people", call=call)
            except UpstreamError as error:
                log.info("%s", error)
        return Forward("333")

    child = Child(ivr)
    assert (await child.ask("kept"))["destination"] == "222"
    first, second = (await child.until(lambda r: r.reason)).upstream
    host = crm.url.removeprefix("http://")
    assert (first.method, first.host, first.path) == ("GET", host, "/people")
    assert (first.status, first.source) == (200, "network")
    assert (second.method, second.status, second.source) == ("", None, "cache")
    assert second.host.endswith("find")
    assert "101" not in first.path

    crm.script = [BROKEN]
    assert (await child.ask("broken"))["destination"] == "333"
    first, second = (await child.until(lambda r: r.action == "8000/broken" and r.reason)).upstream
    assert [(one.status, one.source) for one in (first, second)] == [
        (503, "network"),
        (None, "circuit"),
    ]
    await client.aclose()
    await people.aclose()


async def test_a_crm_that_is_down_or_slow_is_simulated(crm: Crm) -> None:
    client = Client(crm.url, failures=99)
    ivr = Ivr("8000")

    @ivr.dtmf("1", auth=None, fallback=Forward("0"))
    async def pick(call: Call) -> Reply:
        await client.get("/people", call=call)
        return Forward("222")

    child = Child(ivr)
    child.reporter.simulation = Simulation(crm="down")
    assert (await child.ask("pick"))["destination"] == "0"
    assert crm.count == 0
    child.reporter.simulation = Simulation(crm="slow")
    child.reporter.crm_delay = 0.0
    assert (await child.ask("pick"))["destination"] == "222"
    child.reporter.simulation = Simulation(slow=30)
    assert (await child.ask("pick"))["destination"] == "0"
    assert (await child.until(lambda r: r.reason == "late")).log == []
    await client.aclose()


@pytest.mark.parametrize("how", ["async client", "client", "function", "executor"])
async def test_a_crm_that_is_down_fails_the_requests_of_any_httpx_client(
    crm: Crm, how: str
) -> None:
    url, ivr = f"{crm.url}/people/7?number=101", Ivr("8000")

    @ivr.dtmf("1", auth=None, fallback=Forward("0"), name="pick")
    async def asynchronous(call: Call) -> Reply:
        async with httpx.AsyncClient() as client:
            await client.get(url)
        return Forward("222")

    def get() -> None:
        with httpx.Client() as client:
            client.get(url)

    @ivr.dtmf("2", auth=None, fallback=Forward("0"), name="plain")
    def plain(call: Call) -> Reply:
        get() if how == "client" else httpx.get(url)
        return Forward("222")

    @ivr.dtmf("3", auth=None, fallback=Forward("0"), name="executor")
    async def executor(call: Call) -> Reply:
        await asyncio.get_running_loop().run_in_executor(None, get)
        return Forward("222")

    name = {"async client": "pick", "executor": "executor"}.get(how, "plain")
    child = Child(ivr)
    with intercepted(child.reporter):
        assert (await child.ask(name))["destination"] == "222"
        child.reporter.simulation = Simulation(crm="down")
        assert (await child.ask(name))["destination"] == "0"
        assert crm.count == 1
        child.reporter.simulation = Simulation(crm="slow")
        child.reporter.crm_delay = 0.0
        assert (await child.ask(name))["destination"] == "222"
    await child.until(lambda _: sum(bool(r.reason) for r in child.reports.values()) == 3)
    if how != "executor":  # its threads do not belong to the callback
        host = crm.url.removeprefix("http://")
        for number, status in ((1, 200), (2, None), (3, 200)):
            [found] = child.reports[number].upstream
            assert (found.host, found.path, found.status) == (host, "/people/7", status)


async def test_the_size_of_a_report_is_bounded() -> None:
    ivr = Ivr("8000")

    @ivr.dtmf("1", auth=None)
    async def chat(call: Call) -> Reply:
        for number in range(500):
            log.info("%d %s", number, "x" * 5000)
        return Forward("222")

    child = Child(ivr)
    await child.ask("chat")
    report = await child.until(lambda r: r.reason)
    assert len(report.log) == 200
    assert len(report.log[0].message) == 2000


async def test_a_call_that_blocks_the_event_loop_is_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ivr = Ivr("8000")
    released = threading.Event()

    @ivr.dtmf("1", auth=None)
    async def look_up(call: Call) -> Reply:
        assert released.wait(60)
        return Forward("222")

    class Release(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            released.set()

    logger, release = logging.getLogger("receiver.dev"), Release()
    logger.addHandler(release)
    child = Child(ivr)
    assert (await child.ask("look_up"))["destination"] == "222"
    logger.removeHandler(release)
    [found] = (await child.until(lambda r: r.blocking)).blocking
    assert found.file.endswith("test_callback_reports.py")
    assert "released.wait in" in found.problem
    assert f"{found.file}:{found.line}: {found.problem}" in caplog.messages


async def test_objects_and_partials_are_handlers_too() -> None:
    class Menu:
        async def __call__(self, call: Call) -> Reply:
            return Forward("444")

    ivr = Ivr("8000")
    ivr.add("DTMF", "1", Menu(), name="menu", auth=None)
    child = Child(ivr)
    assert (await child.ask("menu"))["destination"] == "444"
    (name, place) = source_location(Menu(), "app.py:3")
    assert name.endswith(".Menu")
    assert "test_callback_reports.py:" in place


def test_the_reason_why_an_app_does_not_load() -> None:
    assert not is_own("<frozen importlib._bootstrap>")
    assert not is_own(asyncio.__file__)
    assert not is_own(httpx.__file__)
    assert is_own(__file__)
    assert load_problem(DeclarationError("that is wrong", "")) == ("that is wrong", "")
    assert load_problem(DeclarationError("wrong", f"{__file__}:7"))[1] == __file__
    assert load_problem(LoadError("there is no module")) == ("there is no module", "")

    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    try:
        raise Mute
    except Mute as error:
        text, file = load_problem(error)
    assert (file, "Mute: (no text: ValueError)" in text) == (__file__, True)
