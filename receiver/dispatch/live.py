"""What stands behind a call that a PBX waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, MutableMapping
from contextlib import AbstractAsyncContextManager
from typing import Any

from receiver.actions import Action
from receiver.after import After, AfterWork
from receiver.calls import Call
from receiver.contexts import Deadline
from receiver.secrets import Secret
from receiver.sessions import Sessions, key_of


class Live:
    """The context of one call.

    Parameters:
        action: that is asked.
        call: what the PBX says.
        deadline: when the answer must be ready.
        clock: the event loop's.
        sessions: what calls remember.
        secret: hides who called from where sessions are kept.
        after: what is to be done after the answer.
    """

    __slots__ = ("_call", "_clock", "_deadline", "_pbx", "_secret", "_sessions", "after")

    def __init__(
        self,
        action: Action,
        call: Call,
        deadline: Deadline,
        clock: Callable[[], float],
        sessions: Sessions,
        secret: Secret,
        after: After,
    ) -> None:
        self._pbx = action.pbx
        self._call = call
        self._deadline = deadline
        self._clock = clock
        self._sessions = sessions
        self._secret = secret
        self.after = after

    def remaining(self) -> float:
        """Seconds until the answer must be ready; also in a handler's thread."""
        return max(self._deadline.due - self._clock(), 0.0)

    def session(self) -> AbstractAsyncContextManager[MutableMapping[str, Any]]:
        call = self._call
        key = key_of(call.session_id, call.caller, call.ivr, self._pbx, secret=self._secret)
        return self._sessions.open(key, until=self._deadline.due)

    def release(self) -> None:
        self.after.release()


class Backing:
    """Makes the contexts of an app's calls; owner of what they share.

    Parameters:
        sessions: what calls remember.
        after: does what is to be done after answers.
        secret: the service's.
    """

    def __init__(self, sessions: Sessions, after: AfterWork, secret: Secret) -> None:
        self._sessions = sessions
        self._after = after
        self._secret = secret
        self._started = False

    def make(
        self, action: Action, call: Call, deadline: Deadline, loop: asyncio.AbstractEventLoop
    ) -> Live:
        """The context of one call, in the thread of ``loop``.

        An app that is mounted in another may never be told that it starts, so its first call does.
        """
        self.start()
        after = self._after.of_call(loop)
        return Live(action, call, deadline, loop.time, self._sessions, self._secret, after)

    def start(self) -> None:
        """Go on with durable work that was accepted before, once."""
        if not self._started:
            self._started = True
            self._after.start()

    async def close(self, limit: float) -> None:
        """Wait up to ``limit`` seconds for what is still to be done, and end."""
        await self._after.close(limit)
        await self._sessions.close()
