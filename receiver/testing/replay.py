"""Replay recorded callbacks with today's handlers.

Rule 1: handlers run as in the service: with the deadline, the fallbacks, and the call's session;
        `receiver.Call.now` is the time of the recording.
Rule 2: there are no side effects of this package: background jobs are counted and not run, and
        sessions are in memory. Requests with httpx get the answers of the recording, see
        `receiver.testing.upstream_playback`; the calling command blocks all other network access.
Rule 3: each call has a new dispatcher: calls without a session id are separated by time, which a
        replay does not have.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo

from receiver.app import Receiver
from receiver.call_context import Context, Deadline, RecordedJobs, SessionContext
from receiver.calls import Call
from receiver.credentials import Secret
from receiver.declarations.actions import Action, by_identity
from receiver.dispatch.dispatcher import Dispatcher
from receiver.dispatch.session_key import Key
from receiver.dispatch.sessions import Sessions, open_sessions
from receiver.execution.current_time import current_time
from receiver.phone_numbers.numbers import NumberFormat
from receiver.recording.format import Recorded
from receiver.recording.placeholders import Placeholders, resolve
from receiver.settings import Settings
from receiver.testing.block_network import Attempts
from receiver.testing.replay_diff import Answer, ReplayResult
from receiver.testing.upstream_playback import Playback
from receiver.upstream.interception import intercepted
from receiver.upstream.request_observer import OBSERVER


@dataclass(slots=True)
class _ReplayContext:
    """The context of a replayed call."""

    deadline: Deadline
    clock: Callable[[], float]
    sessions: Sessions
    key: Key
    number_format: NumberFormat
    time: datetime
    loop: asyncio.AbstractEventLoop
    thread: int = field(default_factory=threading.get_ident)
    after: RecordedJobs = field(default_factory=RecordedJobs)

    def remaining(self) -> float:
        return max(self.deadline.due - self.clock(), 0.0)

    def now(self, zone: tzinfo | str | None = None) -> datetime:
        return current_time(lambda _: self.time, "", zone)

    def session(self) -> SessionContext:
        return self.sessions.open(
            self.key, until=self.deadline.due, loop=self.loop, thread=self.thread
        )

    def release(self) -> None:
        """Do nothing: background jobs are only counted."""


async def replay(
    app: Receiver,
    calls: Sequence[Sequence[Recorded]],
    settings: Settings,
    attempts: Attempts,
    progress: Callable[[int, int], None] = lambda done, total: None,
    *,
    network: bool = False,
) -> list[list[ReplayResult]]:
    """Return the results of each call's callbacks; empty records are skipped.

    Parameters:
        app: of today.
        calls: the callbacks of each call, in their order.
        settings: of deadlines and the log.
        attempts: counts connection attempts, and requests without a recorded answer.
        progress: called with the number of calls that were replayed, and that of all.
        network: whether requests are sent instead of getting recorded answers.
    """
    replayer = _Replayer(app, settings, attempts, network)
    results: list[list[ReplayResult]] = []
    with nullcontext() if network else intercepted():
        for call in calls:
            results.append(await replayer.replay(call))
            progress(len(results), len(calls))
    return [call for call in results if call]


class _Replayer:
    def __init__(
        self, app: Receiver, settings: Settings, attempts: Attempts, network: bool
    ) -> None:
        self._network = network
        self._app = app
        self._settings = settings
        self._attempts = attempts
        self._formats = app.number_formats()
        self._actions = by_identity(app)
        self._placeholders = Placeholders(app)
        self._calls = 0
        self._time = datetime.now(UTC)

    async def replay(self, records: Sequence[Recorded]) -> list[ReplayResult]:
        """Replay one call."""
        self._calls += 1
        key = Key(f"replayed {self._calls}")
        playback = Playback(records, self._attempts)
        token = OBSERVER.set(None if self._network else playback)
        try:
            async with self._dispatcher(key) as (dispatcher, contexts):
                return [
                    await self._ask(record, dispatcher, contexts, playback)
                    for record in records
                    if not record.is_empty
                ]
        finally:
            OBSERVER.reset(token)

    @asynccontextmanager
    async def _dispatcher(self, key: Key) -> AsyncIterator[tuple[Dispatcher, list[_ReplayContext]]]:
        sessions = open_sessions(Secret(""))
        contexts: list[_ReplayContext] = []

        def make(
            action: Action, call: Call, deadline: Deadline, loop: asyncio.AbstractEventLoop
        ) -> Context:
            form = self._formats.get(action.pbx, self._settings.number_format)
            contexts.append(
                _ReplayContext(deadline, loop.time, sessions, key, form, self._time, loop)
            )
            return contexts[-1]

        dispatcher = Dispatcher(
            self._app.fallback,
            fallbacks=self._app.fallbacks,
            margin=self._settings.margin,
            threads=self._settings.threads,
            log_caller_data=self._settings.log_caller_data,
            context=make,
        )
        try:
            yield dispatcher, contexts
        finally:
            await dispatcher.close()
            await sessions.close()

    async def _ask(
        self,
        record: Recorded,
        dispatcher: Dispatcher,
        contexts: list[_ReplayContext],
        playback: Playback,
    ) -> ReplayResult:
        digits, caller = self._placeholders.digits(record), self._placeholders.caller(record)
        call = Call(
            caller=caller or "",
            caller_name=self._placeholders.name(record),
            ivr=record.ivr,
            ivr_name=record.ivr_name,
            digits=digits or "",
            session_id=record.session,
        )
        was = Answer(
            record.decision, resolve(record.destination, call.digits, call.caller), record.reason
        )
        placeholders = self._placeholders.used(record)
        action = self._actions.get(record.action)
        if action is None or (why := _skip_reason(action, record, digits, caller)):
            why = "the action no longer exists" if action is None else why
            hides = action is not None and action.sensitive
            none = Answer("none", reason=why)
            return ReplayResult(record, call, was, none, placeholders, sensitive=hides)
        contexts.clear()
        playback.begin(record, call)
        played = playback.played
        self._time = _time(record)
        before = self._attempts.count
        loop = asyncio.get_running_loop()
        due = dispatcher.deadline(action, loop.time())
        decision = await dispatcher.decide(action, call, due, loop)
        decision.release()
        now = Answer(decision.reply.action, decision.reply.target, decision.reason)
        jobs = sum(len(context.after) for context in contexts)
        tries = self._attempts.count - before
        numbers = jobs, tries, playback.played - played
        return ReplayResult(record, call, was, now, placeholders, *numbers, action.sensitive)


def _time(record: Recorded) -> datetime:
    """Return when a callback was answered; now, if the recording was altered."""
    try:
        return datetime.fromisoformat(record.time)
    except ValueError:
        return datetime.now(UTC)


def _skip_reason(action: Action, record: Recorded, digits: str | None, caller: str | None) -> str:
    """Return why the PBX would send no callback to this action today; empty if it would."""
    if action.kind != record.kind:
        return f"the action now has the kind {action.kind}"
    if not action.enabled:
        return "the action is now disabled"
    text = caller if action.kind == "CALLER" else digits
    if text is None or (record.matched and not action.mask.matches(text)):
        return "the action has another mask now"
    return ""
