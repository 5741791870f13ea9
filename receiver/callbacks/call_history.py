"""The callbacks of a call, for the handlers of its events.

Rule 1: no caller waits for it: a callback is added by a background job after its answer, and only
        where the events of its PBX have a handler.
Rule 2: it is in the session store, under a separate name, so that no session is locked by it. A
        history that is missing, or whose store is unavailable, is empty; it never fails an event.
Rule 3: digits and destination of a sensitive action are not stored.
Rule 4: bounded: the latest `MAX_CALLBACKS` callbacks of a call, for `LONG_LIFE` seconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from receiver.background.job_codec import Work
from receiver.calls import Call
from receiver.declarations.actions import Action
from receiver.declarations.call_events import PastCallback
from receiver.dispatch.dispatcher import Decision
from receiver.dispatch.live_context import Backing
from receiver.dispatch.session_key import Key, history_key
from receiver.dispatch.sessions import SessionLost
from receiver.execution.current_time import utc

MAX_CALLBACKS = 32
"""Callbacks of one call that are kept."""

MAX_LENGTH = 100
"""Characters of a text in one."""

LOCK_TIMEOUT = 1.0
"""Seconds for the store; no caller waits."""

_TEXTS = ("action", "ivr", "kind", "digits", "reply", "destination", "reason")

log = logging.getLogger("receiver")


class CallHistory:
    """The callbacks of the calls of an app.

    Parameters:
        backing: has the session store, the background jobs and the secret.
        clock: seconds since the epoch.
    """

    def __init__(self, backing: Backing, clock: Callable[[], float] = time.time) -> None:
        self._backing = backing
        self._clock = clock

    def of(self, action: Action) -> Callable[[Call, Decision], None]:
        """Return what is called, in the event loop, with each answered callback of ``action``."""

        def add(call: Call, decision: Decision) -> None:
            if call.session_id:
                entry = self._entry(action, call, decision)
                args = (action.pbx, call.session_id, entry)
                self._backing.jobs.soon(Work(self.add, args, {}, sensitive=action.sensitive))

        return add

    async def add(self, pbx: str, session_id: str, entry: dict[str, Any]) -> None:
        """Add one callback.

        Raises:
            SessionLost: the store is unavailable.
        """
        async with self._open(self._key(pbx, session_id)) as history:
            stored = history.get("callbacks")
            earlier = stored if isinstance(stored, list) else []
            history["callbacks"] = [*earlier, entry][-MAX_CALLBACKS:]

    async def callbacks(self, pbx: str, session_id: str) -> tuple[PastCallback, ...]:
        """Return the callbacks of a call, the oldest first; empty if they are not known."""
        stored = (await self._read(self._key(pbx, session_id))).get("callbacks")
        entries = (
            [one for one in stored if isinstance(one, dict)] if isinstance(stored, list) else []
        )
        return tuple(map(_read, sorted(entries, key=_time)))

    async def session(self, pbx: str, session_id: str) -> Mapping[str, Any]:
        """Return the session of a call; empty if it is not known."""
        key = self._backing.session_key(session_id, "", "", pbx)
        return {} if key is None else await self._read(key)

    async def _read(self, key: Key) -> Mapping[str, Any]:
        try:
            async with self._open(key) as history:
                return dict(history)
        except SessionLost as error:
            log.warning("an event is handled without the callbacks of its call: %s", error)
            return {}

    def _open(self, key: Key) -> Any:
        return self._backing.sessions.open(
            key, until=asyncio.get_running_loop().time() + LOCK_TIMEOUT
        )

    def _key(self, pbx: str, session_id: str) -> Key:
        return history_key(session_id, pbx, secret=self._backing.secret)

    def _entry(self, action: Action, call: Call, decision: Decision) -> dict[str, Any]:
        hides = action.sensitive
        texts = (
            *(action.identity, action.ivr, action.kind, "" if hides else call.digits),
            *(decision.reply.action, "" if hides else decision.reply.target, decision.reason),
        )
        entry: dict[str, Any] = dict(zip(_TEXTS, map(_short, texts), strict=True))
        return {**entry, "time": self._clock(), "sensitive": hides}


def _short(text: str) -> str:
    """Return a text that a session can hold."""
    return text[:MAX_LENGTH].encode("utf-8", "replace").decode()


def _time(entry: Mapping[str, Any]) -> float:
    when = entry.get("time")
    return when if isinstance(when, float) else 0.0


def _read(entry: Mapping[str, Any]) -> PastCallback:
    """Return a stored callback; what something else wrote is empty."""
    texts = {name: text for name in _TEXTS if isinstance(text := entry.get(name), str)}
    return PastCallback(
        **{"action": "", **texts}, time=utc(_time(entry)), sensitive=entry.get("sensitive") is True
    )
