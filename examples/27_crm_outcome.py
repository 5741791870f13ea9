"""Calls in the CRM with who answered and for how long, and a task for each missed one.

Here HubSpot is missing, so the front desk answers, and jobs for HubSpot wait in the queue::

    receiver dial examples/27_crm_outcome.py:app 8000 --from 4930123456 --press 1
"""

import os

from handlers.crm.hubspot import HubSpot
from handlers.crm.lookup import CallerLookup
from handlers.missed import FollowUp
from receiver import Events, Ivr, Receiver

crm = HubSpot(
    os.environ.get("HUBSPOT_TOKEN", "no-token"),
    url=os.environ.get("HUBSPOT_URL", "http://127.0.0.1:9"),
)
lookup = CallerLookup(crm, owners={"ada@example.com": "201"}, unknown="0", region="DE")
ivr = Ivr("8000")
ivr.add("DTMF", "1", lookup, name="my-contact")
events = Events()
events.add("call_ended", lookup.complete)
events.add("call_missed", FollowUp(crm=crm, region="DE"), name="follow-up")
app = Receiver(ivr, events)
