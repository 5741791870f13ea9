"""Asks today's handlers what was asked then.

Rule 1: as the service asks them: within the deadline, with the ladder of fallbacks, and with what
        the call remembers from one callback to the next.
Rule 2: nothing else happens: work after the answer is noted and not done, and the memory of calls
        is one of its own. The network is shut by who calls this, see `receiver.replaying.network`.
Rule 3: each call has a dispatcher of its own: what tells calls apart that have no session is the
        time between them, and that is not played.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, MutableMapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from receiver.actions import Action
from receiver.app import Receiver
from receiver.calls import Call
from receiver.contexts import Context, Deadline, Noted
from receiver.dispatch.dispatcher import Dispatcher
from receiver.recordings.lines import Recorded
from receiver.recordings.standins import StandIns, resolve
from receiver.replaying.network import Tries
from receiver.replaying.outcomes import Answer, Outcome
from receiver.replies import Forward
from receiver.secrets import Secret
from receiver.sessions import Sessions, open_sessions
from receiver.sessions.keys import Key
from receiver.settings import Settings
from receiver.telemetry.records import DECISIONS


@dataclass(slots=True)
class _Rehearsed:
    """What stands behind a call that is replayed."""

    deadline: Deadline
    clock: Callable[[], float]
    sessions: Sessions
    key: Key
    after: Noted = field(default_factory=Noted)

    def remaining(self) -> float:
        return max(self.deadline.due - self.clock(), 0.0)

    def session(self) -> AbstractAsyncContextManager[MutableMapping[str, Any]]:
        return self.sessions.open(self.key, until=self.deadline.due)

    def release(self) -> None:
        """What was asked for is only noted."""


async def replay(
    app: Receiver, calls: Sequence[Sequence[Recorded]], settings: Settings, tries: Tries
) -> list[list[Outcome]]:
    """What each callback of ``calls`` is answered today; empty ones are left out.

    Parameters:
        app: today's.
        calls: the callbacks of each, in order.
        settings: how much time there is, and what a log may show.
        tries: counts those to reach the network.
    """
    player = _Player(app, settings, tries)
    played = [await player.play(call) for call in calls]
    return [call for call in played if call]


class _Player:
    def __init__(self, app: Receiver, settings: Settings, tries: Tries) -> None:
        self._app = app
        self._settings = settings
        self._tries = tries
        self._actions = {action.identity: action for action in app}
        self._stand_ins = StandIns(app)
        self._calls = 0

    async def play(self, records: Sequence[Recorded]) -> list[Outcome]:
        """One call."""
        self._calls += 1
        key = Key(f"replayed {self._calls}")
        async with self._stage(key) as (dispatcher, contexts):
            return [
                await self._ask(record, dispatcher, contexts)
                for record in records
                if not record.is_empty
            ]

    @asynccontextmanager
    async def _stage(self, key: Key) -> AsyncIterator[tuple[Dispatcher, list[_Rehearsed]]]:
        sessions = open_sessions(Secret(""))
        contexts: list[_Rehearsed] = []

        def make(
            action: Action, call: Call, deadline: Deadline, loop: asyncio.AbstractEventLoop
        ) -> Context:
            contexts.append(_Rehearsed(deadline, loop.time, sessions, key))
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
        self, record: Recorded, dispatcher: Dispatcher, contexts: list[_Rehearsed]
    ) -> Outcome:
        digits, caller = self._stand_ins.digits(record), self._stand_ins.caller(record)
        call = Call(
            caller=caller or "",
            caller_name=self._stand_ins.name(record),
            ivr=record.ivr,
            ivr_name=record.ivr_name,
            digits=digits or "",
            session_id=record.session,
        )
        was = Answer(
            record.decision, resolve(record.destination, call.digits, call.caller), record.reason
        )
        made_up = self._stand_ins.made_up(record)
        action = self._actions.get(record.action)
        if action is None or (why := _unasked(action, record, digits, caller)):
            why = "there is no such action now" if action is None else why
            return Outcome(record, call, was, Answer("none", reason=why), made_up)
        contexts.clear()
        before = self._tries.count
        loop = asyncio.get_running_loop()
        due = dispatcher.deadline(action, loop.time())
        decision = await dispatcher.decide(action, call, due, loop)
        decision.release()
        destination = decision.reply.destination if isinstance(decision.reply, Forward) else ""
        now = Answer(DECISIONS[type(decision.reply)], destination, decision.reason)
        works = sum(len(context.after) for context in contexts)
        return Outcome(record, call, was, now, made_up, works, self._tries.count - before)


def _unasked(action: Action, record: Recorded, digits: str | None, caller: str | None) -> str:
    """Why the PBX would not ask this action today; empty if it would."""
    if action.kind != record.kind:
        return f"the action is one of {action.kind} now"
    if not action.enabled:
        return "the action is switched off now"
    said = caller if action.kind == "CALLER" else digits
    if said is None or (record.matched and not action.mask.matches(said)):
        return "the action has another match list now"
    return ""
