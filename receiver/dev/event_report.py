"""Report a call of the page to the handlers of events while it happens, as the PBX does."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from receiver.dev.call_view import CallView, Changed
from receiver.simulator.call import PhoneCall
from receiver.simulator.event_records import CallEnd
from receiver.simulator.event_sender import EventSender, events_of, reported
from receiver.simulator.model import Pbx

TALK_SECONDS = 5.0
"""Seconds that the destination talks: the page cannot answer for it."""


async def report(
    view: CallView,
    pbx: Pbx,
    phone: PhoneCall,
    hold: Callable[[], Awaitable[None]],
    show: Callable[[list[Changed]], None],
) -> None:
    """Send the events of a call that arrives, while the app has handlers for them.

    A reload may add or remove them during the call.

    Parameters:
        view: of the call.
        pbx: its tenant has the event URL.
        phone: the call.
        hold: waits for the end of a reload.
        show: publishes steps of the call.
    """
    sender = EventSender(lambda: pbx.tenant_settings["cdr_event"])
    async for events in events_of(phone, CallEnd(TALK_SECONDS), time.time()):
        await hold()
        if not pbx.tenant_settings["cdr_event"]["enabled"]:
            continue
        show([view.note(phone.now, reported(events))])
        missed = sum(not one.acknowledged for one in await sender.send(events))
        if missed:
            show([view.note(phone.now, f"{missed} of {len(events)} not acknowledged")])
