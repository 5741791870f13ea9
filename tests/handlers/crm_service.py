"""A service with a CRM look-up and follow-ups, for a test to kill.

Its arguments: a folder, the port, the URL of the CRM. Its URL is in the file ``url`` of the folder.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from handlers.crm.hubspot import HubSpot
from handlers.crm.lookup import CallerLookup
from handlers.missed import FollowUp
from receiver import (
    Announcement,
    Events,
    Forward,
    Ivr,
    Receiver,
    Secret,
    Settings,
    Speech,
    assembly,
)
from receiver.background import BackgroundJobs
from receiver.background.job_worker import DURABLE
from receiver.server.uvicorn_server import running
from tests.support import SECRET

POLICY = replace(DURABLE, tries=1000, first=0.1, longest=0.5, lease=0.5, poll=0.05)


def make_app(folder: Path, crm_url: str) -> Receiver:
    crm = HubSpot(
        "pat-token-of-the-tests",
        url=crm_url,
        timeout=30.0,
        per_second=1000.0,
        others_per_second=1000.0,
    )
    connecting = Announcement("8801", Speech("We connect you."), then="222")
    lookup = CallerLookup(crm, found=Forward(connecting), unknown="0", region="DE")
    ivr = Ivr("8000", name="Sales", prompt=Speech("Welcome to Acme. Press 1."))
    events = Events(auth="digest")
    ivr.add("DTMF", "1", lookup, name="my-contact", request_timeout=30)
    events.add("call_ended", lookup.complete)
    events.add("call_missed", FollowUp(crm=crm, region="DE"), name="task")
    events.add("call_missed", FollowUp(file=folder / "missed.csv"), name="list")
    jobs = Secret(str(folder / "jobs.db"))
    return Receiver(ivr, connecting, events, settings=Settings(secret=SECRET, jobs=jobs))


async def main(folder: Path, port: int, crm_url: str) -> None:
    setattr(assembly, "BackgroundJobs", partial(BackgroundJobs, durable=POLICY))  # noqa: B010
    async with running(make_app(folder, crm_url), port=port) as url:
        (folder / "url.new").write_text(url)
        (folder / "url.new").rename(folder / "url")
        await asyncio.Event().wait()


def run() -> None:
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
