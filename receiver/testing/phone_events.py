"""The ends of a phone's calls, and the events that the simulated PBX reports of them."""

from __future__ import annotations

import weakref
from collections.abc import Awaitable, Callable
from datetime import datetime

import httpx

from receiver.simulator.call import PhoneCall
from receiver.simulator.event_records import CallEnd
from receiver.simulator.event_sender import EventDelivery, EventFaults, EventSender, no_wait
from receiver.simulator.model import Pbx


class CallEnds:
    """Ends calls and reports them.

    Parameters:
        today: the date and time at the PBX.
        idle: waits until the handlers have run.
    """

    def __init__(self, today: Callable[[], datetime], idle: Callable[[], Awaitable[None]]) -> None:
        self._today = today
        self._idle = idle
        self._senders: dict[str, EventSender] = {}
        self._labels = weakref.WeakKeyDictionary[PhoneCall, str]()

    def serve(self, label: str, pbx: Pbx, transport: httpx.AsyncBaseTransport | None) -> None:
        """Report the calls of a PBX, see `EventSender`; no attempt waits for the one before."""
        self._senders[label] = EventSender(
            lambda: pbx.tenant_settings["cdr_event"], transport, sleep=no_wait
        )

    def begun(self, call: PhoneCall, label: str) -> None:
        """Remember which PBX a call is on."""
        self._labels[call] = label

    async def end(
        self, call: PhoneCall, end: CallEnd, faults: EventFaults | None
    ) -> list[EventDelivery]:
        """Hang up, report the call, and wait for the handlers; return what was sent."""
        await self._idle()  # the callbacks of the call are stored
        if not call.ended:
            await call.hang_up()
        sender = self._senders[self._labels[call]]
        sender.faults = faults or EventFaults()
        sent = await sender.report(call, end, self._today().timestamp())
        await self._idle()
        return sent
