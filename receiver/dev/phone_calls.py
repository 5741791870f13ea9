"""The calls in progress, and the requests of the page.

Rule 1: `receiver.simulator.line` simulates the PBX; here its timers use the real clock, and its
        events are published on the feed.
Rule 2: callbacks wait for the end of a reload; none is sent to another service (`HeldLine`).
Rule 3: every task has an owner, and ends with the calls.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from datetime import datetime
from functools import partial
from typing import Any

import msgspec
from msgspec import UNSET

from receiver.console.feed import Feed, Json
from receiver.console.web import Audio, Clock, ControlError, Dial, Faults, Key, Night
from receiver.declarations.missing_action import MissingAction
from receiver.dev.call_view import CallView, Changed
from receiver.dev.clock import PbxClock
from receiver.dev.event_report import report
from receiver.dev.held_line import HeldLine, callback_faults
from receiver.dev.ivr_views import identity_of
from receiver.dev.messages import Report, Simulation
from receiver.dev.service import Service
from receiver.dev.simulated_pbxs import SimulatedPbx, SimulatedPbxs
from receiver.dev.single_process import SingleProcessService
from receiver.simulator.events import Event
from receiver.simulator.line import LineError, PhoneCall

OnMissing = Callable[[str, MissingAction], None]

MAX_CALLS = 500
"""Calls in progress at the same time."""

MAX_KNOWN = 1000
"""The latest calls for which reports of the service are accepted."""


class LiveCall:
    """A call: the simulator's, its view for the page, and its timer."""

    def __init__(self, view: CallView, site: SimulatedPbx, session: str = "") -> None:
        self.view, self.site, self.session = view, site, session
        self.phone: PhoneCall | None = None
        self.timer: asyncio.TimerHandle | None = None


