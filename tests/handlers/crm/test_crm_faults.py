"""Faults of a CRM during a call: the answer is in time, the call is logged later, once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from handlers.crm.contacts import Contact, Number
from handlers.crm.engagements import log_call
from handlers.crm.lookup import CallerLookup
from receiver import Acceptance, Call, Forward, Unavailable
from receiver.background import After, BackgroundJobs
from receiver.call_context import Detached
from receiver.storage.jobs_sqlite import SqliteJobs
from tests.background.conftest import NOW, POLLING, SECRET, lines, soon
from tests.clock import Clock
from tests.handlers.crm.connected import Stage, engagement_of
from tests.handlers.crm.memory import MemoryCrm

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLER = "030 23125000"


class Behind(Detached):
    """Context of a call with a deadline."""

    def __init__(self, after: After, left: float = math.inf) -> None:
        super().__init__()
        self.after = after  # type: ignore[assignment]
        self.until = asyncio.get_running_loop().time() + left

    def remaining(self) -> float:
        return self.until - asyncio.get_running_loop().time()


class Service:
    """The background jobs of one process, with a clock."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock(NOW)
        self.work = BackgroundJobs(
            SqliteJobs(path, "RECEIVER_JOBS"), SECRET, clock=self.clock, durable=POLLING
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
        """Advance the clock until the condition holds."""

        def holds() -> bool:
            self.clock.now += 10
            return condition()

        await soon(holds)


@asynccontextmanager
async def serving(path: Path) -> AsyncIterator[Service]:
    service = Service(path)
    service.work.start()
    try:
        yield service
    finally:
        await service.work.close(0)


@pytest.mark.parametrize("trouble", ["down", "slow", "garbage", "odd", "throttled"])
async def test_faults_of_the_crm_delay_no_answer(
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
        crm._search_client._limit._blocked_until = -math.inf  # type: ignore[attr-defined]  # 7 s are over
        await service.until(lambda: bool(stage.fake.calls))
        await service.call(lookup, 30)
        await service.call(lookup, 30, session="s2")
        await service.until(lambda: len(stage.fake.calls) == 2)
    first, second = stage.fake.calls
    assert first["associated"] == second["associated"] == [whose]
    assert first["properties"]["hs_call_body"][-1] == "0"
    assert "23125000" not in caplog.text


async def test_a_slow_crm_leaves_time_for_the_route(
    staged: Callable[[str], Stage], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stage = staged("hubspot")
    stage.fake.trouble = "slow"
    lookup = CallerLookup(stage.make(name="hubspot-rest"), unknown="0", region="DE", log="never")
    async with serving(tmp_path / "jobs.db") as service:
        assert (await service.call(lookup))[0] == Forward("0")
    assert "no answer within two thirds of the call's time" in caplog.text  # not: at its deadline


async def test_two_matching_contacts(staged: Callable[[str], Stage], tmp_path: Path) -> None:
    stage = staged("hubspot")
    stage.fake.add("+49 30 23125000", "Grace Hopper")
    stage.fake.add("030 23125000", "Her Brother", owner="78")
    crm = stage.make(name="hubspot-twins")
    lookup = CallerLookup(crm, found="222", several="5", region="DE")
    async with serving(tmp_path / "jobs.db") as service:
        assert (await service.call(lookup, 30))[0] == Forward("5")
        await service.until(lambda: len(stage.fake.calls) == 1)


async def test_a_stale_answer_is_used_while_the_crm_is_down(staged: Callable[[str], Stage]) -> None:
    stage = staged("hubspot")
    stage.fake.add("+49 30 23125000", "Grace Hopper")
    lookup = CallerLookup(stage.crm, found="222", unknown="0", region="DE", fresh=0, log="never")
    assert await lookup(Call(caller=CALLER)) == Forward("222")
    stage.fake.trouble = "down"
    assert await lookup(Call(caller=CALLER)) == Forward("222")


async def test_another_process_finds_the_crm_by_its_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The first process accepted the job, the second runs it, as after a crash."""
    crm = MemoryCrm("acme")
    crm.contacts = {"493023125000": (Contact("1", "Grace", "7"),)}
    lookup = CallerLookup(crm, found="222", region="DE")
    killed = Service(tmp_path / "jobs.db")  # it never starts to work
    assert (await killed.call(lookup, 30))[0] == Forward("222")
    del lookup
    await killed.work.close(0)
    again = MemoryCrm("acme")
    kept = CallerLookup(again, region="DE")
    crm.name = "gone"
    async with serving(tmp_path / "jobs.db") as service:
        await service.until(lambda: bool(again.engagements))
    (engagement,) = again.engagements
    assert (engagement.contact, engagement.owner) == (Contact("1", "Grace", "7"), "7")
    assert (engagement.outcome, engagement.destination, engagement.ivr) == (
        "forwarded",
        "222",
        "8000",
    )
    assert engagement.caller.e164 == "+493023125000"
    assert kept
    assert not crm.engagements
    assert not [line for line in lines(caplog) if line.startswith("ERROR")]


async def test_the_job_logs_no_caller_without_a_contact() -> None:
    crm = MemoryCrm("unknown-caller")
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
    await log_call("unknown-caller", packed, False)
    assert (crm.finds, crm.engagements) == (1, [])
    lookups.append(CallerLookup(MemoryCrm("unknown-caller"), region="DE"))
    with pytest.raises(Unavailable, match="two CRMs are named"):
        await log_call("unknown-caller", packed, True)
    with pytest.raises(Unavailable, match="no CallerLookup"):
        await log_call("another", packed, True)


async def test_an_unavailable_queue_delays_only_the_engagement(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    crm = MemoryCrm("acme-2")
    crm.contacts = {"493023125000": (Contact("1"),)}
    lookup = CallerLookup(crm, found="222", region="DE")

    class Broken(Detached):
        def __init__(self) -> None:
            super().__init__()
            self.noted = self.after

            def durably(*args: object, **kwargs: object) -> Acceptance:
                raise Unavailable("no queue")

            self.after.durably = durably  # type: ignore[method-assign]

    behind = Broken()
    assert await lookup(Call(caller=CALLER, context=behind)) == Forward("222")
    assert len(behind.noted) == 1
    assert "keeps the engagement in memory" in caplog.text


async def test_lookups_that_share_a_crm_log_by_their_options() -> None:
    crm, kept = MemoryCrm("shared"), _Kept()
    german = CallerLookup(crm, log="known", region="DE")
    american = CallerLookup(crm, log="all", region="US")
    for lookup, region, typed in (
        (german, "DE", CALLER),
        (american, "US", "(877) 929-0687"),
    ):
        assert lookup._log
        unknown = engagement_of(key=region, caller=Number.parse(typed, region))
        await lookup._log.enqueue(kept, unknown, searched=False)  # type: ignore[arg-type]
    for job in kept.jobs:
        await log_call(*job)
    assert [one.caller.e164 for one in crm.engagements] == ["+18779290687"]


class _Kept:
    """A call that keeps its durable jobs."""

    def __init__(self) -> None:
        self.after = self
        self.jobs: list[Any] = []

    def remaining(self) -> float:
        return 1.0

    async def durably(self, _: object, *args: object, idempotency_key: str) -> None:
        self.jobs.append(args)
