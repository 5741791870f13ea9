"""Plain functions, which run in threads: a session, an HTTP request and a durable job.

They have what async functions have, without ``async`` and ``await``. Here the CRM is missing, so
the front desk answers the second key press::

    receiver dial examples/18_plain.py:app 8000 --press 1 --press 1
"""

import os

import httpx

from receiver import Call, Forward, Ivr, Receiver, Repeat, Reply

CRM = os.environ.get("CRM_URL", "http://127.0.0.1:9")
ivr = Ivr("8000")


def note(caller: str) -> None:
    httpx.post(f"{CRM}/notes", json={"text": f"{caller} wants a call back"}).raise_for_status()


@ivr.dtmf("1", fallback=Forward("0"))
def call_back(call: Call) -> Reply:
    with call.session() as session:
        session["times"] = session.get("times", 0) + 1
        if session["times"] == 1:
            return Repeat()  # press 1 again to confirm
    try:
        with httpx.Client(base_url=CRM, timeout=min(1.0, call.remaining())) as crm:
            owner = crm.get("/owner", params={"phone": call.caller}).raise_for_status().text
    except httpx.HTTPError:
        return Forward("0")
    call.after.durably(note, call.caller, idempotency_key=f"{call.session_id} note")
    return Forward(owner)


app = Receiver(ivr)
