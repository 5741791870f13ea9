"""A stage for calls: the service and a simulated PBX on free loopback ports, for a while."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from receiver.app import Receiver
from receiver.pbx.client import PbxClient
from receiver.pbx.tokens import GivenToken
from receiver.registration import registrar
from receiver.registration.plans import Plan
from receiver.secrets import Secret
from receiver.serving.server import running
from receiver.settings import Settings
from receiver.simulator.api import make_api
from receiver.simulator.line import Line
from receiver.simulator.model import Pbx


@dataclass(frozen=True, slots=True)
class Stage:
    """Everything a simulated call needs."""

    app: Receiver
    url: str
    pbx: Pbx
    pbx_url: str
    client: PbxClient
    line: Line
    label: str = ""

    async def plan(self) -> Plan:
        """What has to change on the simulated PBX."""
        return await registrar.make_plan(
            self.client, self.app, self.url, self.app.settings.secret, pbx=self.label
        )

    async def apply(self) -> registrar.Result:
        """Register the app's actions on the simulated PBX, over its REST API."""
        return await registrar.apply(self.client, await self.plan(), allow_deletes=True)


@asynccontextmanager
async def set_stage(declared: Receiver, label: str = "") -> AsyncIterator[Stage]:
    """Serve what ``declared`` declares, with a secret of its own, beside a simulated PBX.

    Of several PBXs the one with this ``label`` is simulated. What its log may show is shown: the
    caller is invented.
    """
    with TemporaryDirectory() as folder:  # what is to be done after these calls is nobody else's
        settings = Settings(
            secret=Secret(secrets.token_hex(32)),
            after=Secret(str(Path(folder) / "after.db")),
            log_caller_data=True,
        )
        app = Receiver(*declared.ivrs, fallback=declared.fallbacks, settings=settings)
        async with _serve(app, label) as stage:
            yield stage


@asynccontextmanager
async def _serve(app: Receiver, label: str) -> AsyncIterator[Stage]:
    pbx = Pbx()
    for number in dict.fromkeys(ivr.number for ivr in app.ivrs if ivr.pbx == label):
        pbx.ivrs.create(
            {"name": f"Receptionist {number}", "extension_number": number, "enable_pin": False}
        )
    token = Secret(secrets.token_urlsafe(24))
    async with (
        running(app) as url,
        running(make_api(pbx, token=token), lifespan="off") as pbx_url,
        PbxClient(pbx_url, GivenToken(token)) as client,
    ):
        yield Stage(app, url, pbx, pbx_url, client, Line(pbx), label)
