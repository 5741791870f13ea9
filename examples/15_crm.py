"""HubSpot knows who calls: customers go to whoever looks after them, and the call is logged there.

HubSpot is asked while the prompt plays. There is none here, so the call goes to the front desk::

    receiver dial examples/15_crm.py:app 8000 --from 4930123456 --press 1
"""

import os

from handlers.crm.hubspot import HubSpot
from handlers.crm.lookup import CallerLookup
from receiver import Ivr, Receiver

lookup = CallerLookup(
    HubSpot(
        os.environ.get("HUBSPOT_TOKEN", "no-token"),
        url=os.environ.get("HUBSPOT_URL", "http://127.0.0.1:9"),
    ),
    rules=[{"field": "lifecyclestage", "equals": "opportunity", "to": "222"}],
    owners={"ada@example.com": "201", "grace@example.com": "202"},
    unknown="0",
    region="DE",
)
ivr = Ivr("8000")
ivr.add("CALLER", "49**********;49*********;49********", lookup.ahead, name="ahead")
ivr.add("DTMF", "1", lookup, name="my-contact")
app = Receiver(ivr)
