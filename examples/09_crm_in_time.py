"""Look up the caller's owner in a CRM that may be slow, wrong or down, without delaying the call.

The request starts while the prompt plays, and its result is used when a key is pressed. A result is
cached for five minutes, and for a day while it is refreshed; a failing CRM gets no requests.

Try it; there is no CRM here, so the call goes to the front desk::

    receiver dial examples/09_crm_in_time.py:app 8000 --from 101 --press 1
"""

import os

from receiver import Call, Forward, Ivr, Receiver, Repeat, Reply
from receiver.upstream import Client, Lookup

crm = Client(os.environ.get("CRM_URL", "http://127.0.0.1:9"), timeout=0.6)


async def find_owner(number: str) -> str:
    """Return the extension of the caller's owner, empty without one."""
    contacts = (await crm.get("/contacts", params={"phone": number})).json()
    if not contacts:
        return ""
    owner = await crm.get(f"/owners/{int(contacts[0]['owner'])}")
    return str(owner.json()["extension"])


owners = Lookup(find_owner, fresh=300, stale=86400)
ivr = Ivr("8000")


@ivr.caller("100-199;+49********")
async def arrive(call: Call) -> Reply:
    owners.ahead(call.caller)
    return Repeat()


@ivr.dtmf("1", fallback=Forward("0"))
async def my_contact(call: Call) -> Reply:
    return Forward(await owners(call.caller, call) or "0")


app = Receiver(ivr)
