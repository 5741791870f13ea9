"""The context of a live call: its deadline, its session and its background jobs."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping
from datetime import datetime, tzinfo

from msgspec import Struct

from receiver.background import After, BackgroundJobs
from receiver.call_context import Deadline, SessionContext
from receiver.calls import Call
from receiver.credentials import Secret
from receiver.declarations.actions import Action
from receiver.dispatch.sessions import LIFE, Key, Sessions, key_of
from receiver.execution.current_time import Clock, current_time
from receiver.phone_numbers.notation import is_anonymous
from receiver.phone_numbers.numbers import NumberFormat

_NO_LIFESPAN = (
    "callbacks arrive, and no lifespan has run: jobs after the answer are lost when the service "
    "stops. Where the app is mounted in another, pass its lifespan on, as in "
    "Starlette(routes=…, lifespan=app.lifespan); a server must not run with lifespan=off"
)

log = logging.getLogger("receiver")


class Live(Struct, eq=False):
    """The context of one call; parts that most handlers do not use are made on first use.

    Made by `Backing.make`, in the event loop's thread.
    """

    _backing: Backing
    _pbx: str
    _ivr: str
    _caller: str
    _session_id: str
    _deadline: Deadline
    _loop: asyncio.AbstractEventLoop
    _thread: int
    _sensitive: bool = False
    _after: After | None = None
    _is_released: bool = False

    @property
    def number_format(self) -> NumberFormat:
        """The number format of the PBX's trunk."""
        return self._backing.formats[self._pbx]

    def remaining(self) -> float:
        """Return the seconds until the answer must be ready; also in a handler's thread."""
        return max(self._deadline.due - self._loop.time(), 0.0)

    def now(self, zone: tzinfo | str | None = None) -> datetime:
        """Return the date and time, see `receiver.Call.now`."""
        return current_time(self._backing.clock, self._session_id, zone)

    def session(self) -> SessionContext:
        backing, session_id, caller = self._backing, self._session_id, self._caller
        # Withheld numbers have one spelling: without a session id nothing tells them apart.
        if not session_id and is_anonymous(caller):
            caller = ""
        key = backing.session_key(session_id, caller, self._ivr, self._pbx)
        return backing.sessions.open(
            key, until=self._deadline.due, loop=self._loop, thread=self._thread
        )

    @property
    def after(self) -> After:
        """The background jobs of the call; any thread may use it."""
        with self._backing.making:
            after = self._after
            if after is None:
                jobs, hides = self._backing.jobs, self._sensitive
                after = self._after = jobs.of_call(self._loop, self._thread, sensitive=hides)
        if self._is_released:
            after.release()
        return after

    def release(self) -> None:
        """Start the background jobs, after the answer was sent."""
        self._is_released = True
        if self._after is not None:
            self._after.release()


class Backing:
    """Makes the contexts of an app's calls, and owns the resources that they share.

    Parameters:
        sessions: of the calls.
        after: runs the background jobs.
        secret: the service's; it hides callers where sessions are kept.
        formats: the formats of callers' numbers, by the label of a PBX.
        clock: of a simulation; None for the system's.
        life: seconds since its last callback for which a call with a session id is remembered.
    """

    def __init__(
        self,
        sessions: Sessions,
        after: BackgroundJobs,
        secret: Secret,
        formats: Mapping[str, NumberFormat],
        clock: Clock | None = None,
        *,
        life: float = LIFE,
    ) -> None:
        self._life = life
        self.sessions = sessions
        self.jobs = after
        self.secret = secret
        self.formats = formats
        self.clock = clock
        self.making = threading.Lock()
        self._started = False

    def session_key(self, session_id: str, caller: str, ivr: str, pbx: str) -> Key | None:
        """Return the key of a call's session; parameters as for `key_of`."""
        return key_of(session_id, caller, ivr, pbx, secret=self.secret, life=self._life)

    def make(
        self, action: Action, call: Call, deadline: Deadline, loop: asyncio.AbstractEventLoop
    ) -> Live:
        """Return the context of one call; in the thread of ``loop``.

        An app that is mounted in another may get no lifespan events, so its first call starts it.
        """
        if not self._started:
            log.warning(_NO_LIFESPAN)
            self.start()
        return Live(
            *(self, action.pbx, call.ivr, call.caller, call.session_id),
            *(deadline, loop, threading.get_ident(), action.sensitive),
        )

    def start(self) -> None:
        """Start the durable jobs of earlier processes, once."""
        if not self._started:
            self._started = True
            self.jobs.start()

    async def close(self, limit: float) -> None:
        """Wait up to ``limit`` seconds for background jobs, then close."""
        await self.jobs.close(limit)
        await self.sessions.close()
