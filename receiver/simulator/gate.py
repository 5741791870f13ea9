"""What stands between the network and the simulated API: throttling, faults and a kill switch.

Rule 1: a request is carried out whole, or not at all, before anything of its answer is sent; so
        "before" and "after it took effect" are exact.
Rule 2: a cut works over a socket and within the process. An ASGI app has no word for it, so it
        sends a message that no server can carry out: uvicorn then closes the connection, with a
        line in its log. Where that message is taken (`httpx.ASGITransport` takes it), there is no
        connection to close, and what the caller's transport would raise is raised.
Rule 3: what the kill switch raises is not touched, unless it is a `Cut`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from receiver.simulator.behaviour import Behaviour
from receiver.simulator.desk import refusal
from receiver.simulator.faults import Cut, Faults, Mishap, spoil
from receiver.simulator.schema import Fault

OnRequest = Callable[[str, str, Literal["before", "after"]], None]
"""Called with method, path and when: before and after a request takes effect."""

_MINUTE = 60.0


@dataclass(slots=True)
class _Answer:
    """The answer of the API, kept until it is decided what is sent."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    async def keep(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        else:
            self.body += message.get("body", b"")

    async def send(self, send: Send, *, until: int | None = None) -> None:
        """Send it, but of its body only what comes before ``until``."""
        start = {"type": "http.response.start", "status": self.status, "headers": self.headers}
        await send(start)
        body = {"type": "http.response.body", "body": self.body[:until]}
        await send({**body, "more_body": until is not None})

    def replace(self, body: bytes) -> None:
        """Another body; one may come with this status, even if none did."""
        self.body = body
        self.status = 200 if self.status == 204 else self.status
        self.headers = [pair for pair in self.headers if pair[0].lower() != b"content-length"]
        self.headers.append((b"content-length", str(len(body)).encode()))


class Gate:
    """An ASGI app around ``app``.

    Parameters:
        app: the API.
        behaviour: gives the behaviour that counts at this moment.
        faults: what goes wrong.
        on_request: the kill switch.
        sleep: waits for so many seconds.
        clock: seconds from some moment on.
    """

    def __init__(
        self,
        app: ASGIApp,
        behaviour: Callable[[], Behaviour],
        faults: Faults,
        on_request: OnRequest,
        sleep: Callable[[float], Awaitable[None]],
        clock: Callable[[], float],
    ) -> None:
        self._app = app
        self._behaviour = behaviour
        self._faults = faults
        self._on_request = on_request
        self._sleep = sleep
        self._clock = clock
        self._served: deque[float] = deque()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (seconds := self._throttled()) > 0:
            headers = {"Retry-After": str(seconds)}
            fault = Fault(429, "TOO_MANY_REQUESTS", "too many requests in a minute", headers)
            await refusal(fault)(scope, receive, send)
            return
        method, path = scope["method"], scope["path"]
        due = self._faults.due(method, path)
        answer = _Answer()
        try:
            self._on_request(method, path, "before")
            refused = await self._before(due)
            await (refused or self._app)(scope, receive, answer.keep)
            if refused is None:
                self._on_request(method, path, "after")
                until = await self._after(due, answer)
        except Cut:
            await _break_off(_UNSENDABLE, send)
            return
        if refused is not None or until is None:
            await answer.send(send)
            return
        await answer.send(send, until=until)
        await _break_off(_UNKNOWN, send)

    async def _before(self, due: list[Mishap]) -> ASGIApp | None:
        """Let happen what comes before the effect; what answers in the API's stead, if so."""
        for mishap in due:
            if mishap.kind == "delay":
                await self._sleep(mishap.seconds)
            elif mishap.kind == "cut-before":
                raise Cut
            elif mishap.kind == "refuse":
                fault = Fault(mishap.status, mishap.code, "refused, as the plan of faults has it")
                return refusal(fault)
        return None

    async def _after(self, due: list[Mishap], answer: _Answer) -> int | None:
        """Let happen what comes after the effect; where the answer breaks off, if it does."""
        for mishap in due:
            if mishap.kind == "delay-after":
                await self._sleep(mishap.seconds)
            elif mishap.kind == "cut-after" or (mishap.kind == "cut-within" and not answer.body):
                raise Cut
            elif mishap.kind == "cut-within":
                return len(answer.body) // 2
            elif mishap.kind == "garbage":
                answer.replace(spoil(answer.body, mishap.garbage))
        return None

    def _throttled(self) -> int:
        """Whole seconds after which a request will be answered again; 0 if this one is."""
        rate, now = self._behaviour().rate, self._clock()
        while self._served and self._served[0] <= now - _MINUTE:
            self._served.popleft()
        if rate and len(self._served) >= rate:
            return max(1, math.ceil(self._served[-rate] + _MINUTE - now))
        self._served.append(now)
        return 0


_UNSENDABLE: Message = {"type": "http.response.start", "status": 200, "headers": [(b"\0", b"")]}
_UNKNOWN: Message = {"type": "simulator.cut"}


async def _break_off(message: Message, send: Send) -> None:
    """Have the server close the connection, or raise what a transport raises for that."""
    try:
        await send(message)
    except Exception:  # whatever a server says to it; on our return it closes the connection
        return
    raise httpx.RemoteProtocolError("the simulated PBX cut the connection")
