"""Run the service and a simulated PBX on free loopback ports, to place calls."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from receiver.app import Receiver
from receiver.config.load_app import find_ivr
from receiver.credentials import Secret
from receiver.declarations.actions import Handler, sensitive_names
from receiver.errors import LoadError
from receiver.pbx.access_tokens import GivenToken
from receiver.pbx.pbx_client import PbxClient
from receiver.registration import registrar
from receiver.registration.changes import Plan
from receiver.registration.event_urls import desired_event_state
from receiver.server.uvicorn_server import running
from receiver.simulator.api import make_api
from receiver.simulator.event_records import Json
from receiver.simulator.event_sender import EventDelivery, EventSender, no_wait
from receiver.simulator.line import Line
from receiver.simulator.model import Pbx
from receiver.testing.declared_pbx import IvrCopy, make_pbx, phone_settings
from receiver.text import short


def find_declared_ivr(app: Receiver, ivr: str) -> tuple[str, str]:
    """Return the label of the PBX and the number of the declared IVR that ``ivr`` names.

    Parameters:
        ivr: as in ``8000``, or with several PBXs ``north/8000``.

    Raises:
        LoadError: the app declares no such IVR.
    """
    label, number = find_ivr(app, ivr)
    numbers = [one.number for one in app.ivrs if one.pbx == label]
    if number not in numbers:
        known = f"choose one of {', '.join(numbers)}" if numbers else "it declares none"
        raise LoadError(f"this app declares no IVR {short(ivr)!r}: {known}")
    return label, number


@dataclass(frozen=True, slots=True)
class LocalService:
    """A running service and the simulated PBX that sends it callbacks."""

    app: Receiver
    url: str
    pbx: Pbx
    pbx_url: str
    client: PbxClient
    line: Line
    label: str = ""

    async def plan(self) -> Plan:
        """Return the changes to make on the simulated PBX."""
        secret, endpoint = self.app.settings.secret, self.app.event_endpoint(self.label)
        return await registrar.make_plan(
            self.client,
            self.app,
            self.url,
            secret,
            pbx=self.label,
            event_url=desired_event_state(endpoint, self.url, secret, pbx=self.label),
        )

    async def apply(self) -> registrar.Result:
        """Register the app's actions on the simulated PBX through its REST API."""
        return await registrar.apply(self.client, await self.plan(), allow_deletes=True)

    async def send(self, events: list[Json]) -> list[EventDelivery]:
        """Send events of a call to the app, and wait until their handlers have run."""
        sender = EventSender(lambda: self.pbx.tenant_settings["cdr_event"], sleep=no_wait)
        sent = await sender.send(events)
        await self.app.idle()
        return sent


@asynccontextmanager
async def run_local(
    declared: Receiver,
    label: str = "",
    *,
    wrap: Callable[[Handler], Handler] | None = None,
    at: datetime | None = None,
) -> AsyncIterator[LocalService]:
    """Serve what ``declared`` declares, with a new secret, beside a simulated PBX.

    The log shows caller data: the caller is simulated.

    Parameters:
        declared: the app.
        label: of the PBX that is simulated.
        wrap: returns the function to call instead of a handler.
        at: the date and time at the PBX and for handlers; None for this machine's.
    """
    ivrs = [IvrCopy(ivr, wrap) for ivr in declared.ivrs] if wrap else declared.ivrs
    with TemporaryDirectory() as folder:  # background jobs stay out of the real queue
        settings = phone_settings(Path(folder))
        app = Receiver(*ivrs, *declared.events, fallback=declared.fallbacks, settings=settings)
        if at is not None:
            app.use_clock(lambda _: at)
        today = datetime.now if at is None else lambda: at
        async with _serve(app, label, today) as local:
            yield local


@asynccontextmanager
async def _serve(
    app: Receiver, label: str, today: Callable[[], datetime]
) -> AsyncIterator[LocalService]:
    pbx = make_pbx(app, label)
    token = Secret(secrets.token_urlsafe(24))
    async with (
        running(app) as url,
        running(make_api(pbx, token=token), lifespan="off") as pbx_url,
        PbxClient(pbx_url, GivenToken(token)) as client,
    ):
        sensitive = partial(sensitive_names, tuple(app), label)
        line = Line(pbx, today=today, sensitive=sensitive)
        yield LocalService(app, url, pbx, pbx_url, client, line, label)
