"""A telephone for tests: it calls the IVRs of an app through a simulated PBX.

Rule 1: only the PBX is simulated: the actions are registered on it, and a callback has the
        credentials of its action and passes the whole app.
Rule 2: in the process there are no sockets and no waiting: `PhoneCall.wait` moves the time on the
        line, `Phone.clock` is the date, and a slow network is only calculated. With ``http=True``
        there are sockets, and delays take real time.
Rule 3: the app is a copy with a new secret and a temporary file for background jobs: settings of
        the environment and other tests have no influence.
Rule 4: a task owns the phone's resources, so that it may be opened and closed by different tasks;
        they are also closed when only the event loop ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import shutil
import tempfile
import warnings
import weakref
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Self

import httpx

from receiver.app import Receiver
from receiver.config.load_app import find_ivr, load_app
from receiver.declarations.actions import Handler, sensitive_names
from receiver.errors import LoadError, ReceiverError
from receiver.execution.blocking_calls import BlockingCall, BlockingCallDetector
from receiver.server.uvicorn_server import running
from receiver.settings import Settings
from receiver.simulator.behaviour import Behaviour
from receiver.simulator.event_records import CallEnd
from receiver.simulator.event_sender import EventDelivery, EventFaults
from receiver.simulator.events import Event
from receiver.simulator.line import Line, PhoneCall
from receiver.testing.declared_pbx import IvrCopy, make_pbx, phone_settings, register
from receiver.testing.phone_controls import Clock, Controls, Faults, HandlerGate, LateApp
from receiver.testing.phone_events import CallEnds

PHONES: weakref.WeakSet[Phone] = weakref.WeakSet()
"""All phones that still exist, for the reports of failed tests."""

_RUNNING: set[asyncio.Task[None]] = set()
"""The tasks of open phones: a phone that a test drops without `close` runs until its loop ends."""

_BASE = "http://127.0.0.1"


class BlockingCallWarning(UserWarning):
    """A synchronous call in an async handler blocked the event loop, and so all other callers."""


class Phone(Controls):
    """A telephone beside a simulated PBX on which ``app`` is registered.

    Use it with ``async with``, or dial at once and `close` it. ::

        async with Phone(app) as phone:
            call = await phone.dial("8000", caller="101")
            await call.press("1")
            assert call.forwarded_to == "222"

    Parameters:
        app: the Receiver, or its name on the command line, as in ``"app:app"``.
        http: serve the app on a free loopback port and send callbacks there.
        settings: of the app; by default only a secret is set.
        block_limit: seconds for which an async handler may block the event loop; a call that blocks
            it for longer is a `BlockingCallWarning`, at its file and line.

    Raises:
        LoadError: ``app`` does not name a Receiver.

    Attributes:
        app: the copy of the app.
        clock: the date and time at the PBX and for handlers, see `Clock`.
        calls: all calls, in their order.
        pbxs: the simulated PBXs by their labels.
        blocking_calls: calls in async handlers that blocked the event loop.
    """

    def __init__(
        self,
        app: Receiver | str,
        *,
        http: bool = False,
        settings: Settings | None = None,
        block_limit: float = 0.1,
    ) -> None:
        declared = load_app(app) if isinstance(app, str) else app
        if not isinstance(declared, Receiver):
            raise LoadError(f"a Phone calls a Receiver, not {type(declared).__name__}")
        self._folder = Path(tempfile.gettempdir(), f"receiver-{secrets.token_hex(8)}")
        self._settings = settings or phone_settings(self._folder)
        self._gate = HandlerGate()
        self._detector = BlockingCallDetector(block_limit)
        self.blocking_calls: list[BlockingCall] = []
        self._warned = 0
        self._registry: dict[str | tuple[str, type[Warning], int], int] = {}
        self._faults = Faults()
        self._http = http
        self.app = Receiver(
            *(IvrCopy(ivr, self._wrap) for ivr in declared.ivrs),
            *declared.events,
            fallback=declared.fallbacks,
            settings=self._settings,
        )
        self.clock = Clock()
        self.app.use_clock(self._time)
        self.calls: list[PhoneCall] = []
        self._by_session = weakref.WeakValueDictionary[str, PhoneCall]()
        self.pbxs = {label: make_pbx(self.app, label) for label in self.app.pbxs}
        self._lines: dict[str, Line] = {}
        self._ends = CallEnds(lambda: self.clock.now, self.app.idle)
        self._task: asyncio.Task[None] | None = None
        PHONES.add(self)
        self._made = True

    def _wrap(self, handler: Handler) -> Handler:
        return self._gate.wrap(self._detector.watched(handler, self.blocking_calls.append))

    @property
    def behaviour(self) -> Behaviour:
        """Undocumented behaviour of the PBX, or of the first of several; may be set."""
        return next(iter(self.pbxs.values())).behaviour

    @behaviour.setter
    def behaviour(self, behaviour: Behaviour) -> None:
        next(iter(self.pbxs.values())).behaviour = behaviour

    @property
    def faults(self) -> Faults:
        """The simulated faults; may be set at any time: ``phone.faults = Faults(late=True)``."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        self._faults = faults
        for line in self._lines.values():
            line.faults = faults
        if faults.late:
            self._gate.close()
        else:
            self._gate.open()

    def configure(self, ivr: str, **fields: Any) -> None:
        """Change an IVR of the PBX by its REST API.

        Parameters:
            ivr: as for `dial`.
            fields: such as ``timeout_forward_rule={"timeout": 5, "action": "HANGUP"}``.

        Raises:
            LoadError: the app has no such PBX.
            ApiError: there is no such IVR, or the PBX refuses the change.
        """
        label, number = find_ivr(self.app, ivr)
        pbx = self.pbxs[label]
        pbx.ivrs.update(pbx.at(number)["id"], fields)

    async def dial(self, ivr: str, *, caller: str = "101", caller_name: str = "") -> PhoneCall:
        """Call an IVR; open the phone, if it is not open.

        Parameters:
            ivr: its extension number; with several PBXs as in ``"north/8000"``.
            caller: the caller's number.
            caller_name: the caller's display name.

        Raises:
            LoadError, LineError: there is no such IVR.
            ReceiverError: the phone is closed, or the app does not start.
        """
        label, number = find_ivr(self.app, ivr)
        await self.open()
        call = await self._lines[label].dial(
            number, caller=caller, caller_name=caller_name, listener=self._listen
        )
        self._ends.begun(call, label)
        return call

    async def end(
        self,
        call: PhoneCall,
        *,
        answered: bool = True,
        talk: float = 10.0,
        by_caller: bool = True,
        recording: str = "",
        faults: EventFaults | None = None,
    ) -> list[EventDelivery]:
        """End a call, have the PBX report its events, and wait until their handlers have run.

        Parameters:
            answered: whether a person answers where the IVR forwards to, for ``talk`` seconds.
            by_caller: whether the caller hung up.
            recording: a link to it; ``faults``: on the way of the events.
        """
        end = CallEnd(talk if answered else None, by_caller, recording)
        return await self._ends.end(call, end, faults)

    def _time(self, session_id: str) -> datetime:
        """Return the date and time in a call, as the PBX has it."""
        call = self._by_session.get(session_id)
        return self.clock.now + timedelta(seconds=call.skipped if call else 0.0)

    def _listen(self, call: PhoneCall, event: Event) -> None:
        if len(call.events) == 1:  # also a call that fails while it is dialled
            self.calls.append(call)
            self._by_session[call.call.session_id] = call
        self._warn()

    def _warn(self) -> None:
        """Warn of calls that blocked the event loop since the last time."""
        while self._warned < len(self.blocking_calls):
            one = self.blocking_calls[self._warned]
            self._warned += 1
            warnings.warn_explicit(
                one.problem, BlockingCallWarning, one.file, one.line, registry=self._registry
            )

    async def open(self) -> None:
        """Start the app and register its actions, if the phone is not open.

        Raises:
            ReceiverError: the phone is closed, or the app does not start.
        """
        if self._task is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                raise ReceiverError("a Phone needs asyncio as the event loop") from None
            self._closing = asyncio.Event()
            self._ready: asyncio.Future[None] = loop.create_future()
            self._task = loop.create_task(self._run())
            _RUNNING.add(self._task)
            self._task.add_done_callback(_RUNNING.discard)
        await asyncio.shield(self._ready)
        if self._closing.is_set():
            raise ReceiverError("this phone is closed: make a new one")

    async def close(self) -> None:
        """Finish the background jobs of the app, and stop it."""
        if self._task is not None:
            self._closing.set()
            await self._task
            self._warn()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self.close()

    async def _run(self) -> None:
        async with AsyncExitStack() as stack:
            try:
                await self._serve(stack)
            except Exception as error:
                self._closing.set()
                self._ready.set_exception(error)
                return
            self._ready.set_result(None)
            with contextlib.suppress(asyncio.CancelledError):  # the event loop ends: close
                await self._closing.wait()
            self._closing.set()
            self._gate.open()

    async def _serve(self, stack: AsyncExitStack) -> None:
        self._folder.mkdir(mode=0o700)
        stack.callback(self._detector.close)
        stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
        served = LateApp(self.app, lambda: self._faults.late)
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
                sensitive=partial(sensitive_names, tuple(self.app), label),
                real_time=self._http,
            )
            line.faults = self._faults
            self._ends.serve(label, pbx, transport)
