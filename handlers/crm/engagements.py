"""Calls logged in the CRM as engagements: once each, after the answer, also after a crash.

Rule 1: A call is one engagement, by its key: the job queue accepts a key once, and the connector
        searches for it before it creates a record.
Rule 2: A job contains the CRM's name and no credentials. The process that runs it finds the CRM by
        that name among the look-ups of its app; two accounts need two names.
Rule 3: Queueing delays no caller: if little time is left, or the job queue is unavailable, the job
        is queued after the answer.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from weakref import WeakSet

from handlers.crm.contacts import Contact, Crm, Engagement, Number
from receiver import Call, Unavailable

_logger = logging.getLogger("receiver.handlers")

ENQUEUE_TIME = 0.3
"""Seconds that a call must have left to enqueue its job before the answer."""


class EngagementLog:
    """Logs the calls of one look-up.

    Parameters:
        crm: the CRM to log in.
        unknown: whether to log calls of unknown callers.
        region: region of the callers' numbers.
    """

    def __init__(self, crm: Crm, *, unknown: bool, region: str) -> None:
        self.crm = crm
        self.unknown = unknown
        self.region = region
        _logs.add(self)

    async def enqueue(self, call: Call, engagement: Engagement, *, searched: bool) -> None:
        """Queue ``engagement``.

        Parameters:
            searched: whether the CRM has answered the search for the caller. If not, the job
                searches again.
        """
        if searched and engagement.contact is None and not self.unknown:
            return
        own = {"region": self.region, "unknown": self.unknown}  # other look-ups may share the CRM
        job = (log_call, self.crm.name, {**_pack(engagement), **own}, searched)
        key = f"crm:{self.crm.name}:{engagement.key}"
        if call.remaining() > ENQUEUE_TIME:
            try:
                await call.after.durably(*job, idempotency_key=key)
                return
            except Unavailable as error:
                _logger.warning("CallerLookup keeps the engagement in memory for now: %s", error)
        call.after(call.after.durably, *job, idempotency_key=key)


async def log_call(crm: str, packed: dict[str, Any], searched: bool) -> None:
    """Log a call: the durable background job.

    Raises:
        Unavailable: the CRM is not available; retry.
    """
    log = _find(crm)
    region = packed.get("region", log.region)
    engagement = _unpack(packed, region)
    if not searched:
        contacts = await log.crm.find(engagement.caller)
        contact = contacts[0] if contacts else None
        if contact is None and not packed.get("unknown", log.unknown):
            return
        engagement = _unpack({**packed, **_contact_fields(contact)}, region)
    await log.crm.log(engagement)


def key_of(call: Call, begun: datetime) -> str:
    """Return the call's key: of its session; before PBX 22.3 of caller, IVR and minute."""
    identity = call.session_id or f"{call.caller} {call.ivr} {int(begun.timestamp() // 60)}"
    return hashlib.sha256(f"{call.ivr} {identity}".encode("utf-8", "surrogatepass")).hexdigest()[
        :32
    ]


_logs: WeakSet[EngagementLog] = WeakSet()


def _find(crm: str) -> EngagementLog:
    logs = [log for log in _logs if log.crm.name == crm]
    if not logs:
        raise Unavailable(f"no CallerLookup of this app has a CRM named {crm!r}")
    if len({id(log.crm) for log in logs}) > 1:
        raise Unavailable(f"two CRMs are named {crm!r}: give one of them another name=")
    return logs[0]


def _pack(engagement: Engagement) -> dict[str, Any]:
    return {
        "key": engagement.key,
        "begun": engagement.begun.isoformat(),
        "caller": engagement.caller.typed,
        "number_format": engagement.caller.number_format,
        "ivr": engagement.ivr,
        "outcome": engagement.outcome,
        "destination": engagement.destination,
        "seconds": engagement.seconds,
        **_contact_fields(engagement.contact),
    }


def _contact_fields(contact: Contact | None) -> dict[str, str]:
    if contact is None:
        return {"contact": "", "name": "", "owner": ""}
    return {"contact": contact.id, "name": contact.name, "owner": contact.owner}


def _unpack(packed: Mapping[str, Any], region: str) -> Engagement:
    contact = Contact(packed["contact"], packed["name"], packed["owner"])
    return Engagement(
        key=packed["key"],
        begun=datetime.fromisoformat(packed["begun"]),
        caller=Number.parse(packed["caller"], region, packed.get("number_format", "automatic")),
        ivr=packed["ivr"],
        contact=contact if contact.id else None,
        owner=contact.owner,
        outcome=packed["outcome"],
        destination=packed["destination"],
        seconds=packed["seconds"],
    )
