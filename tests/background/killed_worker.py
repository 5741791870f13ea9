"""A process that accepts and runs 1,000 jobs, for a test to kill.

Each key that was accepted, was a duplicate, or was done goes into a file of its folder, in one
write. Its arguments are the value of RECEIVER_JOBS and the folder.
"""

from __future__ import annotations

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path

from receiver.background import After, AfterError, BackgroundJobs, idempotency_key
from receiver.background.job_worker import DURABLE
from receiver.credentials import Secret
from tests.background.conftest import SECRET, make_jobs

JOBS = 1000
POLICY = replace(DURABLE, lease=2.0, poll=0.05)


def note(path: str, key: str) -> None:
    number = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(number, f"{key}\n".encode())
    os.close(number)


async def job(path: str) -> None:
    await asyncio.sleep(0.002)
    note(path, idempotency_key.get())


async def accept(after: After, path: str, key: str) -> bool:
    while True:
        try:
            return await after.durably(job, path, idempotency_key=key)
        except AfterError:  # a busy machine; under the same key a retry is safe
            await asyncio.sleep(0)


async def main(where: Secret, folder: Path) -> None:
    owner = BackgroundJobs(make_jobs(where), SECRET, durable=POLICY)
    owner.start()
    after = owner.of_call()
    for number in range(JOBS):
        accepted = await accept(after, str(folder / "done"), f"job-{number}")
        note(str(folder / ("accepted" if accepted else "duplicate")), f"job-{number}")
    await asyncio.Event().wait()


def run() -> None:
    asyncio.run(main(Secret(sys.argv[1]), Path(sys.argv[2])))
