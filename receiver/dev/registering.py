"""The simulated PBXs, and what is declared on them.

Rule 1: it is registered by the same code as by ``receiver apply``, over the same REST API.
Rule 2: an IVR that is declared is there; one that was made here and is no longer declared goes.
Rule 3: what the developer is told has changed is what the plan said.
Rule 4: no id is given twice, on whichever PBX: the page asks for a recording by its id alone.
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Self

import httpx

from receiver.actions import Action
from receiver.dev.messages import DeclaredAction, Ready
from receiver.pbx.client import PbxClient
from receiver.pbx.tokens import GivenToken
from receiver.receptionists import ReceptionistChange
from receiver.registration import registrar
from receiver.registration.plans import SYMBOLS, Change, Plan
from receiver.secrets import Secret
from receiver.simulator.api import make_api
from receiver.simulator.behaviour import Behaviour
from receiver.simulator.model import Pbx

MOST_IVRS = 10_000
"""IVRs of a simulated PBX: a copy may have more than a tenant may create by default."""

FIRST_ID = 2**62
"""What ids are counted from, for all of them together: those of a copy are lower."""


@dataclass(slots=True)
class Site:
    """A simulated PBX. ``made`` are the numbers of the IVRs that nobody declared in full."""

    label: str
    pbx: Pbx
    client: PbxClient
    made: set[str] = field(default_factory=set)


class Sites:
    """The simulated PBXs, one for each label. Use it as an async context manager.

    Parameters:
        base: where the service is.
        secret: the service's.

    Attributes:
        actions: what was declared last, by identity.
    """

    def __init__(self, base: str, secret: Secret) -> None:
        self.base = base
        self._secret = secret
        self._sites: dict[str, Site] = {}
        self._stack = AsyncExitStack()
        self._numbers = itertools.count(FIRST_ID)
        self.actions: dict[str, DeclaredAction] = {}

    def __iter__(self) -> Iterator[Site]:
        return iter(self._sites.values())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def at(self, label: str) -> Site:
        """The PBX of this label, made when it is first asked for."""
        if label not in self._sites:
            pbx = Pbx(Behaviour(quota=MOST_IVRS), numbers=self._numbers)
            token = Secret(secrets.token_urlsafe(24))
            within = httpx.ASGITransport(make_api(pbx, token=token))
            client = PbxClient("http://127.0.0.1", GivenToken(token), transport=within)
            await self._stack.enter_async_context(client)
            self._sites[label] = Site(label, pbx, client)
        return self._sites[label]

    def find(self, label: str) -> Site | None:
        """The same, if it is there."""
        return self._sites.get(label)

    async def register(self, ready: Ready) -> tuple[str, ...]:
        """Register what is declared; what that changed, a line each.

        Raises:
            ReceiverError: it cannot be registered.
        """
        actions = [one.action() for one in ready.actions]
        lines: list[str] = []
        labels = dict.fromkeys([*(label for label, _ in ready.ivrs), *self._sites])
        for label in labels:
            lines += await self._register(await self.at(label), ready, actions)
        self.actions = {one.identity: one for one in ready.actions}
        return tuple(lines)

    async def _register(self, site: Site, ready: Ready, actions: list[Action]) -> list[str]:
        people = [one.receptionist() for one in ready.receptionists if one.pbx == site.label]
        numbers = {number for label, number in ready.ivrs if label == site.label}
        lines = _have(site, numbers - {one.number for one in people})
        plan = await registrar.make_plan(
            site.client,
            actions,
            self.base,
            self._secret,
            take_over=True,
            certain=True,  # a copy lacks the secrets that could not be read
            look=True,
            receptionists=people,
            pbx=site.label,
        )
        await registrar.apply(site.client, plan, allow_deletes=True)
        lines += _lines(plan)
        lines += _remove(site, numbers)
        return lines


def _have(site: Site, numbers: set[str]) -> list[str]:
    """Make the IVRs that are declared by their number alone, and so must be there."""
    lines = []
    for number in sorted(numbers):
        if site.pbx.ivr_at(number) is None:
            name = f"Receptionist {number}"
            site.pbx.ivrs.create({"name": name, "extension_number": number, "enable_pin": False})
            site.made.add(number)
            lines.append(f"+ IVR {_named(site.label, number)}")
    return lines


def _remove(site: Site, numbers: set[str]) -> list[str]:
    """Remove what was made here and is no longer declared."""
    lines = []
    for number in sorted(site.made - numbers):
        if (ivr := site.pbx.ivr_at(number)) is not None:
            site.pbx.destroy_ivr(ivr.id)
            lines.append(f"- IVR {_named(site.label, number)}")
    site.made &= numbers
    return lines


def _lines(plan: Plan) -> list[str]:
    lines = [_line(plan, change) for change in plan.pending]
    return lines + [f"Warning: {warning}" for warning in plan.warnings]


def _line(plan: Plan, change: Change | ReceptionistChange) -> str:
    differences = ", ".join(map(str, change.differences))
    if isinstance(change, ReceptionistChange):
        what = f"receptionist {_named(plan.pbx, change.wanted.number)}"
    else:
        number = change.ivr.extension_number
        what = f"action {_named(plan.pbx, f'{number}/{change.action.name}')}"
    of = f": {differences}" if differences and change.op == "update" else ""
    return f"{SYMBOLS[change.op]} {what}{of}"


def _named(label: str, name: str) -> str:
    return f"{label}/{name}" if label else name
