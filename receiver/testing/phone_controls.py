"""The controls of a test's telephone: the clock, and faults; delays of handlers.

Rule 1: a delayed handler waits until the test ends the fault, and then runs. So a test does
        not wait, and can check a result that is handed over to the call's next callback.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from starlette.types import Receive, Scope, Send

from receiver.app import Receiver
from receiver.callbacks.request import ARRIVED
from receiver.declarations.actions import Handler
from receiver.execution.kinds import is_async
from receiver.pbx.callback_request import CallbackFaults

LATE_BUDGET = 0.25
"""Seconds until the deadline while handlers are late, so that tests are quick."""


MONDAY = datetime(2026, 1, 5, 10, 0)
"""The default date and time at the PBX: a Monday morning."""


class Clock:
    """The date and time at the PBX and for handlers (`receiver.Call.now`). ::

        phone.clock.now = datetime(2026, 12, 24, 18, 0)
        phone.clock.advance(60)

    It advances only by `advance`, or when ``now`` is set.

    Attributes:
        now: may be set at any time. Without a zone it counts in the zone of each handler.
    """

    __slots__ = ("_now",)

    def __init__(self, now: datetime = MONDAY) -> None:
        self.now = now

    @property
    def now(self) -> datetime:
        return self._now

    @now.setter
    def now(self, now: datetime) -> None:
        if not isinstance(now, datetime):
            kind = type(now).__name__
            raise TypeError(
                f"clock.now is a datetime, as in datetime(2026, 12, 24, 18), not {kind}"
            )
        self._now = now

    def advance(self, seconds: float) -> None:
        """Advance the clock. `PhoneCall.wait` advances the time of its call only."""
        self.now += timedelta(seconds=seconds)


class Controls:
    """Refuses what a test misspells, as in ``phone.fault = Faults(late=True)``.

    It does so for its direct subclasses: a subclass of `Phone` may have further attributes.
    """

    _made = False

    if not TYPE_CHECKING:  # or else a type checker accepts any name

        def __setattr__(self, name: str, value: object) -> None:
            settable = name.startswith("_") or isinstance(getattr(type(self), name, None), property)
            if self._made and not settable and Controls in type(self).__bases__:
                kind = type(self).__name__
                raise AttributeError(
                    f"{kind}.{name} cannot be set; a test sets faults, behaviour and clock.now"
                )
            object.__setattr__(self, name, value)


@dataclass(frozen=True, slots=True)
class Faults(CallbackFaults):
    """The faults to simulate; by default none. ::

        phone.faults = Faults(late=True)

    Attributes:
        late: handlers do not answer before the deadline.
        slow, dropped, refused, wrong_password: see `receiver.pbx.callback_request.CallbackFaults`.
    """

    late: bool = False


class HandlerGate:
    """Delays handlers while it is closed."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open_to_threads = threading.Event()
        self.open()

    def open(self) -> None:
        """Let waiting and further handlers run."""
        self._open.set()
        self._open_to_threads.set()

    def close(self) -> None:
        """Delay the handlers that are called from now on."""
        self._open.clear()
        self._open_to_threads.clear()

    def wrap(self, handler: Any) -> Handler:
        """Return ``handler``, async or plain as before, delayed by the gate."""

        async def asynchronous(call: Any) -> Any:
            await self._open.wait()
            return await handler(call)

        def plain(call: Any) -> Any:
            self._open_to_threads.wait()
            return handler(call)

        return functools.update_wrapper(asynchronous if is_async(handler) else plain, handler)


class LateApp:
    """ASGI middleware that shortens the deadlines while handlers are late.

    Parameters:
        app: the Receiver.
        is_late: whether handlers are late now.
    """

    def __init__(self, app: Receiver, is_late: Callable[[], bool]) -> None:
        self._app = app
        self._is_late = is_late
        self._budgets: dict[str, float] = {}
        for action in app:
            for part in range(1, len(action.parts) + 1):
                path = unquote(urlsplit(action.url("http://127.0.0.1", part)).path)
                self._budgets[path] = action.request_timeout - app.settings.margin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        budget = self._budgets.get(scope.get("path", ""))
        if self._is_late() and budget is not None:
            arrived = asyncio.get_running_loop().time() - budget + LATE_BUDGET
            scope = {**scope, ARRIVED: arrived}
        await self._app(scope, receive, send)
