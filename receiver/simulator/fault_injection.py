"""Throttling, fault injection and a kill switch, as an ASGI app around the simulated API.

Rule 1: a request takes effect completely, or not at all, before any of its answer is sent, so that
        "before" and "after it took effect" are exact.
Rule 2: a cut works over a socket and in the same process. ASGI has no message for it, so it sends
        an invalid one: uvicorn then closes the connection, with a line in its log. Where that
        message is accepted (by `httpx.ASGITransport`), there is no connection to close, and the
        exception of the client's transport is raised.
Rule 3: an exception of the kill switch is propagated, unless it is a `Cut`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal

import httpx
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from receiver.simulator.api_endpoint import refusal
from receiver.simulator.behaviour import Behaviour
from receiver.simulator.fault_plan import Cut, FaultPlan, PlannedFault, spoil
from receiver.simulator.validation import ApiError

OnRequest = Callable[[str, str, Literal["before", "after"]], None]
"""Called with method, path and when: before and after a request takes effect."""

_MINUTE = 60.0


@dataclass(slots=True)
class _Answer:
    """The buffered answer of the API."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytes = b""

    async def keep(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], list(message["headers"])
        else:
            self.body += message.get("body", b"")

    async def send(self, send: Send, *, until: int | None = None) -> None:
        """Send it, with the body up to ``until``."""
        start = {"type": "http.response.start", "status": self.status, "headers": self.headers}
        await send(start)
        body = {"type": "http.response.body", "body": self.body[:until]}
        await send({**body, "more_body": until is not None})

    def replace(self, body: bytes) -> None:
        """Replace the body; a status that allows no body becomes 200."""
        self.body = body
        self.status = 200 if self.status == 204 else self.status
        self.headers = [pair for pair in self.headers if pair[0].lower() != b"content-length"]
        self.headers.append((b"content-length", str(len(body)).encode()))


class FaultInjector:
    """An ASGI app around ``app``.

    Parameters:
        app: the API.
        behaviour: returns the current behaviour.
        faults: the faults to inject.
        on_request: the kill switch.
        sleep: sleeps, in seconds.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        app: ASGIApp,
        behaviour: Callable[[], Behaviour],
        faults: FaultPlan,
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
            fault = ApiError(429, "TOO_MANY_REQUESTS", "too many requests in a minute", headers)
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

    async def _before(self, due: list[PlannedFault]) -> ASGIApp | None:
        """Inject faults before the effect; return an app that answers instead of the API."""
        for planned in due:
            if planned.kind == "delay":
                await self._sleep(planned.seconds)
            elif planned.kind == "cut-before":
                raise Cut
            elif planned.kind == "refuse":
                fault = ApiError(planned.status, planned.code, "refused by the fault plan")
                return refusal(fault)
        return None

    async def _after(self, due: list[PlannedFault], answer: _Answer) -> int | None:
        """Inject faults after the effect; return the length of a truncated body, else None."""
        for planned in due:
            if planned.kind == "delay-after":
                await self._sleep(planned.seconds)
            elif planned.kind == "cut-after" or (planned.kind == "cut-within" and not answer.body):
                raise Cut
            elif planned.kind == "cut-within":
                return len(answer.body) // 2
            elif planned.kind == "garbage":
                answer.replace(spoil(answer.body, planned.garbage))
        return None

    def _throttled(self) -> int:
        """Return the ``Retry-After`` of a throttled request; 0 if it is answered."""
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
    """Make the server close the connection, or raise the transport's exception for that."""
    try:
        await send(message)
    except Exception:  # the server closes the connection on return
        return
    raise httpx.RemoteProtocolError("the simulated PBX cut the connection")
