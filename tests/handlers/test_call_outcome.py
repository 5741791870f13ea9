"""Calls from the look-up to their outcome in the CRM, on real HTTP, with kill -9 in between.

The PBX is simulated, with its REST API, and so is the CRM; the service is a separate process,
with the durable jobs in a SQLite file. A call is greeted by a spoken prompt, routed by the look-up,
announced and answered, another one is missed. Nothing is lost, and nothing is there twice.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest_asyncio

from receiver import Secret
from receiver.declarations.ivr import desired_ivrs
from receiver.pbx.access_tokens import GivenToken
from receiver.pbx.pbx_client import PbxClient
from receiver.registration import registrar
from receiver.registration.event_urls import desired_event_state
from receiver.server.uvicorn_server import running
from receiver.simulator.api import make_api
from receiver.simulator.call import PhoneCall
from receiver.simulator.event_records import CallEnd
from receiver.simulator.event_sender import EventFaults, EventSender
from receiver.simulator.line import Line
from receiver.simulator.model import Pbx
from tests.background.conftest import soon
from tests.handlers.crm.fake_hubspot import FakeHubSpot
from tests.handlers.crm_service import make_app
from tests.recordings import Speaker
from tests.support import SECRET

CALLER = "+493023125000"
TODAY = 1_796_000_000.0
LINK = "https://pbx.example.com/recordings/1.wav"
TOKEN = "the-token-of-the-stage"
LIMIT = 60.0


class Stage:
    """A PBX, a CRM with one contact, and a service that can be killed."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.crm = FakeHubSpot()
        self.whose = self.crm.add(CALLER, "Grace Hopper")
        self.crm_url = self.base = ""
        self.pbx, self.speaker = Pbx(), Speaker()
        self.service: subprocess.Popen[bytes] | None = None
        self.sender = EventSender(
            lambda: self.pbx.tenant_settings["cdr_event"], sleep=self._between_attempts
        )
        self.sender.faults = EventFaults(copies=2, shuffled=True)

    async def start(self) -> None:
        """Start the service, on the same port as before."""
        self._begin()
        await soon((self.folder / "url").exists, LIMIT)
        self.base = (self.folder / "url").read_text()

    def _begin(self) -> None:
        (self.folder / "url").unlink(missing_ok=True)
        program = "from tests.handlers.crm_service import run; run()"
        port = str(urlsplit(self.base).port or 0)
        self.service = subprocess.Popen(
            [sys.executable, "-c", program, str(self.folder), port, self.crm_url],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )

    def kill(self) -> None:
        assert self.service is not None
        self.service.kill()
        self.service.wait()
        self.service = None

    async def register(self) -> list[str]:
        """Apply what the app declares, through the PBX's REST API; return the changes."""
        app, token = make_app(self.folder, self.crm_url), Secret(TOKEN)
        async with (
            running(make_api(self.pbx, token=token), lifespan="off") as url,
            PbxClient(url, GivenToken(token)) as client,
        ):
            event_url = desired_event_state(app.event_endpoint(""), self.base, SECRET)
            plan = await registrar.make_plan(
                *(client, app, self.base, SECRET),
                ivrs=desired_ivrs(app.ivrs),
                event_url=event_url,
                speak=self.speaker,
            )
            done = (await registrar.apply(client, plan, allow_deletes=False)).done
        return [str(change) for change in done]

    async def call(self) -> PhoneCall:
        """Call the IVR and key in 1; an announcement is played, and the call forwarded to 222."""
        call = await Line(self.pbx, scale=10.0).dial("8000", caller=CALLER)
        await call.press("1")
        assert (call.announcements, call.forwarded_to) == (("8801",), "222")
        return call

    async def report(self, call: PhoneCall, end: CallEnd) -> None:
        """Report the events of a call, each twice and in any order."""
        sent = await self.sender.report(call, end, TODAY)
        assert sent
        assert all(one.acknowledged for one in sent)

    async def _between_attempts(self, seconds: float) -> None:
        """The PBX waits with an event that was not acknowledged; meanwhile the service starts."""
        if self.service is None:
            await self.start()


@pytest_asyncio.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path)
    async with AsyncExitStack() as stack:
        stage.crm_url = await stack.enter_async_context(running(stage.crm, lifespan="off"))
        await stage.start()
        try:
            yield stage
        finally:
            if stage.service is not None:
                stage.kill()


async def test_calls_are_found_in_the_crm_with_their_outcome(stage: Stage) -> None:
    assert await stage.register() == [
        "create IVR 8000",
        "create IVR 8801",
        "create 8000/my-contact",
        "create event URL",
    ]
    assert len(stage.pbx.files) == 2  # the prompt and the announcement
    assert await stage.register() == []
    # The CRM knows the caller, and is down when the call is to be logged.
    before = len(stage.crm.requests)
    stage.crm.fails = {"/crm/v3/objects/calls/search", "/crm/v3/objects/calls"}
    answered = await stage.call()
    await soon(lambda: len(stage.crm.requests) > before + 1, LIMIT)
    stage.kill()
    stage.crm.fails = set()
    # The event of the end is refused, and sent again when the service is back.
    await stage.report(answered, CallEnd(talk=95.0, recording=LINK))
    await soon(lambda: "hs_call_duration" in str(stage.crm.calls), LIMIT)
    (logged,) = stage.crm.calls
    assert logged["associated"] == [stage.whose]
    assert logged["properties"]["hs_call_duration"] == "95000"
    assert logged["properties"]["hs_call_status"] == "COMPLETED"
    assert logged["properties"]["hs_call_recording_url"] == LINK
    assert logged["properties"]["hubspot_owner_id"] == "77"
    # Another call is missed; the service is killed when it has the events, and not the follow-up.
    stage.crm.fails = {"/crm/v3/objects/tasks/search", "/crm/v3/objects/tasks"}
    missed = await stage.call()
    await stage.report(missed, CallEnd(talk=None))
    stage.kill()
    stage.crm.fails = set()
    await stage.start()
    await soon(lambda: bool(stage.crm.tasks), LIMIT)
    await soon(lambda: "NO_ANSWER" in str(stage.crm.calls), LIMIT)
    await stage.report(missed, CallEnd(talk=None))  # the PBX repeats itself
    (task,) = stage.crm.tasks
    assert task["associated"] == [stage.whose]
    assert "call back Grace Hopper" in task["properties"]["hs_task_subject"]
    (line,) = csv.DictReader((stage.folder / "missed.csv").read_text().splitlines())
    assert (line["caller"], line["rang"]) == (CALLER, "222")
    first, second = stage.crm.calls
    assert first["properties"] == logged["properties"]
    assert second["properties"]["hs_call_status"] == "NO_ANSWER"
    assert "not answered" in second["properties"]["hs_call_body"]