class PhoneCalls:
    """All calls; also `receiver.console.web.Controls`.

    Parameters:
        feed: where events are published.
        sites: the simulated PBXs.
        service: the app.
        on_missing: called with the IVR, and the declaration for keys that match nothing.
    """

    def __init__(
        self,
        feed: Feed,
        sites: SimulatedPbxs,
        service: Service | SingleProcessService,
        on_missing: OnMissing = lambda ivr, missing: None,
    ) -> None:
        self._feed = feed
        self._sites = sites
        self._service = service
        self._on_missing = on_missing
        self.base = sites.base
        self._lines: dict[str, HeldLine] = {}
        self._numbers = itertools.count(1)
        self._calls: OrderedDict[str, LiveCall] = OrderedDict()
        self._by_session: OrderedDict[str, LiveCall] = OrderedDict()
        self._tasks: set[asyncio.Task[object]] = set()
        self._clock = PbxClock()
        self._faults: Json = {"slow": 0.0, "network": "ok", "password": "right", "crm": "ok"}
        feed.set("faults", self._faults)
        feed.set("clock", {"at": None})

    async def close(self) -> None:
        """End all calls."""
        for live in self._calls.values():
            if live.timer:
                live.timer.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # Requests of the page ----------------------------------------------------------------------
    async def dial(self, request: Dial) -> str:
        site, ivr = self._sites.ivr_at(request.ivr)
        if sum(live.view.state != "ended" for live in self._calls.values()) >= MAX_CALLS:
            raise ControlError(f"{MAX_CALLS} calls are in progress: hang up one first")
        self.show_ivrs()  # office hours may have ended
        seq = next(self._numbers)
        view = CallView(
            key=f"c{seq}",
            seq=seq,
            ivr=ivr.extension_number,
            pbx=site.label,
            caller=request.caller,
            name=request.name,
            begun=datetime.now().astimezone(),
            start=time.monotonic(),
            prompt=self._sites.prompt_json(site, ivr.extension_number),
            after_failure=site.pbx.behaviour.after_failure,
        )
        live = LiveCall(view, site)
        self._keep(self._calls, view.key, live)
        self._feed.call(view.summary())

        def listen(phone: PhoneCall, event: Event) -> None:
            self._listen(live, phone, event)

        dialled = self._line(site).dial(
            view.ivr, caller=request.caller, caller_name=request.name, listener=listen
        )
        self._begin(dialled, live)
        return view.key

    async def key(self, call: str, pressed: Key) -> None:
        live, phone = self._current(call)
        self._begin(phone.key(pressed.key), live)

    async def hang_up(self, call: str) -> None:
        live, phone = self._current(call)
        self._begin(phone.hang_up(), live)

    async def clock(self, request: Clock) -> None:
        self._clock.set(request.at)
        self._simulate()
        self._feed.set("clock", {"at": request.at})
        self.show_ivrs()

    async def night(self, request: Night) -> None:
        site, found = self._sites.ivr_at(request.ivr)
        ivr = site.pbx.ivrs.stored(found.id)
        if request.on and not (ivr.get("night_mode_forward_rule") or {}).get("action"):
            raise ControlError(
                f"IVR {request.ivr} has no night mode rule, so night mode has no effect: a copy "
                "of a PBX (--pbx) has its rules"
            )
        ivr["enable_night_mode"] = request.on
        self.show_ivrs()

    async def faults(self, request: Faults) -> None:
        given = {name: getattr(request, name) for name in request.__struct_fields__}
        changed = {name: value for name, value in given.items() if value is not UNSET}
        self._faults = {**self._faults, **changed}
        self._simulate()
        for line in self._lines.values():
            line.faults = callback_faults(self._faults)
        self._feed.set("faults", self._faults)

    async def audio(self, file_id: str) -> Audio | None:
        return await self._sites.audio(file_id)

    # Events of the service ---------------------------------------------------------------------
    def report(self, child: int, report: Report) -> None:
        """Show a report of the service on a callback."""
        if (live := self._by_session.get(report.session)) is None:
            return
        values = msgspec.to_builtins(report)
        if changed := live.view.report(report.action, (child, report.id), values):
            self._show(live, [changed])

    def show_ivrs(self) -> None:
        """Publish the current state of the IVRs."""
        self._feed.set("ivrs", self._sites.ivrs_json(self._clock.local()))

    async def _hold(self, session: str) -> None:
        """Wait for the end of a reload, and show that the call waits."""
        if self._service.is_settled:
            return
        live = self._by_session.get(session)
        if live is not None:
            live.view.held = True
            self._feed.call(live.view.summary())
        await self._service.hold()
        if live is not None:
            live.view.held = False
            self._feed.call(live.view.summary())

    # Internal ----------------------------------------------------------------------------------
    def _listen(self, live: LiveCall, phone: PhoneCall, event: Event) -> None:
        """Publish an event of the simulator."""
        live.phone = phone
        if not live.session and (session := phone.call.session_id):
            live.session = session
            self._keep(self._by_session, session, live)
        if event.kind in ("announcement", "ivr"):
            live.view.prompt = self._sites.prompt_json(live.site, phone.ivr)
            live.view.at = phone.ivr
        action, handler = self._asked(event, live)
        missing = self._missing(event, live, phone)
        changed = live.view.take(
            event, phone.due, phone.outcome, action=action, handler=handler, missing=missing
        )
        self._show(live, changed)
        self._feed.now(live.view.key, live.view.now())
        if len(phone.events) == 1:
            of_call = live.view, live.site.pbx, phone, self._service.hold
            self._begin(report(*of_call, partial(self._show, live)), live)
        if phone.ended:
            self._calls.pop(live.view.key, None)

    def _asked(self, event: Event, live: LiveCall) -> tuple[str, str]:
        """Return the action's identity and its handler's name; empty without a callback."""
        if event.ask is not None:
            url = event.ask.action.url
            name = f"{live.view.at or live.view.ivr}/{event.ask.action.name}"
            identity = identity_of(url, self.base) or name
        elif event.step is not None and event.step.action is not None:
            identity = live.view.callbacks[-1].action
        else:
            return "", ""
        known = self._sites.actions.get(identity)
        return identity, known.handler.partition(" ")[0] if known else ""

    def _missing(self, event: Event, live: LiveCall, phone: PhoneCall) -> MissingAction | None:
        """Return the declaration for keys that match nothing, and print it."""
        if event.step is None or not event.step.is_unmatched:
            return None
        if missing := self._sites.missing(live.site.label, phone.ivr, event.step.digits):
            self._on_missing(live.view.address, missing)
        return missing

    def _show(self, live: LiveCall, changed: list[Changed]) -> None:
        for index, step in changed:
            self._feed.step(live.view.key, index, step)
        self._feed.call(live.view.summary())

    def _begin(self, work: Coroutine[Any, Any, object], live: LiveCall) -> None:
        task: asyncio.Task[object] = asyncio.create_task(self._carry_out(work, live))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry_out(self, work: Coroutine[Any, Any, object], live: LiveCall) -> None:
        try:
            await work
        except LineError as error:  # the call ended in this moment, or the IVR was removed
            if live.phone is None:
                live.view.fail(str(error))
                self._feed.call(live.view.summary())
                self._calls.pop(live.view.key, None)
        finally:
            self._start_timer(live)

    def _start_timer(self, live: LiveCall) -> None:
        """Start the timer for the next event of a call."""
        if live.timer is not None:
            live.timer.cancel()
            live.timer = None
        phone = live.phone
        if phone is not None and phone.due is not None:
            wait = max(0.0, phone.due - phone.now)
            loop = asyncio.get_running_loop()
            live.timer = loop.call_later(wait, self._on_time, live, phone)

    def _on_time(self, live: LiveCall, phone: PhoneCall) -> None:
        live.timer = None
        self._begin(phone.on_time(), live)

    def _current(self, call: str) -> tuple[LiveCall, PhoneCall]:
        live = self._calls.get(call)
        if live is None or live.phone is None:
            raise ControlError("this call has ended: dial again")
        return live, live.phone

    def _line(self, site: SimulatedPbx) -> HeldLine:
        if site.label not in self._lines:
            line = HeldLine(
                site.pbx,
                self.base,
                self._hold,
                seconds=time.monotonic,
                today=self._clock.today,
                sensitive=partial(self._sites.sensitive, site.label),
            )
            line.faults = callback_faults(self._faults)
            self._lines[site.label] = line
        return self._lines[site.label]

    def _simulate(self) -> None:
        """Send the current simulation to the child."""
        faults = self._faults
        self._service.simulate(Simulation(faults["slow"], faults["crm"], self._clock.time))

    def _keep(self, calls: OrderedDict[str, LiveCall], key: str, live: LiveCall) -> None:
        calls[key] = live
        while len(calls) > MAX_KNOWN:
            calls.popitem(last=False)
