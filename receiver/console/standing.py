"""How what is declared stands to what the PBX has, for the console in production.

Rule 1: a PBX is only read, at most every `FRESH` seconds, and only while somebody looks at it.
Rule 2: nobody waits for it: what was found last is there, with its time.
Rule 3: a client of each PBX is kept, so that a refused password is not sent twice
        (`receiver.pbx.visits`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from receiver.app import Receiver
from receiver.errors import ReceiverError
from receiver.pbx.accounts import client
from receiver.pbx.client import PbxClient
from receiver.pbx.visits import Visits
from receiver.printable import line
from receiver.registration.plans import SYMBOLS, Plan
from receiver.registration.registrar import make_plan, read_own
from receiver.settings import Settings

Json = dict[str, Any]
Menus = dict[tuple[str, str], tuple[str, ...]]
"""What the IVRs' own menus listen for, by the PBX's label and their number."""

FRESH = 180.0
"""Seconds for which an answer of the PBX is good."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a look at a PBX gave.

    Attributes:
        state: as the console's page is told.
        lines: what differs.
        text: for people.
        menus: of the IVRs that could be read.
    """

    state: str
    lines: tuple[str, ...] = ()
    text: str = ""
    menus: Menus = field(default_factory=dict)


OFF = Found("off", text="no PBX is configured: RECEIVER_PBX_URL and an account")


class Standing:
    """Looks at the PBXs of ``app``.

    Parameters:
        app: the declarations.
        make: a client of a PBX.
        clock: seconds, by a clock that is never set.
        now: the time as text, for people.
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
        self._visits = Visits(FRESH, make, clock)
        self._now = now
        wanted = [app.settings_for(label) for label in app.pbxs]
        self.menus: Menus = {}
        self.json: Json = _json([OFF] if not any(one.pbx_url for one in wanted) else [], None)

    def look(self, then: Callable[[], object]) -> None:
        """Look anew, if it is time to; ``then`` is called when something was found."""
        if self.json["state"] != "off":
            self._visits.begin(lambda: self._look(then))

    async def close(self) -> None:
        """Sign out, as far as the PBXs can be reached."""
        await self._visits.close()

    async def _look(self, then: Callable[[], object]) -> None:
        found = [await self._one(label) for label in self._app.pbxs]
        for one in found:
            self.menus |= one.menus
        self.json = _json(found, self._now())
        then()

    async def _one(self, label: str) -> Found:
        named = f"PBX {label}: " if label else ""
        try:
            return await self._read(label, named)
        except ReceiverError as error:
            return Found("unknown", text=f"{named}{error}")

    async def _read(self, label: str, named: str) -> Found:
        app, settings = self._app, self._app.settings_for(label).need("public_url")
        pbx = await self._visits.client(label, settings)
        plan = await make_plan(
            pbx,
            app,
            settings.public_url,
            settings.secret,
            settings.epoch,
            receptionists=app.receptionists(label),
            pbx=label,
        )
        own = await read_own(pbx, plan)
        menus = {(label, number): one.keys for number, one in own.items()}
        if not plan.pending:
            return Found("in step", text=f"{named}nothing to do", menus=menus)
        text = f"{named}receiver plan says more, receiver apply puts it right"
        return Found("differs", _lines(plan, label), text, menus)


def _lines(plan: Plan, label: str) -> tuple[str, ...]:
    """A line for each change, without values: those of headers are secrets."""
    prefix = f"{label}/" if label else ""

    def told(op: str, what: str, fields: list[str]) -> str:
        return f"{op} {prefix}{what}" + (f": {', '.join(fields)}" if fields else "")

    people = [
        f"{SYMBOLS[one.op]} "
        + told(one.op, f"receptionist {one.wanted.number}", [d.field for d in one.differences])
        for one in plan.receptionists
        if one.op != "keep"
    ]
    return (
        *people,
        *(
            f"{SYMBOLS[one.op]} "
            + told(
                one.op,
                f"{one.ivr.extension_number}/{line(one.action.name)}",
                [d.field for d in one.differences] if one.op == "update" else [],
            )
            for one in plan.of("create", "update", "delete", "blocked")
        ),
    )


def _json(found: list[Found], checked: str | None) -> Json:
    """Of several PBXs the worst state counts."""
    order = ("unknown", "differs", "off", "in step")
    state = min((one.state for one in found), key=order.index, default="unknown")
    return {
        "state": state,
        "checked": checked,
        "lines": [text for one in found for text in one.lines],
        "text": "; ".join(one.text for one in found if one.text),
    }
