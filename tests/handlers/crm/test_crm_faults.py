"""A CRM in trouble while a caller is on the line: an answer in time; the entry later, and once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from handlers.crm.contacts import Contact, Number
from handlers.crm.logbook import log_call
from handlers.crm.lookup import CallerLookup
from receiver import Call, Forward, Unavailable
from receiver.after import After, AfterWork
from receiver.after.sqlite import SqliteJobs
from receiver.contexts import Detached
from tests.after.conftest import SECRET, Clock, lines, soon
from tests.handlers.crm.connected import Stage, entry
from tests.handlers.crm.memory import MemoryCrm

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLER = "030 23125000"


class Behind(Detached):
    """What stands behind a call that somebody waits for."""

    def __init__(self, after: After, left: float = math.inf) -> None:
        super().__init__()
        self.after = after  # type: ignore[assignment]
        self.until = asyncio.get_running_loop().time() + left

    def remaining(self) -> float:
        return self.until - asyncio.get_running_loop().time()


class Service:
    """The work after the calls of one process, and a clock for it."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.work = AfterWork(
            SqliteJobs(path, "RECEIVER_AFTER"), SECRET, clock=self.clock, poll=0.01
        )

    async def call(self, lookup: CallerLookup, left: float = 0.6, session: str = "s1") -> Any:
        after = self.work.of_call()
        call = Call(caller=CALLER, ivr="8000", session_id=session, context=Behind(after, left))
        loop = asyncio.get_running_loop()
        began = loop.time()
        reply = await lookup(call)
        after.release()
        return reply, loop.time() - began

    async def until(self, condition: Callable[[], bool]) -> None:
        """Hours go by until it holds."""

        def holds() -> bool:
            self.clock.time += 10
            return condition()

        await soon(holds, 30)


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[Service]:
    service = Service(path)
    service.work.start()
    try:
        yield service
    finally:
        await service.work.close(0)


@pytest.mark.parametrize("trouble", ["down", "slow", "garbage", "odd", "throttled"])
async def test_trouble_costs_no_caller_the_answer(
    staged: Callable[[str], Stage], tmp_path: Path, trouble: Any, caplog: pytest.LogCaptureFixture
) -> None:
    stage = staged("hubspot")
    whose = stage.fake.add("+49 30 23125000", "Grace Hopper")
    crm = stage.make(timeout=1.0, name=f"hubspot-{trouble}")
    lookup = CallerLookup(crm, found="222", unknown="0", region="DE")
    async with serving(tmp_path / "jobs.db") as service:
        stage.fake.trouble = trouble
        for _ in range(2):  # two callbacks of one call
            reply, _ = await service.call(lookup)
            assert reply == Forward("0")
        stage.fake.trouble = ""
        stage.fake.released.set()
        crm._searching._client._pace._shut = -math.inf  # type: ignore[attr-defined]  # 7 s are over
        await service.until(lambda: bool(stage.fake.calls))
        await service.call(lookup)
        await service.call(lookup, session="s2")
        await service.until(lambda: len(stage.fake.calls) == 2)
    first, second = stage.fake.calls
    assert first["associated"] == second["associated"] == [whose]
    assert first["properties"]["hs_call_body"][-1] == "0"
    assert "23125000" not in caplog.text


async def test_two_matches(staged: Callable[[str], Stage], tmp_path: Path) -> None:
    stage = staged("hubspot")
    stage.fake.add("+49 30 23125000", "Grace Hopper")
    stage.fake.add("030 23125000", "Her Brother", owner="78")
    crm = stage.make(name="hubspot-twins")
    lookup = CallerLookup(crm, found="222", several="5", region="DE")
    async with serving(tmp_path / "jobs.db") as service:
        assert (await service.call(lookup, 30))[0] == Forward("5")
        await service.until(lambda: len(stage.fake.calls) == 1)


