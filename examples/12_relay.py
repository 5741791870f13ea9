"""A ready-made handler: another HTTP service decides, such as a flow in n8n, Node-RED or Zapier.

It gets the PBX's six fields as JSON, signed, and answers ``{"destination": "222"}``, or just
``"hangup"``. While it is down, slow or wrong, the fallback is used: here a menu.

Try it; there is no such service here, so the menu answers::

    receiver dial examples/12_relay.py:app 8000 --press 1
"""

import os

from handlers.menu import Menu
from handlers.relay import Relay
from receiver import Ivr, Receiver

menu = Menu({"1": "222", "2": "333"})
flow = Relay(
    os.environ.get("FLOW_URL", "http://127.0.0.1:9/webhook/call"),
    secret=os.environ.get("FLOW_SECRET", ""),
    fallback=menu,
)
ivr = Ivr("8000")
ivr.add("DTMF", "1;2", flow, name="flow")
app = Receiver(ivr)
