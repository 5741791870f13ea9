"""A simulated PBX behind its REST API, in this process, with requests that can be killed."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence

import httpx

from receiver.credentials import Secret
from receiver.pbx.access_tokens import GivenToken
from receiver.pbx.models import ActionUrl, IvrSummary, read
from receiver.pbx.pbx_client import PbxClient
from receiver.registration.registrar import Result, apply, plan_destroy
from receiver.simulator.api import make_api
from receiver.simulator.model import Behaviour, Pbx

TOKEN = "the-token-of-the-stage"


async def destroy(client: PbxClient, base: str, pbx: str = "") -> Result:
    """Delete all action URLs of the service at ``base``."""
    return await apply(client, await plan_destroy(client, base, pbx=pbx), allow_deletes=True)


class Killed(BaseException):
    """The simulated end of the process."""


class Transport(httpx.AsyncBaseTransport):
    """A transport to the API that raises `Killed` at one request, before or after its effect.

    Attributes:
        sent: method and path of each request.
        kill: the number of the request to raise at, from 1; 0 for none.
        after: whether the request takes effect first.
        shuffle: if given, concurrent requests are reordered at random.
        turns: loop iterations that a request, and its answer, may be delayed by.
    """

    def __init__(self, app: object) -> None:
        self._inner = httpx.ASGITransport(app)  # type: ignore[arg-type]
        self.sent: list[str] = []
        self.kill = 0
        self.after = False
        self.shuffle: random.Random | None = None
        self.turns: Sequence[int] = range(8)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(f"{request.method} {request.url.path}")
        dies = len(self.sent) == self.kill
        await self._delay()
        if dies and not self.after:
            raise Killed
        response = await self._inner.handle_async_request(request)
        await response.aread()
        await self._delay()
        if dies:
            raise Killed
        return response

    async def _delay(self) -> None:
        if self.shuffle is not None:
            for _ in range(self.shuffle.choice(self.turns)):
                await asyncio.sleep(0)


class Stage:
    """A simulated PBX with some IVRs, and its clients."""

    def __init__(self, *numbers: str, behaviour: Behaviour | None = None) -> None:
        self.pbx = Pbx(behaviour)
        self.version = ""
        self.api = make_api(self.pbx, token=Secret(TOKEN))
        self.transport = Transport(self.api)
        for number in numbers:
            self.pbx.add_ivr(number, f"IVR {number}")

    def client(self) -> PbxClient:
        async def sleep(seconds: float) -> None:
            """Yield to other tasks if requests are reordered; without real time."""
            for _ in range(int(seconds * 100) if self.transport.shuffle else 0):
                await asyncio.sleep(0)

        return PbxClient(
            "http://localhost",
            GivenToken(Secret(TOKEN)),
            transport=self.transport,
            sleep=sleep,
            version=self.version,
        )

    def ivr(self, number: str) -> IvrSummary:
        found = self.pbx.ivr_at(number)
        assert found is not None
        return found

    def add(self, number: str, **fields: object) -> str:
        """Create an unmanaged action URL."""
        whole = {"type": "DTMF", "method": "POST", "enabled": True, **fields}
        return self.pbx.action_urls(self.ivr(number).id).create(whole)

    def action_urls(self, number: str) -> list[ActionUrl]:
        return [read(ActionUrl, item) for item in self.pbx.action_urls(self.ivr(number).id)]

    def names(self, number: str) -> list[str]:
        return sorted(item.name for item in self.action_urls(number))

    def unmanaged(self, numbers: Sequence[str], base: str) -> str:
        """Return all unmanaged action URLs as JSON."""
        return json.dumps(
            [
                item
                for number in numbers
                for item in self.pbx.action_urls(self.ivr(number).id)
                if not str(item["url"]).startswith(base)
            ]
        )
