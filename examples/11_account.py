"""A ready-made handler: customers key in their number, then reach their owner.

After three wrong numbers the call goes to the front desk; after ten the caller is locked out for 15
minutes. No log contains keyed input.

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
