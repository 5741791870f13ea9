"""The durable jobs of events: one for each handler, stored before the PBX gets its acknowledgement.

Rule 1: a job has the unchanged body, so that a later release of this package parses it.
Rule 2: its key is of the event and the handler. The queue takes a key once while the job is open
        and for a day after it is done, which is how a repeated event is dropped: the PBX repeats
        one for about half an hour.
Rule 3: an event is acknowledged when each of its handlers has its job. If the queue fails in
        between, the PBX repeats the event, and the jobs that exist are duplicates.
Rule 4: a job runs at least once, with the retries of durable jobs; what the handler raises is
        logged by their rules.
Rule 5: the session is read for the last events of a call only: it is locked for that, and a
        callback of the same call would wait.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Coroutine, Mapping
from hashlib import blake2b
from typing import Any, Literal

from receiver.background import BackgroundJobs
from receiver.background.job_codec import Work, name_of
from receiver.callbacks.call_history import CallHistory
from receiver.callbacks.event_forward import Forwarder
from receiver.callbacks.event_parser import key_of_event, read_event
from receiver.calls import Call
from receiver.declarations.actions import Action
from receiver.declarations.call_events import CallEvent, joined
from receiver.declarations.event_actions import EventAction, EventEndpoint, PbxEvents
from receiver.dispatch.dispatcher import Decision
from receiver.execution.guarded_call import Failed, settle
from receiver.execution.kinds import is_async
from receiver.execution.to_thread import in_thread
from receiver.storage.job_queue import to_octets, to_text

ACCEPT_LIMIT = 5.0
"""Seconds for one job to be stored; no caller waits."""

LAST = ("call_ended", "call_missed")
"""The kinds of events after which a call has no callback any more."""

Result = Literal["stored", "duplicate", "unhandled"]
"""The result of an event; unhandled if no handler is declared for its kind."""

Job = Callable[[str, str], Coroutine[Any, Any, None]]
"""Runs one handler for an event: the label of the PBX, and the body."""


class EventJobs:
    """Stores events as jobs, and runs the handlers.

    Parameters:
        declared: by the label of a PBX.
        jobs: the background jobs.
        history: of the calls.
        forwarder: sends events to another receiver.
    """

    def __init__(
        self,
        declared: Mapping[str, PbxEvents],
        jobs: BackgroundJobs,
        history: CallHistory,
        forwarder: Forwarder | None = None,
    ) -> None:
        self._declared = declared
        self._jobs = jobs
        self._history = history
        self._runs: dict[tuple[str, EventAction], Job] = {}
        for label, events in declared.items():
            for action in events.actions:
                run = self._runs[label, action] = self._make(action, events.ivrs)
                jobs.declared[name_of(run)] = run
        self._forward = (forwarder or Forwarder()).run(
            {label: one.endpoint.forward_to for label, one in declared.items()}
        )
        jobs.declared[name_of(self._forward)] = self._forward

    @property
    def endpoints(self) -> tuple[EventEndpoint, ...]:
        """The event URLs."""
        return tuple(one.endpoint for one in self._declared.values())

    def history_of(self, action: Action) -> Callable[[Call, Decision], None] | None:
        """Return what gets the answered callbacks of ``action``; None if no handler needs them."""
        events = self._declared.get(action.pbx)
        return self._history.of(action) if events is not None and events.actions else None

    def read(self, pbx: str, body: bytes) -> tuple[CallEvent, ...]:
        """Return what a body yields; errors as for `read_event`."""
        return read_event(body, pbx=pbx, ivrs=self._declared[pbx].ivrs)

    async def accept(self, pbx: str, body: bytes, events: tuple[CallEvent, ...]) -> Result:
        """Store the jobs of an event.

        Parameters:
            pbx: the label of the PBX.
            body: of the request.
            events: what it yields.

        Raises:
            AfterError: the durable queue is unavailable.
        """
        text, stored = to_text(body), list[bool]()
        for event in events:
            key = key_of_event(event)
            for action in self._declared[pbx].actions:
                if action.kind == event.kind:
                    run, name = self._runs[pbx, action], f"{key} {action.name}"
                    stored.append(await self._keep(run, pbx, text, name, action.sensitive))
        if self._declared[pbx].endpoint.forward_to:
            key = blake2b(body, digest_size=20).hexdigest()
            stored.append(await self._keep(self._forward, pbx, text, f"{key} forward", True))
        if not stored:
            return "unhandled"
        return "stored" if any(stored) else "duplicate"

    async def _keep(self, run: Job, pbx: str, text: str, key: str, sensitive: bool) -> bool:
        work = Work(run, (pbx, text), {}, sensitive=sensitive)
        return await self._jobs.keep(work, f"event {pbx} {key}"[:500], ACCEPT_LIMIT)

    def _make(self, action: EventAction, ivrs: Collection[str]) -> Job:
        async def run(pbx: str, body: str) -> None:
            for event in read_event(to_octets(body), pbx=pbx, ivrs=ivrs):
                if event.kind == action.kind:
                    await self._call(action, await self._joined(event))

        run.__module__, run.__qualname__ = action.kind, action.name  # its name in log and queue
        return run

    async def _joined(self, event: CallEvent) -> CallEvent:
        pbx, session_id = event.pbx, event.session_id
        if not session_id:
            return event
        callbacks = await self._history.callbacks(pbx, session_id)
        session = await self._history.session(pbx, session_id) if event.kind in LAST else {}
        return joined(event, callbacks, session)

    async def _call(self, action: EventAction, event: CallEvent) -> None:
        handler = action.handler
        if is_async(handler):
            result = await settle(handler, event)
        else:
            result = await settle(in_thread, handler, event)
        if isinstance(result, Failed):
            raise result.error
