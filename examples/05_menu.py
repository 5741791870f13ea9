"""A ready-made handler: a menu, one action URL for all its choices.

Another menu on another IVR is a submenu: one choice of the first leads to that IVR's number.

Try it::

    receiver dial examples/05_menu.py:app 8000 --press 2
"""

from handlers.menu import Menu
from receiver import Forward, Hangup, Ivr, Receiver

main_menu = Menu({"1": Forward("222"), "2": Forward("333"), "3": Forward("8100"), "9": Hangup()})
submenu = Menu({"1": Forward("444"), "2": Forward("555")})

front = Ivr("8000")
front.add("DTMF", main_menu.mask, main_menu, name="menu", fallback=Forward("222"))

back = Ivr("8100")
back.add("DTMF", submenu.mask, submenu, name="menu", fallback=Forward("444"))

app = Receiver(front, back)
