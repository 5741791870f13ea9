"""A ready-made handler: callers and where they belong, from a CSV file.

    receiver dial examples/06_caller_lookup.py:app 8000 --from +4930123456
"""

from pathlib import Path

from handlers.caller_lookup import CallerLookup
from receiver import Forward, Ivr, Receiver

customers = CallerLookup(Path(__file__).with_suffix(".csv"), unknown=Forward("8001"))

ivr = Ivr("8000")
ivr.add("CALLER", "+49********;101", customers, name="customers")

app = Receiver(ivr)
