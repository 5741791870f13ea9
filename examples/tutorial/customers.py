"""The CRM, as the call logic sees it."""

import os
from typing import Any

from receiver.upstream import Client, Lookup

crm = Client(os.environ.get("CRM_URL", "http://127.0.0.1:8900"))


async def find_contact(number: str) -> dict[str, Any]:
    """Return the contact with a phone number, or {}."""
    found: list[dict[str, Any]] = (await crm.get("/contacts", params={"phone": number})).json()
    return found[0] if found else {}


async def find_account(number: str) -> str:
    """Return the extension of the person who looks after an account, or ""."""
    return str((await crm.get(f"/accounts/{number}")).json()["extension"])


async def log_call(caller: str, destination: str, idempotency_key: str) -> None:
    """Log a call in the CRM; the key makes a repeated request harmless."""
    body = {"key": idempotency_key, "caller": caller, "destination": destination}
    await crm.post("/calls", json=body)


contacts = Lookup(find_contact, fresh=300, stale=86400)
accounts = Lookup(find_account, fresh=300, stale=86400)
