"""A ready-made handler: customers key in their number, then reach whoever looks after them.

Three wrong numbers end in a call to the front desk; ten from one caller, and it is locked out for a
quarter of an hour. What was keyed in is in no log.

Try it::

    receiver dial examples/11_account.py:app 8000 --press 471237
"""

from handlers.account import Account
from receiver import Forward, Hangup, Ivr, Receiver

customers = Account({"471110": "201", "471237": "202"}, wrong="repeat", locked=Forward("0"))
staff = Account("2580", kind="pin", then=Forward("300"), locked=Hangup(), name="staff")

ivr = Ivr("8000")
ivr.add("DTMF", "******", customers, name="customers", fallback=Forward("0"))

back_door = Ivr("8100")
back_door.add("DTMF", "****", staff, name="staff", fallback=Hangup())

app = Receiver(ivr, back_door)
