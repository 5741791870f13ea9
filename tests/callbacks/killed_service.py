"""A service that handles events, for a test to kill. Its arguments: RECEIVER_JOBS and a folder.

Each event that a handler ran for goes into the file ``done`` of the folder, in one write, with the
digits of its call; the service's URL is in ``url``.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

from receiver import Call, CallEvent, Forward, Ivr, Receiver, Reply, Secret, Settings, assembly
from receiver.background import BackgroundJobs
from receiver.background.job_worker import DURABLE
from receiver.server.uvicorn_server import running
from tests.background.killed_worker import note
from tests.support import SECRET

POLICY = replace(DURABLE, lease=0.5, poll=0.05)


def make_app(jobs: Secret, folder: Path) -> Receiver:
    ivr = Ivr("8000")

    @ivr.dtmf("1", auth=None)
    async def pick(call: Call) -> Reply:
        return Forward("222")

    store = Secret(str(folder / "store.db"))
    app = Receiver(ivr, settings=Settings(secret=SECRET, jobs=jobs, store=store))

    @app.on("call_ended", name="note")
    async def keep(event: CallEvent) -> None:
        await asyncio.sleep(0.01)
        note(str(folder / "done"), f"{event.session_id} {event.digits}")

    return app


async def main(jobs: Secret, folder: Path) -> None:
    setattr(assembly, "BackgroundJobs", partial(BackgroundJobs, durable=POLICY))  # noqa: B010
    async with running(make_app(jobs, folder)) as url:
        (folder / "url.new").write_text(url)
        (folder / "url.new").rename(folder / "url")
        await asyncio.Event().wait()


def run() -> None:
    asyncio.run(main(Secret(sys.argv[1]), Path(sys.argv[2])))
