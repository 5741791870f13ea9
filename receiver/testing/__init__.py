"""The test kit: a telephone that calls your app through a simulated PBX, in milliseconds.

::

    async def test_sales(phone):                      # the fixture of the pytest plugin
        call = await phone.dial("8000", caller="101")
        await call.press("1")
        assert call.forwarded_to == "222"

Without pytest: ``async with Phone(app) as phone: …``.
"""

from receiver.simulator.behaviour import Behaviour
from receiver.simulator.line import LineError, PhoneCall
from receiver.simulator.trace import Outcome, Step
from receiver.testing.faults import Faults
from receiver.testing.phone import Clock, Phone

__all__ = ["Behaviour", "Clock", "Faults", "LineError", "Outcome", "Phone", "PhoneCall", "Step"]
