"""A telephone line into the simulated PBX: who dials, and what carries the callbacks.

Rule 1: time on the line stands still unless it is told to pass, or a clock is given.
Rule 2: whatever the far end does becomes an `Outcome`; only misuse of the line raises.

What a real PBX sends as ``input`` of a CALLER callback is not documented; here it is empty. A
session id is sent since 22.3.
"""

from __future__ import annotations

import secrets
import ssl
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import httpx

from receiver.calls import Call
from receiver.simulator.calling import LineError, Listener, PhoneCall
from receiver.simulator.delivery import Courier
from receiver.simulator.flow import Ask, Flow, Moment
from receiver.simulator.hours import LocalTime
from receiver.simulator.model import Pbx
from receiver.simulator.trace import Step
from receiver.simulator.trouble import Trouble

__all__ = ["Line", "LineError", "Listener", "PhoneCall"]


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
        seconds: the time on the line; by default it stands still, and only `PhoneCall.wait` moves
            it. With ``time.monotonic`` somebody has to call `PhoneCall.on_time` when it is due.
        today: the date and the time at the PBX, for office hours and holidays.
        real_time: False has a slow network (`Trouble`) cost no time but on paper.
        listener: is told what happens on all calls.

    Attributes:
        trouble: what is wrong with the network or the credentials; may be set at any time.
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
        seconds: Callable[[], float] = lambda: 0.0,
        today: Callable[[], datetime] = datetime.now,
        real_time: bool = True,
        listener: Listener = lambda call, event: None,
    ) -> None:
        self._pbx = pbx
        self._courier = Courier(
            transport=transport,
            verify=verify,
            scale=scale,
            clock=clock,
            cnonce=cnonce,
            real_time=real_time,
        )
        self._session_id = session_id
        self._seconds = seconds
        self._today = today
        self._listener = listener

    @property
    def trouble(self) -> Trouble:
        return self._courier.trouble

    @trouble.setter
    def trouble(self, trouble: Trouble) -> None:
        self._courier.trouble = trouble

    async def dial(
        self,
        extension: str,
        *,
        caller: str,
        caller_name: str = "",
        listener: Listener | None = None,
    ) -> PhoneCall:
        """Call an IVR, and have the PBX ask the CALLER action URL that matches, if one does.

        Parameters:
            extension: the extension number of the IVR.
            caller: the caller's number.
            caller_name: the caller's display name.
            listener: is told what happens on this call, instead of the line's.

        Raises:
            LineError: there is no such IVR.
        """
        ivr = self._pbx.ivr_at(extension)
        if ivr is None:
            raise LineError(f"the PBX has no IVR with the extension number {extension!r}")
        session = self._session_id() if self._pbx.behaviour.has("22.3") else ""
        call = Call(caller, caller_name, extension, ivr.name, session_id=session)
        phone_call = PhoneCall(
            Flow(self._pbx, call),
            call=call,
            ask=self._ask,
            moment=self._moment,
            listener=listener or self._listener,
        )
        await phone_call.arrive()
        return phone_call

    async def _ask(self, ask: Ask) -> Step:
        """Carry a callback to its action URL, and give what became of it."""
        action = ask.action
        exchanges, outcome, seconds = await self._courier.deliver(action, ask.call)
        deadline = self._courier.seconds(action.request_timeout)
        return Step(
            ask.trigger,
            ask.kind,
            ask.call.digits,
            action.name,
            exchanges,
            outcome,
            seconds,
            deadline,
        )

    def _moment(self, skipped: float) -> Moment:
        now = self._today() + timedelta(seconds=skipped)
        date = (now.year, now.month, now.day, now.hour, now.minute, now.weekday())
        return Moment(self._seconds() + skipped, LocalTime(*date))
