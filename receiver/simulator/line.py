"""A telephone line into the simulated PBX, which dials and sends the callbacks.

Rule 1: the time on the line advances only with a clock.
Rule 2: every failure of a callback is an `Outcome`; only misuse of the line raises.

The ``input`` of a CALLER callback is not documented; here it is empty. A session id is sent since
22.3.
"""

from __future__ import annotations

import secrets
import ssl
import time
from collections.abc import Callable, Collection
from datetime import datetime, timedelta

import httpx

from receiver.calls import Call
from receiver.pbx.callback_client import CallbackClient
from receiver.pbx.callback_request import CallbackFaults
from receiver.pbx.callback_trace import Step
from receiver.simulator.call import LineError, Listener, PhoneCall
from receiver.simulator.events import Moment, PendingCallback
from receiver.simulator.flow import Flow
from receiver.simulator.hours import LocalTime
from receiver.simulator.model import Pbx

__all__ = ["Line", "LineError", "Listener", "PhoneCall"]


class Line:
    """A line into ``pbx``.

    Parameters:
        pbx: the PBX in memory.
        transport: sends the requests, such as `httpx.ASGITransport`; it is not closed. By default
            every callback has a new connection.
        verify: True for the default certificate authorities, False for no verification, or a
            context.
        scale: real seconds for each second of a timeout; tests make it small.
        clock: monotonic seconds.
        session_id: returns the id of a new call.
        cnonce: returns the client nonce of a Digest answer.
        seconds: the time on the line; by default only `PhoneCall.wait` advances it. With
            ``time.monotonic``, the application calls `PhoneCall.on_time` when it is due.
        today: the local date and time of the PBX, for office hours and holidays.
        real_time: False counts the delay of a slow network (`CallbackFaults`) without sleeping.
        sensitive: returns the names of an IVR's sensitive actions; texts hide their DTMF input.

    Attributes:
        faults: faults of the network or the credentials; may be set at any time.
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
        seconds: Callable[[], float] | None = None,
        today: Callable[[], datetime] = datetime.now,
        real_time: bool = True,
        sensitive: Callable[[str], Collection[str]] = lambda ivr: (),
    ) -> None:
        self._pbx = pbx
        self._client = CallbackClient(
            transport=transport,
            verify=verify,
            scale=scale,
            clock=clock,
            cnonce=cnonce,
            real_time=real_time,
        )
        self._session_id = session_id
        self._has_clock = seconds is not None
        self._seconds = seconds or (lambda: 0.0)
        self._today = today
        self._sensitive = sensitive

    @property
    def faults(self) -> CallbackFaults:
        return self._client.faults

    @faults.setter
    def faults(self, faults: CallbackFaults) -> None:
        self._client.faults = faults

    async def dial(
        self,
        extension: str,
        *,
        caller: str,
        caller_name: str = "",
        listener: Listener = lambda call, event: None,
    ) -> PhoneCall:
        """Call an IVR; a CALLER action URL that matches gets a callback.

        Parameters:
            extension: the extension number of the IVR.
            caller: the caller's number.
            caller_name: the caller's display name.
            listener: called with each event of the call.

        Raises:
            LineError: there is no such IVR.
        """
        ivr = self._pbx.ivr_at(extension)
        if ivr is None:
            raise LineError(f"the PBX has no IVR with the extension number {extension!r}")
        session = self._session_id() if self._pbx.behaviour.has("22.3") else ""
        call = Call(caller, caller_name, extension, ivr.name, session_id=session)
        phone_call = PhoneCall(
            Flow(self._pbx, call, self._sensitive),
            call=call,
            ask=self._ask,
            moment=self._moment,
            listener=listener,
        )
        await phone_call.arrive()
        if not self._has_clock:
            await phone_call.play_on()
        return phone_call

    async def _ask(self, ask: PendingCallback) -> Step:
        """Send a callback and return its step."""
        action = ask.action
        exchanges, outcome, seconds = await self._client.deliver(action, ask.call)
        deadline = self._client.seconds(action.request_timeout)
        return Step(
            ask.trigger,
            ask.kind,
            ask.call.digits,
            action.name,
            exchanges,
            outcome,
            seconds,
            deadline,
            sensitive=ask.sensitive,
        )

    def _moment(self, skipped: float) -> Moment:
        now = self._today() + timedelta(seconds=skipped)
        date = (now.year, now.month, now.day, now.hour, now.minute, now.weekday())
        return Moment(self._seconds() + skipped, LocalTime(*date))
