"""The state of a durable job, for the code of another one."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from receiver.errors import Unavailable
from receiver.storage.breaker import StoreError
from receiver.storage.job_queue import JobQueue, JobState

current_queue: ContextVar[JobQueue[Any]] = ContextVar("current_queue")
"""The queue of the durable job that runs; a LookupError outside of one."""


async def job_state(key: str) -> JobState | None:
    """Return the state of the durable job with this idempotency key.

    ::

        async def bill(call: str) -> str:  # what it returns is kept for a day
            return (await crm.post("/bills", json={"call": call})).json()["id"]

        @events.on("call_ended")
        async def complete(event: CallEvent) -> None:
            state = await job_state(f"bill:{event.session_id}")
            if state is not None and state.state == "done":
                await crm.post(f"/bills/{state.result}", json={"seconds": event.talk_duration})

    Parameters:
        key: the ``idempotency_key`` of ``call.after.durably``.

    Returns:
        None if no such job was accepted or it was done more than a day ago, and outside of a
        durable job.

    Raises:
        Unavailable: the queue is unavailable.
    """
    queue = current_queue.get(None)
    if queue is None:
        return None
    try:
        return await queue.state(key.encode("utf-8", "backslashreplace").decode())
    except StoreError as error:
        raise Unavailable(f"the durable queue is unavailable ({error})") from None
