"""A telephone for tests: it calls the IVRs of an app through a simulated PBX.

Rule 1: everything but the PBX is real: what would be registered is on the PBX in memory, a callback
        has the credentials of its action, and goes through the whole app to the handler.
Rule 2: within the process there is no socket and no second to wait for: time on the line passes by
        `PhoneCall.wait`, the date is `Phone.clock`, a slow network costs time on paper only. With
        ``http=True`` there are sockets, and what is slow takes its time.
Rule 3: the app is a copy with a secret, and a file for durable work, of its own: neither settings
        of the environment nor what other tests left behind count.
Rule 4: it lives in a task of its own, so that it may be opened and closed from different ones; it
        closes what it has also if only the event loop ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import tempfile
import weakref
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import httpx
from starlette.types import Receive, Scope, Send

from receiver.app import Receiver
from receiver.apps import load_app, place
from receiver.callbacks.endpoint import ARRIVED
from receiver.errors import LoadError, ReceiverError
from receiver.secrets import Secret
from receiver.serving.server import running
from receiver.settings import Settings
from receiver.simulator.flow import Event
from receiver.simulator.line import Line, PhoneCall
from receiver.simulator.model import Pbx
from receiver.testing.equipping import equip, register
from receiver.testing.faults import Faults, Gate

PHONES: weakref.WeakSet[Phone] = weakref.WeakSet()
"""All phones that somebody still holds, for reports on tests that failed."""

MONDAY = datetime(2026, 1, 5, 10, 0)
"""The date and time at the PBX until a test says another: a Monday morning."""

_BASE = "http://127.0.0.1"
_HASTE = 0.25
"""Seconds that a handler has that is late by order; nobody has to wait for its whole time."""


class Clock:
    """The date and the time at the PBX. It stands still.

    Attributes:
        now: may be set at any time.
    """

    def __init__(self, now: datetime = MONDAY) -> None:
        self.now = now

    def advance(self, seconds: float) -> None:
        """Move it. `PhoneCall.wait` moves the time of its own call only."""
        self.now += timedelta(seconds=seconds)


class Phone:
    """A telephone beside a simulated PBX on which ``app`` is registered.

    Use it by ``async with``, or dial at once and have it closed by `close`.

    Parameters:
        app: the Receiver, or how the command line names it, as in ``"app:app"``.
        http: serve the app on a free loopback port and send callbacks there.
        settings: for the app; by default nothing but a secret is set.

    Raises:
        LoadError: ``app`` does not name a Receiver.

    Attributes:
        app: the copy of the app that is called.
        clock: the date and the time at the PBX, see `Clock`.
        calls: those that were dialled, in their order.
        pbxs: the PBXs by their labels; one app may be for several.
    """

    def __init__(
        self, app: Receiver | str, *, http: bool = False, settings: Settings | None = None
    ) -> None:
        declared = load_app(app) if isinstance(app, str) else app
        if not isinstance(declared, Receiver):
            raise LoadError(f"a Phone calls a Receiver, not {type(declared).__name__}")
        self._folder = Path(tempfile.gettempdir(), f"receiver-{secrets.token_hex(8)}")
        self._settings = settings or _settings(self._folder)
        self._gate = Gate()
        self._faults = Faults()
        self._http = http
        self.app = Receiver(
            *map(self._gate.behind, declared.ivrs),
            fallback=declared.fallbacks,
            settings=self._settings,
        )
        self.clock = Clock()
        self.calls: list[PhoneCall] = []
        self.pbxs = {label: equip(self.app, label) for label in self.app.pbxs}
        self._lines: dict[str, Line] = {}
        self._life: asyncio.Task[None] | None = None
        PHONES.add(self)

    @property
    def pbx(self) -> Pbx:
        """The PBX, or the first of several: its behaviour and what it holds may be changed."""
        return next(iter(self.pbxs.values()))

    @property
    def faults(self) -> Faults:
        """What is wrong; may be set at any time, as in ``phone.faults = Faults(late=True)``."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults = faults
        for line in self._lines.values():
            line.trouble = faults
        if faults.late:
            self._gate.shut()
        else:
            self._gate.open()

    def configure(self, ivr: str, **fields: Any) -> None:
        """Change an IVR of the PBX, as its REST API would.

        Parameters:
            ivr: as for `dial`.
            fields: such as ``timeout_forward_rule={"timeout": 5, "action": "HANGUP"}``.

        Raises:
            LoadError: the app is for no such PBX.
            Fault: there is no such IVR, or the PBX would refuse this.
        """
        label, number = place(self.app, ivr)
        pbx = self.pbxs[label]
        pbx.ivrs.update(pbx.at(number)["id"], fields)

    async def dial(self, ivr: str, *, caller: str = "101", caller_name: str = "") -> PhoneCall:
        """Call an IVR; opens the phone, if nobody has.

        Parameters:
            ivr: its extension number; with several PBXs as in ``"north/8000"``.
            caller: the caller's number.
            caller_name: the caller's display name.

        Raises:
            LoadError, LineError: there is no such IVR.
            ReceiverError: the phone is closed, or the app does not start.
        """
        label, number = place(self.app, ivr)
        await self.open()
        line = self._lines[label]
        return await line.dial(
            number, caller=caller, caller_name=caller_name, listener=self._listen
        )

    def _listen(self, call: PhoneCall, event: Event) -> None:
        if len(call.events) == 1:  # also a call whose dialling fails is one of the test's
            self.calls.append(call)

    async def open(self) -> None:
        """Start the app and register it. Nothing happens if it is open.

        Raises:
            ReceiverError: the phone is closed, or the app does not start.
        """
        if self._life is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                raise ReceiverError("a Phone needs asyncio, and not another event loop") from None
            self._closing = asyncio.Event()
            self._ready: asyncio.Future[None] = loop.create_future()
            self._life = loop.create_task(self._live())
        await asyncio.shield(self._ready)
        if self._closing.is_set():
            raise ReceiverError("this phone is closed: make another")

    async def close(self) -> None:
        """Finish what the app does after its answers, and stop it."""
        if self._life is not None:
            self._closing.set()
            await self._life

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def _live(self) -> None:
        async with AsyncExitStack() as stack:
            try:
                await self._serve(stack)
            except Exception as error:
                self._closing.set()
                self._ready.set_exception(error)
                return
            self._ready.set_result(None)
            with contextlib.suppress(asyncio.CancelledError):  # the loop ends: close all the same
                await self._closing.wait()
            self._closing.set()
            self._gate.open()

    async def _serve(self, stack: AsyncExitStack) -> None:
        self._folder.mkdir(mode=0o700)
        stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
        served = _Served(self)
        base, transport = _BASE, None
        if self._http:
            base = await stack.enter_async_context(running(served))
        else:
            transport = httpx.ASGITransport(served, raise_app_exceptions=False)
            inner = self.app.starlette
            await stack.enter_async_context(inner.router.lifespan_context(inner))
        for label, pbx in self.pbxs.items():
            register(self.app, label, pbx, base, self._settings)
            self._lines[label] = line = Line(
                pbx,
                transport=transport,
                verify=False,  # there is no TLS on the loopback
                today=lambda: self.clock.now,
                real_time=self._http,
            )
            line.trouble = self._faults


class _Served:
    """The app of a phone. Its handlers have little time if they are late by order."""

    def __init__(self, phone: Phone) -> None:
        self._phone = phone
        self._budgets: dict[str, float] = {}
        for action in phone.app:
            for part in range(1, len(action.parts) + 1):
                path = unquote(urlsplit(action.url(_BASE, part)).path)
                margin = phone.app.settings.margin
                self._budgets[path] = action.request_timeout - margin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        app = self._phone.app
        budget = self._budgets.get(scope.get("path", ""))
        if not self._phone.faults.late or budget is None:
            await app(scope, receive, send)
            return
        arrived = asyncio.get_running_loop().time() - budget + _HASTE
        await app({**scope, ARRIVED: arrived}, receive, send)


def _settings(folder: Path) -> Settings:
    secret, after = Secret(secrets.token_hex(32)), Secret(str(folder / "after.db"))
    return Settings(secret=secret, after=after, log_caller_data=True)
