"""A ready-made handler: a menu, one action URL for all its choices.

A choice is a reply, another handler, or a menu for the next digit: 41 and 42 here. Another IVR,
with another prompt, is a destination like any number, as in 3.

Try it::

    receiver dial examples/05_menu.py:app 8000 --press 2
"""

from handlers.menu import Menu
from receiver import Forward, Hangup, Ivr, Receiver

stores = Menu({"1": "441", "2": "442"})
main_menu = Menu({"1": "222", "2": "333", "3": "8100", "4": stores, "9": Hangup()}, "222")
submenu = Menu({"1": Forward("444"), "2": Forward("555")})

front = Ivr("8000")
front.add("DTMF", main_menu.mask, main_menu, name="menu", fallback=Forward("222"))

back = Ivr("8100")
back.add("DTMF", submenu.mask, submenu, name="menu", fallback=Forward("444"))

app = Receiver(front, back)
