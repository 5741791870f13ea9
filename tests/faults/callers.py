"""Callers at a steady rate, and what each of them got as the PBX sees it.

Rule 1: a call's time runs from before it connects to the last octet of its answer, over all legs
        of digest; any problem makes it lost, and the kind of it is kept.
Rule 2: each leg has a new connection, so that any worker may get it.
Rule 3: whose nonce is too old by then asks once more with the new one, as libcurl does (RFC 7616,
        section 3.3, "stale").
"""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from receiver.credentials import Secret, derive
from tests.faults import faulty

RATE = 50
"""Callbacks per second."""

PATIENCE = 2.0
"""Seconds that the PBX waits: the ``request_timeout`` of the actions."""

LONGEST = 20.0
"""Seconds that a load lasts at most, however long what it waits for takes."""

REPLY = {"status_code": 200, "action": "call"}
OUTCOMES = {"222": "handled", "0": "fallback"}
_STALE = re.compile(r"\bstale=\"?true\b", re.IGNORECASE)

SIGNED = {action.name for action in faulty.ivr if action.auth}
DIGITS = {action.name: str(action.mask) for action in faulty.ivr}


@dataclass(frozen=True)
class Answer:
    """The result of a call: ``handled``, ``fallback``, or the error; when the call began, and the
    seconds it took."""

    outcome: str
    began: float
    seconds: float

    @property
    def in_time(self) -> bool:
        return self.outcome in OUTCOMES.values() and self.seconds <= PATIENCE


@dataclass(frozen=True)
class Calls:
    """A load.

    Parameters:
        answers: in the order in which they were asked for.
        stall: seconds by which the latest call was too late: the machine had no time for us.
    """

    answers: list[Answer]
    stall: float

    def count(self, outcome: str) -> int:
        return sum(one.outcome == outcome for one in self.answers)

    def share(self, outcome: str) -> float:
        return self.count(outcome) / len(self.answers)

    @property
    def lost(self) -> list[Answer]:
        return [one for one in self.answers if not one.in_time]


@dataclass(frozen=True)
class Callers:
    """Callers of the service at ``port``.

    Parameters:
        port: on the loopback.
        secret: of the service.
    """

    port: int
    secret: Secret

    async def call(self, name: str, session: str) -> Answer:
        """One callback for the action ``name``."""
        begin = time.monotonic()
        try:
            async with asyncio.timeout(PATIENCE + 1):  # somewhat more, to see what came too late
                response = await self._callback(name, session)
            outcome = _outcome(response)
        except (OSError, ValueError, KeyError, EOFError, TimeoutError) as error:
            outcome = type(error).__name__
        return Answer(outcome, begin, time.monotonic() - begin)

    async def load(
        self,
        count: int,
        name: Callable[[int], str],
        session: str,
        enough: Callable[[], bool] = lambda: True,
    ) -> Calls:
        """``count`` calls at `RATE`, and more until it is ``enough`` or `LONGEST` is reached; the
        action of each is ``name`` of its number."""
        loop = asyncio.get_running_loop()
        tasks, begin, stall = list[asyncio.Task[Answer]](), loop.time(), 0.0
        while len(tasks) < count or not (enough() or len(tasks) >= LONGEST * RATE):
            due = begin + len(tasks) / RATE
            await asyncio.sleep(due - loop.time())
            stall = max(stall, loop.time() - due)
            calling = self.call(name(len(tasks)), f"{session}-{len(tasks)}")
            tasks.append(asyncio.create_task(calling))
        return Calls(await asyncio.gather(*tasks), stall)

    async def _callback(self, name: str, session: str) -> httpx.Response:
        request = httpx.Request(
            "POST",
            f"http://127.0.0.1:{self.port}/action/8000/{name}",
            params={"session_id": session, "input": DIGITS[name]},
        )
        response = await self._send(request)
        if name in SIGNED:
            response = await self._send(self._sign(request, response))
            if _STALE.search(response.headers.get("www-authenticate", "")):
                response = await self._send(self._sign(request, response))
        return response

    def _sign(self, request: httpx.Request, challenged: httpx.Response) -> httpx.Request:
        own = derive(self.secret, request.url.path.removeprefix("/action/"))
        flow = httpx.DigestAuth(own.username, own.password.reveal()).sync_auth_flow(request)
        next(flow)
        return flow.send(challenged)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            lines = [b"POST %b HTTP/1.1" % request.url.raw_path, b"Connection: close"]
            lines += [
                name + b": " + value
                for name, value in request.headers.raw
                if name.lower() != b"connection"
            ]
            writer.write(b"\r\n".join((*lines, b"", b"")))
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        finally:
            writer.close()
        if not head:
            raise EOFError("closed without an answer")
        status, *fields = head.decode("latin-1").split("\r\n")
        pairs = [(name, value) for name, _, value in (field.partition(": ") for field in fields)]
        return httpx.Response(int(status.split()[1]), headers=pairs, content=body, request=request)


def _outcome(response: httpx.Response) -> str:
    if response.status_code != 200:
        return f"HTTP {response.status_code}"
    reply = json.loads(response.content)
    if not reply.items() >= REPLY.items():
        return "no reply"
    return OUTCOMES.get(reply["destination"], "no reply")
