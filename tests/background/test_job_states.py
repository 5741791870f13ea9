"""`receiver.job_state`: the state of a durable job, for the code of another one."""

from __future__ import annotations

from pathlib import Path

import pytest

from receiver import JobState, Unavailable, job_state
from receiver.background import BackgroundJobs
from receiver.background.job_states import current_queue
from receiver.storage.breaker import StoreError
from receiver.storage.job_queue import MAX_RESULT_LENGTH
from receiver.storage.jobs_memory import MemoryJobs
from receiver.storage.jobs_sqlite import SqliteJobs
from tests.background.conftest import POLLING, SECRET, soon

seen: list[tuple[str, JobState | None]] = []


async def create(text: str) -> str:
    return text


def create_in_thread(number: int) -> object:
    return str(number) if number else number


async def look(key: str) -> None:
    seen.append((key, await job_state(key)))


async def test_a_job_sees_what_another_returned(tmp_path: Path) -> None:
    seen.clear()
    owner = BackgroundJobs(
        SqliteJobs(tmp_path / "jobs.db", "RECEIVER_JOBS"), SECRET, durable=POLLING, accept_limit=30
    )
    after = owner.of_call()
    await after.durably(create, "4711", idempotency_key="text é")
    await after.durably(create, "x" * (MAX_RESULT_LENGTH + 1), idempotency_key="long")
    await after.durably(create_in_thread, 7, idempotency_key="thread")
    await after.durably(create_in_thread, 0, idempotency_key="number")
    expected = [
        JobState("done", "4711"),
        JobState("done"),  # too long
        JobState("done", "7"),
        JobState("done"),  # no text
        None,
    ]
    keys = ["text é", "long", "thread", "number", "none"]
    owner.start()
    for key, state in zip(keys, expected, strict=True):
        await soon(lambda key=key, state=state: _is(owner, key, state))  # type: ignore[misc]
    await owner.close(1)
    assert await job_state("text é") is None  # outside of a durable job


def _is(owner: BackgroundJobs, key: str, state: JobState | None) -> bool:
    """Ask again, and return whether an answer was as expected."""
    found = (key, state) in seen
    seen.clear()
    owner.of_call().durably(look, key)
    return found


async def test_a_queue_that_is_down_is_unavailable() -> None:
    class Down(MemoryJobs[str]):
        async def state(self, key: str) -> JobState | None:
            raise StoreError("Down")

    token = current_queue.set(Down())
    with pytest.raises(Unavailable, match=r"queue is unavailable \(Down\)"):
        await job_state("k")
    current_queue.reset(token)
