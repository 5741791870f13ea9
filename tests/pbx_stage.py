"""A simulated PBX behind its REST API, in this process, with requests that can be killed."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence

import httpx

from receiver.pbx.client import PbxClient
from receiver.pbx.models import ActionUrl, IvrSummary, read
from receiver.pbx.tokens import GivenToken
from receiver.secrets import Secret
from receiver.simulator.api import make_api
from receiver.simulator.model import Behaviour, Pbx

TOKEN = "the-token-of-the-stage"


class Killed(BaseException):
    """The process ends here."""


class Transport(httpx.AsyncBaseTransport):
    """Carries requests to the API, and dies at one of them, before or after it took effect.

    Attributes:
        sent: method and path of each request, in their order.
        kill: the number of the request to die at, from 1; 0 for none.
        after: whether it takes effect first.
        shuffle: if there is one, requests that are under way at once overtake each other.
    """

    def __init__(self, app: object) -> None:
        self._inner = httpx.ASGITransport(app)  # type: ignore[arg-type]
        self.sent: list[str] = []
        self.kill = 0
        self.after = False
        self.shuffle: random.Random | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(f"{request.method} {request.url.path}")
        dies = len(self.sent) == self.kill
        await self._tarry()
        if dies and not self.after:
            raise Killed
        response = await self._inner.handle_async_request(request)
        await response.aread()
        await self._tarry()
        if dies:
            raise Killed
        return response

    async def _tarry(self) -> None:
        if self.shuffle is not None:
            for _ in range(self.shuffle.randrange(8)):
                await asyncio.sleep(0)


class Stage:
    """A PBX with some IVRs, and clients of it."""

    def __init__(self, *numbers: str, behaviour: Behaviour | None = None) -> None:
        self.pbx = Pbx(behaviour)
        self.api = make_api(self.pbx, token=Secret(TOKEN))
        self.transport = Transport(self.api)
        for number in numbers:
            self.pbx.ivrs.create(
                {"name": f"IVR {number}", "extension_number": number, "enable_pin": False}
            )

    def client(self) -> PbxClient:
        async def no_sleep(seconds: float) -> None: ...

        return PbxClient(
            "http://localhost",
            GivenToken(Secret(TOKEN)),
            transport=self.transport,
            sleep=no_sleep,
        )

    def ivr(self, number: str) -> IvrSummary:
        found = self.pbx.ivr_at(number)
        assert found is not None
        return found

    def add(self, number: str, **fields: object) -> str:
        """An action URL that somebody else made."""
        whole = {"type": "DTMF", "method": "POST", "enabled": True, **fields}
        return self.pbx.action_urls(self.ivr(number).id).create(whole)

    def action_urls(self, number: str) -> list[ActionUrl]:
        return [read(ActionUrl, item) for item in self.pbx.action_urls(self.ivr(number).id)]

    def names(self, number: str) -> list[str]:
        return sorted(item.name for item in self.action_urls(number))

    def foreign(self, numbers: Sequence[str], base: str) -> str:
        """Everything of others, byte for byte."""
        return json.dumps(
            [
                item
                for number in numbers
                for item in self.pbx.action_urls(self.ivr(number).id)
                if not str(item["url"]).startswith(base)
            ]
        )
