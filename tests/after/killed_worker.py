"""A process that accepts 1,000 jobs while it does them, for a test to kill.

Each key that was accepted, was a duplicate, or was done goes into a file of its folder, in one
write. Its arguments are what RECEIVER_AFTER would say, and the folder.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from receiver.after import After, AfterError, AfterWork, idempotency_key
from receiver.secrets import Secret
from tests.after.conftest import SECRET, make_jobs

JOBS = 1000
LEASE = 0.5


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
        except AfterError:  # a busy machine; under the same key it is safe to ask again
            await asyncio.sleep(0)


async def main(where: Secret, folder: Path) -> None:
    owner = AfterWork(make_jobs(where), SECRET, lease=LEASE, poll=0.05)
    owner.start()
    after = owner.of_call()
    for number in range(JOBS):
        accepted = await accept(after, str(folder / "done"), f"job-{number}")
        note(str(folder / ("accepted" if accepted else "duplicate")), f"job-{number}")
    await asyncio.Event().wait()


def run() -> None:
    asyncio.run(main(Secret(sys.argv[1]), Path(sys.argv[2])))
