"""`CallerLookup.complete`: one record of a call, completed whenever its event arrives."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from handlers.crm.contacts import Contact, Outcome
from handlers.crm.engagements import EngagementLog, job_key, key_of_session
from handlers.crm.lookup import CallerLookup
from receiver import Call, CallEvent, CallTarget, Forward, Unavailable, job_state
from receiver.background import BackgroundJobs
from receiver.background.job_states import current_queue
from receiver.storage.job_queue import JobState
from receiver.storage.jobs_memory import MemoryJobs
from tests.background.conftest import POLLING, SECRET, soon
from tests.handlers.crm.memory import MemoryCrm
from tests.handlers.crm.test_crm_faults import Behind

CALLER = "030 23125000"
ENDED = CallEvent(
    "call_ended",
    session_id="s1",
    caller="+493023125000",
    callee="8000",
    started=datetime(2026, 11, 29, 8, 0, tzinfo=UTC),
    status="answered",
    targets=(CallTarget("222", status="answered", talk_duration=95.0),),
    recording="https://pbx.example.com/r/1",
)
ANSWERED = Outcome(True, "222", 95.0, "https://pbx.example.com/r/1")
DONE = JobState("done", "logged 0")


_numbers = itertools.count()


class Service:
    """A look-up with its queue; the jobs run when the test runs them."""

    def __init__(self) -> None:
        self.crm = MemoryCrm(f"completion-{next(_numbers)}")  # CRMs of an app are found by name
        self.crm.contacts = {"493023125000": (Contact("1", "Grace", "7"),)}
        self.lookup = CallerLookup(self.crm, found="222", unknown="0", region="DE")
        self.queue = MemoryJobs[str]()
        self.jobs = BackgroundJobs(self.queue, SECRET, durable=POLLING)
        current_queue.set(self.queue)

    async def call(self, ivr: str = "8000", caller: str = CALLER, session: str = "s1") -> None:
        after = self.jobs.of_call()
        call = Call(caller=caller, ivr=ivr, session_id=session, context=Behind(after))
        assert isinstance(await self.lookup(call), Forward)
        after.release()

    async def run_jobs(self) -> None:
        self.jobs.start()
        await soon(lambda: not self.queue.open_bodies())

    async def state(self) -> JobState | None:
        return await job_state(job_key(self.crm.name, key_of_session("s1")))


@pytest_asyncio.fixture
async def service() -> AsyncIterator[Service]:
    service = Service()
    yield service
    await service.jobs.close(0)


async def test_the_event_completes_the_record_of_the_call(service: Service) -> None:
    await service.call()
    await service.run_jobs()
    assert await service.state() == DONE
    assert service.crm.engagements[0].end is None  # and so it stays if the event never comes
    for _ in range(2):
        await service.lookup.complete(ENDED)
    (engagement,) = service.crm.engagements
    assert (engagement.end, engagement.destination) == (ANSWERED, "222")
    assert engagement.contact == Contact("1", "Grace", "7")
    assert "answered by 222, 95 s, recording: https://pbx" in engagement.text


async def test_an_event_that_comes_before_the_record_waits_for_it(service: Service) -> None:
    await service.call()
    with pytest.raises(Unavailable, match="not logged yet"):
        await service.lookup.complete(ENDED)
    await service.run_jobs()
    await service.lookup.complete(ENDED)
    assert [one.end for one in service.crm.engagements] == [ANSWERED]


async def test_a_call_through_two_ivrs_is_one_record(service: Service) -> None:
    await service.call()
    await service.call("8100")
    await service.run_jobs()
    await service.lookup.complete(ENDED)
    assert [one.end for one in service.crm.engagements] == [ANSWERED]


async def give_up(service: Service) -> None:
    (job,) = await service.queue.claim(2e9, 3e9, 9)
    await service.queue.dead_letter(job, "Unavailable", 2e9)


async def test_a_call_whose_job_was_given_up_is_logged_when_it_is_over(service: Service) -> None:
    await service.call()
    await give_up(service)
    for _ in range(2):
        await service.lookup.complete(ENDED)
    (engagement,) = service.crm.engagements
    assert (engagement.end, engagement.contact) == (ANSWERED, Contact("1", "Grace", "7"))
    assert engagement.ivr == "8000"


@pytest.mark.parametrize("event", [ENDED, replace(ENDED, session_id="")])
async def test_a_call_that_was_not_routed_by_the_lookup_is_left_alone(
    service: Service, event: CallEvent
) -> None:
    await service.lookup.complete(event)
    assert (service.crm.engagements, service.crm.completed) == ([], [])


async def test_the_log_says_why_a_call_is_not_logged_or_completed(
    service: Service, caplog: pytest.LogCaptureFixture
) -> None:
    """Such as a scope that only writing needs: the error of a job is logged without its text."""
    await service.call()
    await service.run_jobs()
    service.crm.error = Unavailable("answered 403: MISSING_SCOPES")
    with pytest.raises(Unavailable):
        await service.lookup.complete(ENDED)
    await service.call(session="s2")
    await soon(lambda: "call not logged" in caplog.text)
    for what in ("outcome not added", "call not logged"):
        line = f"CallerLookup: {what} in CRM {service.crm.name}: answered 403: MISSING_SCOPES"
        assert line in caplog.messages


async def test_an_unknown_caller_is_not_completed(service: Service) -> None:
    service.crm.error = Unavailable("down")  # so the job searches again
    await service.call(caller="030 999999")
    service.crm.error = None
    await service.run_jobs()
    assert await service.state() == JobState("done")
    await service.lookup.complete(ENDED)
    assert (service.crm.engagements, service.crm.completed) == ([], [])


async def test_a_connector_that_cannot_complete_keeps_the_record(service: Service) -> None:
    class Older:
        name = service.crm.name
        find, owner, log = service.crm.find, service.crm.owner, service.crm.log

    await service.call()
    await service.run_jobs()
    await EngagementLog(Older(), unknown=False, region="DE").complete(ENDED)
    assert [one.end for one in service.crm.engagements] == [None]


async def test_nothing_is_completed_where_nothing_is_logged(service: Service) -> None:
    silent = CallerLookup(service.crm, found="222", unknown="0", region="DE", log="never")
    await silent.complete(ENDED)
    assert service.crm.completed == []
