"""A ready-made handler: blocked numbers, and numbers that call too often, are refused.

Lists may also be files, which are read again when they change.

Try it::

    receiver dial examples/14_screen.py:app 8000 --from +49900123456
"""

from handlers.menu import Menu
from handlers.screen import Screen
from receiver import Ivr, Receiver

menu = Menu({"1": "222", "2": "333"})
at_the_door = Screen(
    then="repeat",  # the prompt, and with it the menu
    block=["+49900...", "+4930555****"],
    anonymous="8999",
    most=5,
    within=600,
    region="DE",
)
ivr = Ivr("8000")
ivr.add("CALLER", "+49*********;+4930555****", at_the_door, name="door")
ivr.add("DTMF", menu.mask, menu, name="menu")
app = Receiver(ivr)
