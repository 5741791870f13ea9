"""Look up the caller in HubSpot: customers reach their owner, and the call is logged there.

The request starts while the prompt plays. Here HubSpot is missing, so the front desk answers::

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
