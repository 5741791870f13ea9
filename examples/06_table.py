"""A ready-made handler: destinations of callers, from a CSV file or a function.

Change the file while it runs: the next caller gets the new destination. A database works the same:
``Table("postgresql+psycopg://…", query="SELECT phone, extension FROM customers")``.

Try it::

    receiver dial examples/06_table.py:app 8000 --from 004930123456
"""

from pathlib import Path

from handlers.table import Table
from receiver import Forward, Ivr, Receiver, Reply

customers = Table(Path(__file__).with_suffix(".csv"), unknown=Forward("8001"))


async def from_crm(number: str) -> Reply | None:
    """Any async function will do: here a CRM would be asked."""
    return Forward("400") if number.endswith("00") else None


ivr = Ivr("8000")
ivr.add("CALLER", "+49********;00**********;101", customers, name="customers")
ivr.add("CALLER", "200-299", Table(from_crm), name="crm")

app = Receiver(ivr)
