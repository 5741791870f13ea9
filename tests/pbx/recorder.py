"""A PBX that answers from a script and records the requests."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from receiver.credentials import Secret
from receiver.pbx.access_tokens import GivenToken
from receiver.pbx.pbx_client import PbxClient
from tests.pbx.fake_pbx import TOKEN, no_sleep

Step = httpx.Response | Exception


def ok(data: object = None, status: int = 200, **headers: str) -> httpx.Response:
    """An answer; ``_`` in names of headers stands for ``-``."""
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    if data is None:
        return httpx.Response(status, headers=names)
    return httpx.Response(status, json=data, headers=names)


class Recorder:
    """Answers each request with the next step of ``script``.

    ``log`` holds ``METHOD path?query`` of each, ``bodies`` the JSON of those that had some.
    """

    def __init__(self, *script: Step) -> None:
        self.script = list(script)
        self.requests: list[httpx.Request] = []
        self.bodies: list[Any] = []

    @property
    def log(self) -> list[str]:
        return [
            f"{request.method} {request.url.raw_path.decode().removeprefix('/api')}"
            for request in self.requests
        ]

    def client(
        self,
        sleep: Callable[[float], Awaitable[None]] = no_sleep,
        url: str = "http://localhost",
        version: str = "",
    ) -> PbxClient:
        given, transport = GivenToken(Secret(TOKEN)), httpx.MockTransport(self)
        return PbxClient(url, given, transport=transport, sleep=sleep, version=version)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        if request.headers.get("content-type") == "application/json":
            self.bodies.append(json.loads(request.content))
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        return step
