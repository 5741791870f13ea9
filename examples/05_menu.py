"""A ready-made handler: a menu, one action URL for all its choices.

    receiver dial examples/05_menu.py:app 8000 --press 2
"""

from handlers.menu import Menu
from receiver import Forward, Hangup, Ivr, Receiver

menu = Menu({"1": Forward("222"), "2": Forward("333"), "9": Hangup()})

ivr = Ivr("8000")
ivr.add("DTMF", menu.mask, menu, name="menu")

app = Receiver(ivr)
