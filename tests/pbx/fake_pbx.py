"""A minimal PBX for the tests of the client and the registration."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx

from receiver.credentials import Secret
from receiver.pbx.access_tokens import GivenToken, TokenSource
from receiver.pbx.pbx_client import PbxClient

Json = dict[str, Any]
Fault = Callable[[httpx.Request], httpx.Response | None]

TOKEN = "a-token-for-tests-only"


async def no_sleep(seconds: float) -> None:
    """Time is not waited for."""


class FakePbx:
    """IVRs by number, each with its action URLs; every request is kept in ``log``.

    ``before`` and ``after`` are called before and after a request takes effect, and may answer
    instead or raise.
    """

    def __init__(self, *numbers: str) -> None:
        self.ivrs = [{"id": f"id{n}", "name": f"Name {n}", "extension_number": n} for n in numbers]
        self.urls: dict[str, list[Json]] = {f"id{n}": [] for n in numbers}
        self.log: list[str] = []
        self.before: Fault = lambda request: None
        self.after: Fault = lambda request: None
        self.show: Callable[[Json], Json] = lambda item: item
        self.take: Callable[[Json], Json] = lambda item: item
        self._next = 0

    def client(self, tokens: TokenSource | None = None) -> PbxClient:
        tokens = tokens or GivenToken(Secret(TOKEN))
        transport = httpx.MockTransport(self)
        return PbxClient("http://localhost", tokens, transport=transport, sleep=no_sleep)

    @property
    def writes(self) -> list[str]:
        return [line for line in self.log if line.startswith("POST")]

    def add(self, number: str, **fields: Any) -> str:
        self._next += 1
        self.urls[f"id{number}"].append({"id": f"u{self._next}", **self.take(fields)})
        return f"u{self._next}"

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.log.append(f"{request.method} {request.url.path.removeprefix('/api')}")
        if (instead := self.before(request)) is not None:
            return instead
        answer = self._answer(request)
        instead = self.after(request)
        return answer if instead is None else instead

    def _answer(self, request: httpx.Request) -> httpx.Response:
        _, ivr, *rest = [*request.url.path.removeprefix("/api/").split("/"), ""]
        if not ivr:
            skip = int(request.url.params["skip"])
            items = self.ivrs[skip : skip + int(request.url.params["top"])]
            return httpx.Response(200, json={"count": len(self.ivrs), "items": items})
        here, target = self.urls[ivr], next(iter(rest[1:]), "")
        data = json.loads(request.content) if request.content else {}
        if not target and request.method == "GET":
            return httpx.Response(200, json={"items": list(map(self.show, here))})
        if not target:
            return httpx.Response(201, json={"id": self.add(ivr[2:], **data)})
        item = next((item for item in here if item["id"] == target), None)
        if item is None:
            return httpx.Response(404)
        if "destroy" in rest:
            here.remove(item)
            return httpx.Response(204)
        if request.method == "GET":
            return httpx.Response(200, json=self.show(item))
        item.update(self.take(data))
        return httpx.Response(200)
