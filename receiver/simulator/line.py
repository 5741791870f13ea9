"""A telephone line into the simulated PBX: dial, press, and see what the PBX does.

Rule 1: nobody is slept for: digits that were pressed are complete, as if the gap had passed.
Rule 2: whatever the far end does becomes an `Outcome`; only misuse of the line raises.

What a real PBX does after a callback that failed is not documented. Here the call stays at the
prompt and more digits can be pressed. What it sends as ``input`` of a CALLER callback is not
documented either; here it is empty. A session id is sent since 22.3.
"""

from __future__ import annotations

import re
import secrets
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import httpx

from receiver.actions import Kind
from receiver.calls import Call
from receiver.errors import ReceiverError
from receiver.simulator.delivery import Courier
from receiver.simulator.model import Pbx
from receiver.simulator.trace import Outcome, Step

_KEYS = re.compile(r"[0-9*#]+")


class LineError(ReceiverError):
    """The line was used in a way that no telephone allows."""


class Line:
    """A line into ``pbx``.

    Parameters:
        pbx: the PBX in memory.
        transport: carries the requests, such as `httpx.ASGITransport`; it is not closed. By default
            every callback has a connection of its own.
        verify: True for the usual certificate authorities, False for no check, or a context.
        scale: real seconds for each second of a timeout; tests make it small.
        clock: seconds from some moment on.
        session_id: gives the id of a new call.
        cnonce: gives the client's nonce of a Digest answer.
    """

    def __init__(
        self,
        pbx: Pbx,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        verify: ssl.SSLContext | bool = True,
        scale: float = 1.0,
        clock: Callable[[], float] = time.perf_counter,
        session_id: Callable[[], str] = lambda: str(secrets.randbelow(10**18)),
        cnonce: Callable[[], str] = lambda: secrets.token_hex(16),
    ) -> None:
        self._pbx = pbx
        self._courier = Courier(
            transport=transport, verify=verify, scale=scale, clock=clock, cnonce=cnonce
        )
        self._session_id = session_id

    async def dial(self, extension: str, *, caller: str, caller_name: str = "") -> PhoneCall:
        """Call an IVR, and have the PBX ask the CALLER action URL that matches, if one does.

        Parameters:
            extension: the extension number of the IVR.
            caller: the caller's number.
            caller_name: the caller's display name.

        Raises:
            LineError: there is no such IVR.
        """
        ivr = self._pbx.ivr_at(extension)
        if ivr is None:
            raise LineError(f"the PBX has no IVR with the extension number {extension!r}")
        session = self._session_id() if self._pbx.behaviour.has("22.3") else ""
        call = PhoneCall(self, Call(caller, caller_name, extension, ivr.name, session_id=session))
        await call._arrive()
        return call

    async def _ask(
        self, trigger: Literal["arrival", "press"], kind: Kind, number: str, call: Call
    ) -> Step:
        """Have the PBX ask the action URL of ``kind`` that matches ``number``."""
        action = self._pbx.fires(call.ivr, kind, number)
        if action is None:
            return Step(trigger, kind, call.digits, None, (), Outcome("menu"), 0.0, None)
        exchanges, outcome, seconds = await self._courier.deliver(action, call)
        deadline = self._courier.seconds(action.request_timeout)
        return Step(trigger, kind, call.digits, action.name, exchanges, outcome, seconds, deadline)


class PhoneCall:
    """A call that `Line.dial` made.

    Attributes:
        steps: what happened so far, in its order.
    """

    def __init__(self, line: Line, call: Call) -> None:
        self._line = line
        self._call = call
        self.steps: list[Step] = []

    @property
    def ended(self) -> bool:
        """Whether the IVR is out of the call: it was forwarded or hung up."""
        return bool(self.steps) and self.steps[-1].outcome.ends_call

    @property
    def forwarded_to(self) -> str | None:
        """The number that the call was forwarded to, None if it was not."""
        last = self.steps[-1].outcome
        return last.detail if last.kind == "forwarded" else None

    async def press(self, digits: str) -> Step:
        """Key in digits, wait for the digit gap to pass, and see what the PBX does.

        Parameters:
            digits: one or more of ``0-9 * #``.

        Raises:
            LineError: there are no such keys, or the call has ended.
        """
        if self.ended:
            raise LineError(f"the call was {self.steps[-1].outcome.kind}: no IVR hears the keys")
        if not _KEYS.fullmatch(digits):
            raise LineError("a telephone has the keys 0 to 9, * and #: press one or more of them")
        call = replace(self._call, digits=digits)
        return self._record(await self._line._ask("press", "DTMF", digits, call))

    async def _arrive(self) -> None:
        self._record(await self._line._ask("arrival", "CALLER", self._call.caller, self._call))

    def _record(self, step: Step) -> Step:
        self.steps.append(step)
        return step
