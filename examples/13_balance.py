"""A ready-made handler: calls distributed over queues, a new menu for a tenth of the callers.

A caller in that tenth stays in it, in every worker and after a restart.

Try it::

    receiver dial examples/13_balance.py:app 8000 --from 101 --press 1
"""

from handlers.balance import Balance
from handlers.menu import Menu
from receiver import Ivr, Receiver

old = Menu({"1": "8001", "2": "8002"})
new = Menu({"1": Balance({"8011": 2, "8012": 1}), "2": "8002"})  # by turns: two calls, then one
canary = Balance([(old, 90), (new, 10)], by="caller")

ivr = Ivr("8000")
ivr.add("DTMF", "1;2", canary, name="menu")
app = Receiver(ivr)
