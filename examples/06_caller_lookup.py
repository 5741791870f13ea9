"""A ready-made handler: callers and where they belong, from a CSV file or a function.

Try it::

    receiver dial examples/06_caller_lookup.py:app 8000 --from +4930123456
"""

from pathlib import Path

from handlers.caller_lookup import CallerLookup
from receiver import Forward, Ivr, Receiver, Reply

customers = CallerLookup(Path(__file__).with_suffix(".csv"), unknown=Forward("8001"))


async def from_crm(number: str) -> Reply | None:
    """Any async function will do: here a CRM would be asked."""
    return Forward("400") if number.endswith("00") else None


ivr = Ivr("8000")
ivr.add("CALLER", "+49********;101", customers, name="customers")
ivr.add("CALLER", "200-299", CallerLookup(from_crm), name="crm")

app = Receiver(ivr)
