"""The calls in progress, and what the page may ask for.

Rule 1: the engine decides (`receiver.simulator.line`); here its timers run by the real clock, and
        its events go to the feed.
Rule 2: a callback that is due while the code is exchanged is held back; one to another service than
        the developer's is not sent at all: what is phoned may be a copy of production.
Rule 3: every task has an owner, and is ended with the calls.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import OrderedDict
from collections.abc import Coroutine
from datetime import datetime
from typing import Any

import msgspec
from msgspec import UNSET

from receiver.console.feed import Feed, Json
from receiver.console.shapes import CallView, Changed
from receiver.console.web import Audio, Clock, ControlError, Dial, Faults, Key, Night
from receiver.dev.clock import PbxClock
from receiver.dev.lines import HeldLine
from receiver.dev.messages import Mischief, Report
from receiver.dev.registering import Site, Sites
from receiver.dev.reloading import Service
from receiver.dev.views import identity_of, ivrs_json, prompt_json
from receiver.errors import PbxError
from receiver.simulator.flow import Event
from receiver.simulator.line import LineError, PhoneCall
from receiver.simulator.trouble import Trouble

MOST_LIVE = 500
"""Calls in progress at once."""

MOST_KNOWN = 1000
"""Calls, the latest, for which what the service tells is still taken."""


class LiveCall:
    """A call: the engine's, what the page sees of it, and its timer."""

    def __init__(self, view: CallView, site: Site, session: str = "") -> None:
        self.view = view
        self.site = site
        self.session = session
        self.phone: PhoneCall | None = None
        self.timer: asyncio.TimerHandle | None = None


