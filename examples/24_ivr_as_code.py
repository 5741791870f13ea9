"""The whole IVR as code: its own menu, office hours and holidays, and a handler that shares them.

Try it::

    receiver dial examples/24_ivr_as_code.py:app 8000 --at "2026-12-25 10:00" --press 2
"""

from handlers.hours import Hours
from receiver import Forward, Holiday, Ivr, MenuEntry, OfficeHours, Receiver, Voicemail

office = OfficeHours({"mon-thu": "08:30-17:00", "fri": "08:30-15:00"})
days = [Holiday("Christmas", "12-24 14:00 to 12-26", region="DEU")]
box = Voicemail("222")
ivr = Ivr(
    "8000",
    name="Sales",
    language="en-US",
    timeout=10,
    timeout_reply=Forward("0"),
    failure_reply=Forward("0"),
    exclude_list=["900-999"],
    menu=[MenuEntry("1", Forward("222"), office, closed=box, holidays=days, on_holiday=box)],
)
support = Hours(open="333", closed="8999", zone="Europe/Berlin", week=office, holidays=days)
ivr.add("DTMF", "2", support, name="support")
app = Receiver(ivr)