async def test_an_old_answer_is_better_than_none(staged: Callable[[str], Stage]) -> None:
    stage = staged("hubspot")
    stage.fake.add("+49 30 23125000", "Grace Hopper")
    lookup = CallerLookup(stage.crm, found="222", unknown="0", region="DE", fresh=0, log="never")
    assert await lookup(Call(caller=CALLER)) == Forward("222")
    stage.fake.trouble = "down"
    assert await lookup(Call(caller=CALLER)) == Forward("222")


async def test_another_process_finds_the_crm_by_its_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As after a kill: the first process accepted, the second does."""
    crm = MemoryCrm("acme")
    crm.contacts = {"493023125000": (Contact("1", "Grace", "7"),)}
    lookup = CallerLookup(crm, found="222", region="DE")
    killed = Service(tmp_path / "jobs.db")  # it never starts to work
    assert (await killed.call(lookup))[0] == Forward("222")
    del lookup
    await killed.work.close(0)
    again = MemoryCrm("acme")
    kept = CallerLookup(again, region="DE")
    crm.name = "gone"
    async with serving(tmp_path / "jobs.db") as service:
        await service.until(lambda: bool(again.entries))
    (entry,) = again.entries
    assert (entry.contact, entry.owner) == (Contact("1", "Grace", "7"), "7")
    assert (entry.outcome, entry.destination, entry.ivr) == ("forwarded", "222", "8000")
    assert entry.caller.e164 == "+493023125000"
    assert kept
    assert not crm.entries
    assert not [line for line in lines(caplog) if line.startswith("ERROR")]


async def test_nobody_is_logged_whom_the_crm_turns_out_not_to_know() -> None:
    crm = MemoryCrm("nobody-home")
    lookups = [CallerLookup(crm, region="DE")]
    packed = {
        "key": "k",
        "begun": "2026-11-22T08:00:00+00:00",
        "caller": CALLER,
        "ivr": "8000",
        "outcome": "forwarded",
        "destination": "0",
        "seconds": 0.1,
        "contact": "",
        "name": "",
        "owner": "",
    }
    await log_call("nobody-home", packed, False)
    assert (crm.finds, crm.entries) == (1, [])
    lookups.append(CallerLookup(MemoryCrm("nobody-home"), region="DE"))
    with pytest.raises(Unavailable, match="two CRMs have the name"):
        await log_call("nobody-home", packed, True)
    with pytest.raises(Unavailable, match="no CallerLookup"):
        await log_call("another", packed, True)


async def test_a_queue_out_of_order_delays_only_the_entry(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    crm = MemoryCrm("acme-2")
    crm.contacts = {"493023125000": (Contact("1"),)}
    lookup = CallerLookup(crm, found="222", region="DE")

    class Broken(Detached):
        def __init__(self) -> None:
            super().__init__()
            self.noted = self.after

            async def durably(*args: object, **kwargs: object) -> bool:
                raise Unavailable("no queue")

            self.after.durably = durably  # type: ignore[method-assign]

    behind = Broken()
    assert await lookup(Call(caller=CALLER, context=behind)) == Forward("222")
    assert len(behind.noted) == 1
    assert "keeps its log entry in memory" in caplog.text


async def test_lookups_that_share_a_crm_log_each_by_its_own_options() -> None:
    crm, kept = MemoryCrm("shared"), _Kept()
    german = CallerLookup(crm, log="known", region="DE")
    american = CallerLookup(crm, log="all", region="US")
    for lookup, region, typed in (
        (german, "DE", CALLER),
        (american, "US", "(877) 929-0687"),
    ):
        assert lookup._book
        nobody = entry(key=region, caller=Number.parse(typed, region))
        await lookup._book.keep(kept, nobody, sought=False)  # type: ignore[arg-type]
    for job in kept.jobs:
        await log_call(*job)
    assert [one.caller.e164 for one in crm.entries] == ["+18779290687"]


class _Kept:
    """A call that keeps its durable jobs."""

    def __init__(self) -> None:
        self.after = self
        self.jobs: list[Any] = []

    def remaining(self) -> float:
        return 1.0

    async def durably(self, _: object, *args: object, idempotency_key: str) -> None:
        self.jobs.append(args)
