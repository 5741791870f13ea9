"""The simulated PBXs of ``receiver dev``, and the registration on them.

Rule 1: the code and the REST API are those of ``receiver apply``.
Rule 2: each declared IVR exists; one that was created here is removed with its declaration.
Rule 3: the shown changes are those of the plan.
Rule 4: a spoken prompt is made and played; where none can be made, the page shows its text.
Rule 5: ids are unique across all PBXs: the page requests an audio file by its id alone.
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Self

import httpx

from receiver.auth import Auth
from receiver.console.feed import Json
from receiver.console.web import Audio, ControlError
from receiver.credentials import Secret
from receiver.declarations.actions import Action, sensitive_names
from receiver.declarations.desired_ivr import DesiredIvr
from receiver.declarations.event_actions import EventEndpoint
from receiver.declarations.missing_action import MissingAction, missing_action
from receiver.declarations.speech import Speech
from receiver.dev.declaration_messages import DeclaredAction
from receiver.dev.ivr_views import ivrs_json, prompt_json
from receiver.dev.messages import Ready
from receiver.errors import PbxError, ReceiverError, SettingsError
from receiver.pbx.access_tokens import GivenToken
from receiver.pbx.models import IvrSummary, write
from receiver.pbx.models_events import EventUrl
from receiver.pbx.pbx_client import PbxClient
from receiver.registration import registrar
from receiver.registration.changes import SYMBOLS, Change, Plan, Resource
from receiver.registration.desired import desired_event_url
from receiver.registration.ivr_changes import Speak
from receiver.simulator.api import make_api
from receiver.simulator.behaviour import Behaviour
from receiver.simulator.hours import LocalTime
from receiver.simulator.model import Pbx

MAX_IVRS = 10_000
"""IVRs of a simulated PBX: a copy may have more than a tenant may create by default."""

FIRST_ID = 2**62
"""The first id for all simulated PBXs; ids in a copy of a real PBX are lower."""


@dataclass(slots=True)
class SimulatedPbx:
    """A simulated PBX. ``made`` are the IVRs that were created because an action names them."""

    label: str
    pbx: Pbx
    client: PbxClient
    made: set[str] = field(default_factory=set)


class SimulatedPbxs:
    """The simulated PBXs, one for each label. Use it as an async context manager.

    Parameters:
        base: the service's URL.
        secret: of the service.
        speak: makes the recordings of spoken prompts; None shows their texts only.

    Attributes:
        actions: the actions of the newest version, by identity.
        speeches: the spoken prompts, by the label of the PBX and the number of the IVR.
    """

    def __init__(self, base: str, secret: Secret, speak: Speak | None = None) -> None:
        self.base = base
        self._secret = secret
        self._speak = speak
        self.speeches: dict[tuple[str, str], Speech] = {}
        self._sites: dict[str, SimulatedPbx] = {}
        self._stack = AsyncExitStack()
        self._numbers = itertools.count(FIRST_ID)
        self.actions: dict[str, DeclaredAction] = {}

    def __iter__(self) -> Iterator[SimulatedPbx]:
        return iter(self._sites.values())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def at(self, label: str) -> SimulatedPbx:
        """Return the PBX of this label; make it at the first call."""
        if label not in self._sites:
            pbx = Pbx(Behaviour(quota=MAX_IVRS), numbers=self._numbers)
            token = Secret(secrets.token_urlsafe(24))
            within = httpx.ASGITransport(make_api(pbx, token=token))
            client = PbxClient(
                "http://127.0.0.1",
                GivenToken(token),
                transport=within,
                version=pbx.behaviour.version,
            )
            await self._stack.enter_async_context(client)
            self._sites[label] = SimulatedPbx(label, pbx, client)
        return self._sites[label]

    def find(self, label: str) -> SimulatedPbx | None:
        """Return the PBX of this label, if it was made."""
        return self._sites.get(label)

    def sensitive(self, label: str, ivr: str) -> frozenset[str]:
        """Return the names of the sensitive actions of an IVR."""
        return sensitive_names(self.actions.values(), label, ivr)

    def ivr_at(self, address: str) -> tuple[SimulatedPbx, IvrSummary]:
        """Return the IVR ``"8000"`` or ``"label/8000"``, and its PBX.

        Raises:
            ControlError: there is no such IVR.
        """
        label, _, number = address.rpartition("/")
        site = self.find(label)
        ivr = site.pbx.ivr_at(number) if site else None
        if site is None or ivr is None:
            raise ControlError(f"there is no IVR {address}: choose one from the list")
        return site, ivr

    def ivrs_json(self, now: LocalTime) -> list[Json]:
        """Return all IVRs as the page shows them; office hours are those of ``now``."""
        return [
            one
            for site in self
            for one in ivrs_json(site.label, site.pbx, self.actions, self.base, now, self.speeches)
        ]

    def prompt_json(self, site: SimulatedPbx, number: str) -> Json:
        """Return the prompt of an IVR as the page shows and plays it."""
        ivr = site.pbx.ivrs.stored(site.pbx.at(number)["id"])
        return prompt_json(site.pbx, ivr, self.speeches.get((site.label, number)))

    async def audio(self, file_id: str) -> Audio | None:
        """Return an audio file of any of the PBXs."""
        for site in self:
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

    def missing(self, label: str, ivr: str, keys: str) -> MissingAction | None:
        """Return the declaration of an action for ``keys`` that no action matches."""
        actions = [one.action() for one in self.actions.values()]
        return missing_action(actions, ivr, "DTMF", keys, pbx=label)

    async def register(self, ready: Ready) -> tuple[str, ...]:
        """Register the declarations; return a line for each change.

        Raises:
            ReceiverError: the declarations cannot be registered.
        """
        actions = [one.action() for one in ready.actions]
        lines: list[str] = []
        labels = dict.fromkeys([*(label for label, _ in ready.ivrs), *self._sites])
        self.speeches = {
            (one.pbx, str(one.fields["extension_number"])): one.speeches["prompt"]
            for one in ready.desired_ivrs
            if "prompt" in one.speeches
        }
        for label in labels:
            lines += await self._register(await self.at(label), ready, actions)
        self.actions = {one.identity: one for one in ready.actions}
        return tuple(lines)

    async def _register(self, site: SimulatedPbx, ready: Ready, actions: list[Action]) -> list[str]:
        ivrs = [one.desired() for one in ready.desired_ivrs if one.pbx == site.label]
        numbers = {number for label, number in ready.ivrs if label == site.label}
        lines = _create(site, numbers - {one.number for one in ivrs})
        ivrs, silent = await self._with_audio(ivrs)
        plan = await registrar.make_plan(
            site.client,
            actions,
            self.base,
            self._secret,
            take_over=True,
            certain=True,  # a copy lacks the secrets that could not be read
            look=True,
            ivrs=ivrs,
            pbx=site.label,
            number_format=ready.number_formats.get(site.label, "automatic"),
            speak=self._speak,
        )
        await registrar.apply(site.client, plan, allow_deletes=True)
        lines += _lines(plan)
        lines += silent
        lines += _remove(site, numbers)
        self._set_event_url(site, dict(ready.events))
        return lines

    async def _with_audio(self, ivrs: list[DesiredIvr]) -> tuple[list[DesiredIvr], list[str]]:
        """Return the IVRs without the spoken prompts of which no recording can be made, and why."""
        made, problems = list[DesiredIvr](), list[str]()
        for one in ivrs:
            prompts = dict(one.prompts)
            for option, speech in one.prompts.items():
                try:
                    if isinstance(speech, Speech):
                        await self._try(speech)
                except ReceiverError as error:
                    what = f"the {option.replace('_', ' ')} of IVR {one.number}"
                    problems.append(f"Warning: the page shows {what}: {error}")
                    del prompts[option]
            made.append(replace(one, prompts=prompts))
        return made, problems

    def _set_event_url(self, site: SimulatedPbx, declared: Mapping[str, Auth | None]) -> None:
        event_url = EventUrl(enabled=False)
        if site.label in declared:
            endpoint = EventEndpoint(site.label, declared[site.label])
            event_url = desired_event_url(endpoint, self.base, self._secret)
        site.pbx.update_tenant({"cdr_event": write(event_url)})

    async def _try(self, speech: Speech) -> None:
        if self._speak is None:
            raise SettingsError("no synthesizer is used")
        await asyncio.to_thread(self._speak, speech)


def _create(site: SimulatedPbx, numbers: set[str]) -> list[str]:
    """Create the IVRs that are declared by their number alone."""
    lines = []
    for number in sorted(numbers):
        if site.pbx.ivr_at(number) is None:
            site.pbx.add_ivr(number)
            site.made.add(number)
            lines.append(f"+ IVR {_named(site.label, number)}")
    return lines


def _remove(site: SimulatedPbx, numbers: set[str]) -> list[str]:
    """Remove the created IVRs that are no longer declared."""
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


def _line(plan: Plan, change: Change[Resource]) -> str:
    differences = ", ".join(map(str, change.differences))
    kind = "" if isinstance(change.resource, DesiredIvr) else "action "
    what = kind + (f"{plan.pbx}/{change.name}" if plan.pbx else change.name)
    of = f": {differences}" if differences and change.op == "update" else ""
    return f"{SYMBOLS[change.op]} {what}{of}"


def _named(label: str, name: str) -> str:
    return f"{label}/{name}" if label else name
