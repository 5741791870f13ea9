"""Calls on their way into the CRM: once each, after the answer, though the process be killed.

Rule 1: a call is one entry, by its key: the queue of durable work takes a key once, and the
        connector looks for it before it writes a second time.
Rule 2: the job holds the CRM's name, never its credentials. Another process finds the CRM by that
        name among the look-ups that its app declares; two accounts need two names.
Rule 3: keeping a job costs the caller nothing: with little time left, or the queue out of order,
        it is kept after the answer.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from weakref import WeakSet

from handlers.crm.contacts import Contact, Crm, Entry, Number
from receiver import Call, Unavailable

log = logging.getLogger("receiver.handlers")

ENOUGH = 0.3
"""Seconds that a call must have left for its job to be kept before the answer."""


class Logbook:
    """Where the calls of one look-up are logged.

    Parameters:
        crm: which CRM.
        everybody: also calls of those whom the CRM does not know.
        region: how their numbers are read.
    """

    def __init__(self, crm: Crm, *, everybody: bool, region: str) -> None:
        self.crm = crm
        self.everybody = everybody
        self.region = region
        _open.add(self)

    async def keep(self, call: Call, entry: Entry, *, sought: bool) -> None:
        """Have ``entry`` logged.

        Parameters:
            sought: whether the CRM has said whose number it is. If not, it is asked again then.
        """
        if sought and entry.contact is None and not self.everybody:
            return
        ours = {"region": self.region, "everybody": self.everybody}  # others may share the CRM
        job = (log_call, self.crm.name, {**_pack(entry), **ours}, sought)
        key = f"crm:{self.crm.name}:{entry.key}"
        if call.remaining() > ENOUGH:
            try:
                await call.after.durably(*job, idempotency_key=key)
                return
            except Unavailable as error:
                log.warning("CallerLookup keeps its log entry in memory for now: %s", error)
        call.after(call.after.durably, *job, idempotency_key=key)


async def log_call(crm: str, packed: dict[str, Any], sought: bool) -> None:
    """The durable job.

    Raises:
        Unavailable: it could not be logged yet.
    """
    book = _find(crm)
    region = packed.get("region", book.region)
    entry = _unpack(packed, region)
    if not sought:
        contacts = await book.crm.find(entry.caller)
        contact = contacts[0] if contacts else None
        if contact is None and not packed.get("everybody", book.everybody):
            return
        entry = _unpack({**packed, **_whose(contact)}, region)
    await book.crm.log(entry)


def key_of(call: Call, begun: datetime) -> str:
    """The call's key: from its session; before PBX 22.3 from who called where in which minute."""
    what = call.session_id or f"{call.caller} {call.ivr} {int(begun.timestamp() // 60)}"
    return hashlib.sha256(f"{call.ivr} {what}".encode("utf-8", "surrogatepass")).hexdigest()[:32]


_open: WeakSet[Logbook] = WeakSet()


def _find(crm: str) -> Logbook:
    books = [book for book in _open if book.crm.name == crm]
    if not books:
        raise Unavailable(f"no CallerLookup of this app has a CRM of the name {crm!r}")
    if len({id(book.crm) for book in books}) > 1:
        raise Unavailable(f"two CRMs have the name {crm!r}: give one of them another name=")
    return books[0]


def _pack(entry: Entry) -> dict[str, Any]:
    return {
        "key": entry.key,
        "begun": entry.begun.isoformat(),
        "caller": entry.caller.typed,
        "ivr": entry.ivr,
        "outcome": entry.outcome,
        "destination": entry.destination,
        "seconds": entry.seconds,
        **_whose(entry.contact),
    }


def _whose(contact: Contact | None) -> dict[str, str]:
    if contact is None:
        return {"contact": "", "name": "", "owner": ""}
    return {"contact": contact.id, "name": contact.name, "owner": contact.owner}


def _unpack(packed: Mapping[str, Any], region: str) -> Entry:
    whose = Contact(packed["contact"], packed["name"], packed["owner"])
    return Entry(
        key=packed["key"],
        begun=datetime.fromisoformat(packed["begun"]),
        caller=Number.parse(packed["caller"], region),
        ivr=packed["ivr"],
        contact=whose if whose.id else None,
        owner=whose.owner,
        outcome=packed["outcome"],
        destination=packed["destination"],
        seconds=packed["seconds"],
    )