class Calls:
    """All calls; also `receiver.console.web.Controls`.

    Parameters:
        feed: is told of them.
        sites: the simulated PBXs.
        service: the app.
        base: where the app is served.
    """

    def __init__(self, feed: Feed, sites: Sites, service: Service) -> None:
        self._feed = feed
        self._sites = sites
        self._service = service
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

    # What the page asks for --------------------------------------------------------------------
    async def dial(self, wanted: Dial) -> str:
        label, _, number = wanted.ivr.rpartition("/")
        site = self._sites.find(label)
        ivr = site.pbx.ivr_at(number) if site else None
        if site is None or ivr is None:
            raise ControlError(f"there is no IVR {wanted.ivr}: choose one of those that are listed")
        if sum(live.view.state != "ended" for live in self._calls.values()) >= MOST_LIVE:
            raise ControlError(f"{MOST_LIVE} calls are in progress: hang one up first")
        self.show_ivrs()  # the office may have closed since
        seq = next(self._numbers)
        view = CallView(
            key=f"c{seq}",
            seq=seq,
            ivr=number,
            pbx=label,
            caller=wanted.caller,
            name=wanted.name,
            begun=datetime.now().astimezone(),
            start=time.monotonic(),
            prompt=prompt_json(site.pbx, site.pbx.ivrs.stored(ivr.id)),
            after_failure=site.pbx.behaviour.after_failure,
        )
        live = LiveCall(view, site)
        self._keep(self._calls, view.key, live)
        self._feed.call(view.summary())

        def listen(phone: PhoneCall, event: Event) -> None:
            self._listen(live, phone, event)

        line = self._line(site)
        self._begin(
            line.dial(number, caller=wanted.caller, caller_name=wanted.name, listener=listen), live
        )
        return view.key

    async def key(self, call: str, pressed: Key) -> None:
        live, phone = self._going(call)
        self._begin(phone.key(pressed.key), live)

    async def hang_up(self, call: str) -> None:
        live, phone = self._going(call)
        self._begin(phone.hang_up(), live)

    async def clock(self, wanted: Clock) -> None:
        self._clock.set(wanted.at)
        self._feed.set("clock", {"at": wanted.at})
        self.show_ivrs()

    async def night(self, wanted: Night) -> None:
        label, _, number = wanted.ivr.rpartition("/")
        site = self._sites.find(label)
        found = site and site.pbx.ivr_at(number)
        if not site or not found:
            raise ControlError(f"there is no IVR {wanted.ivr}")
        ivr = site.pbx.ivrs.stored(found.id)
        if wanted.on and not (ivr.get("night_mode_forward_rule") or {}).get("action"):
            raise ControlError(
                f"IVR {wanted.ivr} has no rule for the night, so night mode changes nothing: a "
                "copy of a PBX (--pbx) has the rules that are set there"
            )
        ivr["enable_night_mode"] = wanted.on
        self.show_ivrs()

    async def faults(self, wanted: Faults) -> None:
        given = {name: getattr(wanted, name) for name in wanted.__struct_fields__}
        changed = {name: value for name, value in given.items() if value is not UNSET}
        self._faults = {**self._faults, **changed}
        self._service.be(Mischief(self._faults["slow"], self._faults["crm"]))
        for line in self._lines.values():
            line.trouble = self._trouble()
        self._feed.set("faults", self._faults)

    async def audio(self, file_id: str) -> Audio | None:
        for site in self._sites:
            if (file := site.pbx.files.find(file_id)) is not None:
                octets = bytearray()
                try:
                    async with site.client.files.download(file["digest"]) as found:
                        async for chunk in found.chunks():
                            octets += chunk
                except PbxError:
                    return None
                return Audio(bytes(octets), file["media_type"])
        return None

    # What others tell --------------------------------------------------------------------------
    def report(self, child: int, report: Report) -> None:
        """The service tells of a callback."""
        if (live := self._by_session.get(report.session)) is None:
            return
        told = msgspec.to_builtins(report)
        if changed := live.view.told(report.action, (child, report.id), told):
            self._show(live, [changed])

    def show_ivrs(self) -> None:
        """Something about the IVRs has changed."""
        now, actions = self._clock.local(), self._sites.actions
        shown = [
            one
            for site in self._sites
            for one in ivrs_json(site.label, site.pbx, actions, self.base, now)
        ]
        self._feed.set("ivrs", shown)

    async def _hold(self, session: str) -> None:
        """Wait for the service, if it is being exchanged, and say so."""
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

    # Within ------------------------------------------------------------------------------------
    def _listen(self, live: LiveCall, phone: PhoneCall, event: Event) -> None:
        """The engine tells what happens."""
        live.phone = phone
        if not live.session and (session := phone.call.session_id):
            live.session = session
            self._keep(self._by_session, session, live)
        action, handler = self._who(event, live)
        changed = live.view.take(event, phone.due, phone.outcome, action=action, handler=handler)
        self._show(live, changed)
        self._feed.now(live.view.key, live.view.now())
        if phone.ended:
            self._calls.pop(live.view.key, None)

    def _who(self, event: Event, live: LiveCall) -> tuple[str, str]:
        """The identity and the function that is asked."""
        if event.ask is not None:
            url = event.ask.action.url
            name = f"{live.view.ivr}/{event.ask.action.name}"
            identity = identity_of(url, self.base) or name
        elif event.step is not None and event.step.action is not None:
            identity = live.view.callbacks[-1].action
        else:
            return "", ""
        known = self._sites.actions.get(identity)
        return identity, known.handler.partition(" ")[0] if known else ""

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
        except LineError as error:  # it ended in this very moment, or the IVR is gone
            if live.phone is None:
                live.view.fail(str(error))
                self._feed.call(live.view.summary())
                self._calls.pop(live.view.key, None)
        finally:
            self._wind(live)

    def _wind(self, live: LiveCall) -> None:
        """Set the timer of a call for what is next due."""
        if live.timer is not None:
            live.timer.cancel()
            live.timer = None
        phone = live.phone
        if phone is not None and phone.due is not None:
            wait = max(0.0, phone.due - phone.now)
            loop = asyncio.get_running_loop()
            live.timer = loop.call_later(wait, self._ring, live, phone)

    def _ring(self, live: LiveCall, phone: PhoneCall) -> None:
        live.timer = None
        self._begin(phone.on_time(), live)

    def _going(self, call: str) -> tuple[LiveCall, PhoneCall]:
        live = self._calls.get(call)
        if live is None or live.phone is None:
            raise ControlError("this call is over: dial again")
        return live, live.phone

    def _line(self, site: Site) -> HeldLine:
        if site.label not in self._lines:
            line = HeldLine(
                site.pbx, self.base, self._hold, seconds=time.monotonic, today=self._clock.today
            )
            line.trouble = self._trouble()
            self._lines[site.label] = line
        return self._lines[site.label]

    def _trouble(self) -> Trouble:
        network = self._faults["network"]
        return Trouble(
            dropped=network == "drop",
            refused=network == "refuse",
            wrong_password=self._faults["password"] == "wrong",  # noqa: S105 - it is none
        )

    def _keep(self, calls: OrderedDict[str, LiveCall], key: str, live: LiveCall) -> None:
        calls[key] = live
        while len(calls) > MOST_KNOWN:
            calls.popitem(last=False)
