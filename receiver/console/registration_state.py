"""The differences between the declarations and the PBX, for the console in production.

Rule 1: a PBX is only read, at most every `CHECK_INTERVAL` seconds, and only while the console has a
        viewer.
Rule 2: nothing waits for the PBX: the last result is shown, with its time.
Rule 3: the client of a PBX is kept, so that a refused password is not sent twice
        (`receiver.pbx.accounts`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from receiver.app import Receiver
from receiver.declarations.ivr import desired_ivrs
from receiver.errors import ReceiverError
from receiver.pbx.accounts import BackgroundCheck, client
from receiver.pbx.pbx_client import PbxClient
from receiver.registration.actual_state import Reading, read_rules
from receiver.registration.changes import SYMBOLS, Change, Plan, Resource
from receiver.registration.event_urls import desired_event_state
from receiver.registration.ivr_changes import Speak
from receiver.registration.plan_file import PlanOptions
from receiver.registration.registrar import make_plan
from receiver.settings import Settings

Json = dict[str, Any]
Menus = dict[tuple[str, str], tuple[str, ...]]
"""The keys of the IVRs' own menus, by the PBX's label and the IVR's number."""

CHECK_INTERVAL = 180.0
"""Seconds for which a result is kept."""


@dataclass(frozen=True, slots=True)
class Found:
    """The result of reading one PBX.

    Attributes:
        state: ``off``, ``unknown``, ``differs`` or ``in step``.
        lines: the differences.
        text: an explanation.
        menus: of the IVRs that could be read.
    """

    state: str
    lines: tuple[str, ...] = ()
    text: str = ""
    menus: Menus = field(default_factory=dict)


NOT_CONFIGURED = Found("off", text="no PBX is configured: RECEIVER_PBX_URL and an account")


class RegistrationState:
    """Compares ``app`` with its PBXs.

    Parameters:
        app: the declarations.
        make: makes a client of a PBX.
        clock: monotonic seconds.
        now: returns the time as text.
    """

    def __init__(
        self,
        app: Receiver,
        *,
        now: Callable[[], str],
        make: Callable[[Settings], PbxClient] = client,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._app = app
        self._visits = BackgroundCheck(CHECK_INTERVAL, make, clock)
        self._now = now
        is_configured = any(app.settings_for(label).pbx_url for label in app.pbxs)
        self.menus: Menus = {}
        self.json: Json = _json([] if is_configured else [NOT_CONFIGURED], None)

    def refresh(self, then: Callable[[], object]) -> None:
        """Read the PBXs again, if the result is old, and call ``then`` afterwards."""
        if self.json["state"] != "off":
            self._visits.begin(lambda: self._refresh(then))

    async def close(self) -> None:
        """Sign out from the PBXs."""
        await self._visits.close()

    async def _refresh(self, then: Callable[[], object]) -> None:
        found = [await self._one(label) for label in self._app.pbxs]
        for one in found:
            self.menus |= one.menus
        self.json = _json(found, self._now())
        then()

    async def _one(self, label: str) -> Found:
        prefix = f"PBX {label}: " if label else ""
        try:
            return await self._read(label, prefix)
        except ReceiverError as error:
            return Found("unknown", text=f"{prefix}{error}")

    async def _read(self, label: str, prefix: str) -> Found:
        app, settings = self._app, self._app.settings_for(label).need("public_url")
        pbx = await self._visits.client(label, settings)
        plan = await read_plan(pbx, app, settings, label)
        own = await read_rules(pbx, plan)
        menus = {(label, number): one.keys for number, one in own.items()}
        if not plan.pending:
            return Found("in step", text=f"{prefix}no differences", menus=menus)
        text = f"{prefix}receiver plan shows the values, receiver apply changes them"
        return Found("differs", _lines(plan, label), text, menus)


async def read_plan(
    pbx: PbxClient,
    app: Receiver,
    settings: Settings,
    label: str,
    options: PlanOptions = PlanOptions(),  # noqa: B008 - frozen
    *,
    look: bool = False,
    reading: Reading = lambda done, all: None,
    speak: Speak | None = None,
) -> Plan:
    """Read a PBX and return the plan for what ``app`` declares there.

    Parameters:
        pbx: a client of the PBX.
        settings: of the PBX with this label.
        options: of ``receiver plan``.
        look, reading, speak: as for `receiver.registration.registrar.make_plan`.

    Raises:
        ReceiverError: see `receiver.registration.registrar.make_plan`.
    """
    base, secret, epoch = settings.public_url, settings.secret, settings.epoch
    events, former = app.event_endpoint(label), options.moved_from
    return await make_plan(
        pbx,
        app,
        base,
        secret,
        epoch,
        look=look,
        ivrs=desired_ivrs(app.ivrs, label),
        reading=reading,
        number_format=settings.number_format,
        speak=speak,
        event_url=desired_event_state(events, base, secret, epoch, pbx=label, former=former),
        take_over=options.take_over,
        take_over_events=options.take_over_events,
        certain=options.force_credentials,
        pbx=label,
        former=former,
    )


def _lines(plan: Plan, label: str) -> tuple[str, ...]:
    """Return a line for each change, without values: headers may hold secrets."""
    prefix = f"{label}/" if label else ""

    def text(change: Change[Resource]) -> str:
        fields = ", ".join(d.field for d in change.differences) if change.op == "update" else ""
        name = f"{SYMBOLS[change.op]} {change.op} {prefix}{change.name}"
        return f"{name}: {fields}" if fields else name

    return tuple(map(text, plan.pending))


def _json(found: list[Found], checked: str | None) -> Json:
    """Return the result of all PBXs; the worst state counts."""
    order = ("unknown", "differs", "off", "in step")
    state = min((one.state for one in found), key=order.index, default="unknown")
    return {
        "state": state,
        "checked": checked,
        "lines": [text for one in found for text in one.lines],
        "text": "; ".join(one.text for one in found if one.text),
    }
