"""What the child tells of a callback: from the handler, its thread, and whom it asks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest

from receiver import Call, Forward, Ivr, Receiver, Reply, Secret, Settings
from receiver.dev.child import Observed
from receiver.dev.messages import Mischief, Report, decode_up, encode
from receiver.dev.places import handler_of, is_own, why_not
from receiver.dev.reporting import Listener, Reporter
from receiver.errors import DeclarationError, LoadError, UpstreamError
from receiver.upstream import Client, Lookup
from tests.upstream.stage import BROKEN, Crm

log = logging.getLogger("my.app")
NOTHING: dict[str, Reply] = {}
SETTINGS = Settings(secret=Secret("the secret of the tests"), log_caller_data=True)


@pytest.fixture
async def crm() -> AsyncIterator[Crm]:
    crm = Crm()
    await crm.start()
    yield crm
    await crm.stop()


@pytest.fixture(autouse=True)
def listener() -> Iterator[None]:
    handler = Listener()
    logging.getLogger().addHandler(handler)
    log.setLevel(logging.INFO)
    yield
    logging.getLogger().removeHandler(handler)


class Child:
    """An app as the child has it, and its last report of each callback."""

    def __init__(self, ivr: Ivr) -> None:
        self.reports: dict[int, Report] = {}
        self._came = asyncio.Event()
        self.reporter = Reporter(self._take)
        self.app = Observed(Receiver(ivr), self.reporter, SETTINGS)

    def _take(self, report: Report) -> None:
        self.reports[report.id] = report
        self._came.set()

    async def until(self, fits: Callable[[Report], object]) -> Report:
        """The last report, once it fits."""
        async with asyncio.timeout(20):
            while True:
                self._came.clear()
                if self.reports and fits(last := self.reports[max(self.reports)]):
                    return last
                await self._came.wait()

    async def ask(self, name: str, session: str = "7") -> dict[str, object]:
        """Ask an action without authentication."""
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            fields = {"from": "101", "input": "1", "session_id": session}
            answer = await client.post(f"/action/8000/{name}", json=fields)
        found: dict[str, object] = answer.json()
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
    told = {report.session: report for report in child.reports.values()}
    assert [line.message for line in told["a"].log] == ["one of a", "later of a"]
    assert [line.message for line in told["b"].log] == ["two of b"]
    assert (told["b"].log[0].level, told["b"].log[0].logger) == ("INFO", "my.app")
    assert told["a"].action == "8000/one"
    assert told["a"].handler.endswith(".one")
    assert told["a"].stages is not None
    assert told["a"].stages.keys() == {"authentication", "body", "handler", "whole"}


async def test_an_exception_has_its_place_also_from_a_thread() -> None:
    ivr = Ivr("8000")

    @ivr.dtmf("1", auth=None, fallback=Forward("0"))
    def bad(call: Call) -> Reply:
        return NOTHING["missing"]

    child = Child(ivr)
    assert (await child.ask("bad"))["destination"] == "0"
    report = await child.until(lambda r: r.reason)
    assert report.error is not None
    assert (report.reason, report.error.type) == ("raised", "KeyError")
    assert report.error.file.endswith("test_dev_reporting.py")
    assert report.error.code.startswith('return NOTHING["missing"]')
    assert report.error.function == "bad"


def test_what_was_put_off_when_the_service_ended_is_told() -> None:
    ivr = Ivr("8000")

    @ivr.dtmf("1", auth=None)
    async def one(call: Call) -> Reply:
        return Forward("222")

    child = Child(ivr)
    asyncio.run(child.ask("one"))
    assert not any(report.reason for report in child.reports.values())
    child.reporter.flush()
    assert [report.reason for report in child.reports.values()] == ["handled"]
    assert not child.reporter.planned


async def test_a_text_that_is_no_unicode_is_told_all_the_same() -> None:
    ivr = Ivr("8000")

    @ivr.dtmf("1", auth=None, fallback=Forward("0"))
    async def odd(call: Call) -> Reply:
        log.info("a name of a file: \udcff")
        raise KeyError("\ud800")

    child = Child(ivr)
    await child.ask("odd")
    report = await child.until(lambda r: r.reason)
    told = decode_up(encode(report))
    assert isinstance(told, Report)
    assert (told.id, told.reason) == (report.id, "raised")
    assert [line.message for line in told.log] == ["a name of a file: \\udcff"]
    assert told.error is not None
    assert "ud800" in told.error.text


async def test_what_is_asked_of_others(crm: Crm) -> None:
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
    assert "101" not in str(first)

    crm.script = [BROKEN]
    assert (await child.ask("broken"))["destination"] == "333"
    first, second = (await child.until(lambda r: r.action == "8000/broken" and r.reason)).upstream
    assert [(one.status, one.source) for one in (first, second)] == [
        (503, "network"),
        (None, "circuit"),
    ]
    await client.aclose()
    await people.aclose()


async def test_the_crm_may_be_down_or_slow(crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(crm.url, failures=99)
    ivr = Ivr("8000")

    @ivr.dtmf("1", auth=None, fallback=Forward("0"))
    async def pick(call: Call) -> Reply:
        await client.get("/people", call=call)
        return Forward("222")

    child = Child(ivr)
    child.reporter.mischief = Mischief(crm="down")
    assert (await child.ask("pick"))["destination"] == "0"
    assert crm.count == 0
    child.reporter.mischief = Mischief(crm="slow")
    monkeypatch.setattr("receiver.dev.reporting.CRM_SLOW", 0.0)
    assert (await child.ask("pick"))["destination"] == "222"
    child.reporter.mischief = Mischief(slow=30)
    assert (await child.ask("pick"))["destination"] == "0"
    assert (await child.until(lambda r: r.reason == "late")).log == []
    await client.aclose()


async def test_a_loquacious_handler_is_cut_off() -> None:
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


async def test_objects_and_partials_are_handlers_too() -> None:
    class Menu:
        async def __call__(self, call: Call) -> Reply:
            return Forward("444")

    ivr = Ivr("8000")
    ivr.add("DTMF", "1", Menu(), name="menu", auth=None)
    child = Child(ivr)
    assert (await child.ask("menu"))["destination"] == "444"
    (name, place) = handler_of(Menu(), "app.py:3")
    assert name.endswith(".Menu")
    assert "test_dev_reporting.py:" in place


def test_why_an_app_does_not_load() -> None:
    assert not is_own("<frozen importlib._bootstrap>")
    assert not is_own(asyncio.__file__)
    assert not is_own(httpx.__file__)
    assert is_own(__file__)
    assert why_not(DeclarationError("that is wrong", "")) == ("that is wrong", "")
    assert why_not(DeclarationError("wrong", f"{__file__}:7"))[1] == __file__
    assert why_not(LoadError("there is no module")) == ("there is no module", "")

    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    try:
        raise Mute
    except Mute as error:
        text, file = why_not(error)
    assert (file, "Mute: (no text: ValueError)" in text) == (__file__, True)
