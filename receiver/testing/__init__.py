"""The test kit: a telephone that calls your app through a simulated PBX, in milliseconds.

::

    async def test_sales(phone):                      # the fixture of the pytest plugin
        call = await phone.dial("8000", caller="101")
        await call.press("1")
        assert call.forwarded_to == "222"

Without pytest: ``async with Phone(app) as phone: …``.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from receiver.pbx.callback_trace import Exchange, Outcome, Step
    from receiver.simulator.behaviour import Behaviour
    from receiver.simulator.event_sender import EventDelivery, EventFaults
    from receiver.simulator.events import Event
    from receiver.simulator.line import LineError, PhoneCall
    from receiver.simulator.validation import ApiError
    from receiver.testing.phone import BlockingCallWarning, Phone
    from receiver.testing.phone_controls import Clock, Faults

__all__ = [
    "ApiError",
    "Behaviour",
    "BlockingCallWarning",
    "Clock",
    "Event",
    "EventDelivery",
    "EventFaults",
    "Exchange",
    "Faults",
    "LineError",
    "Outcome",
    "Phone",
    "PhoneCall",
    "Step",
]

_MODULES = {
    "ApiError": "receiver.simulator.validation",
    "Behaviour": "receiver.simulator.behaviour",
    "BlockingCallWarning": "receiver.testing.phone",
    "Clock": "receiver.testing.phone_controls",
    "Event": "receiver.simulator.events",
    "EventDelivery": "receiver.simulator.event_sender",
    "EventFaults": "receiver.simulator.event_sender",
    "Exchange": "receiver.pbx.callback_trace",
    "Faults": "receiver.testing.phone_controls",
    "LineError": "receiver.simulator.line",
    "Outcome": "receiver.pbx.callback_trace",
    "Phone": "receiver.testing.phone",
    "PhoneCall": "receiver.simulator.line",
    "Step": "receiver.pbx.callback_trace",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: every pytest run imports this package."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)
