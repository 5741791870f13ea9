"""Report a call of the page to the handlers of events, as the PBX does when it has ended."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from receiver.dev.call_view import CallView, Changed
from receiver.simulator.call import PhoneCall
from receiver.simulator.event_records import CallEnd
from receiver.simulator.event_sender import EventSender
from receiver.simulator.model import Pbx
from receiver.text import counted

TALK = 10.0
"""Seconds that the destination talks: the page cannot answer for it."""


async def report(
    view: CallView,
    pbx: Pbx,
    phone: PhoneCall,
    hold: Callable[[], Awaitable[None]],
    show: Callable[[list[Changed]], None],
) -> None:
    """Send the events of a call that has left the IVR, if the app has handlers for them.

    Parameters:
        view: of the call.
        pbx: its tenant has the event URL.
        phone: the call.
        hold: waits for the end of a reload.
        show: publishes steps of the call.
    """
    if not pbx.tenant_settings["cdr_event"]["enabled"]:
        return
    await hold()
    sender = EventSender(lambda: pbx.tenant_settings["cdr_event"])
    sent = await sender.report(phone, CallEnd("", TALK), time.time())
    good = sum(one.acknowledged for one in sent)
    text = f"the PBX reported {counted(len(sent), 'event')} of the call, {good} acknowledged"
    show([view.note(phone.now, text)])
