"""A ready-made handler: a menu by day, the voicemail by night and on holidays.

The file ``10_hours.switch`` next to this one contains ``closed``, which overrides the hours; write
``open`` into it, or remove it, and it applies to the next caller.

Try it::

    receiver dial examples/10_hours.py:app 8000 --press 1
"""

from pathlib import Path

from handlers.hours import Hours
from handlers.menu import Menu
from receiver import Ivr, Receiver

menu = Menu({"1": "222", "2": "333"})
office = Hours(
    open=menu,
    closed="8999",
    zone="Europe/Berlin",
    week={"mon-thu": "08:30-12:30, 13:30-18:00", "fri": "08:30-15:00"},
    days={"12-24": "closed", "12-31": "09:00-12:00"},
    country="DE",
    switch=Path(__file__).with_suffix(".switch"),
)
ivr = Ivr("8000")
ivr.add("DTMF", menu.mask, office, name="menu")
app = Receiver(ivr)
