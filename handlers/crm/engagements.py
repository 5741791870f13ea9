"""Calls logged in the CRM as engagements: once each, after the answer, also after a crash.

A call is logged when it is forwarded or hung up, and completed when it is over, if the app declares
that for the event ``call_ended``.

Rule 1: A call is one engagement, by its key: the job queue accepts a key once, and the connector
        searches for it before it creates a record.
Rule 2: A job contains the CRM's name and no credentials. The process that runs it finds the CRM by
        that name among the look-ups of its app; two accounts need two names.
Rule 3: What the job returns says which record it made; the queue keeps that for a day, so that the
        record is completed by its id, in any process. Without such a job nothing is completed. A
        job that is not done yet makes the completion wait, and for one that was given up the
        completion logs the call itself.
Rule 4: Queueing delays no caller: if little time is left, or the job queue is unavailable, the job
        is queued after the answer.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from weakref import WeakSet

from handlers.crm.contacts import Contact, Crm, Engagement, Number
from handlers.crm.error_log import ErrorLog
from handlers.crm.outcomes import CallCompleter, outcome_of
from receiver import Call, CallEvent, Unavailable, job_state

_logger = logging.getLogger("receiver.handlers")

ENQUEUE_TIME = 0.3
"""Seconds that a call must have left to enqueue its job before the answer."""


_LOGGED = "logged "


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
        self.errors = ErrorLog()
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
        key = job_key(self.crm.name, engagement.key)
        if call.remaining() > ENQUEUE_TIME:
            try:
                await call.after.durably(*job, idempotency_key=key)
                return
            except Unavailable as error:
                _logger.warning("CallerLookup keeps the engagement in memory for now: %s", error)
        call.after(call.after.durably, *job, idempotency_key=key)

    async def complete(self, event: CallEvent) -> None:
        """Add the outcome of a call to its record, if the call was logged.

        Raises:
            Unavailable: the CRM is not available, or the call is not logged yet; retry.
        """
        if not event.session_id or not isinstance(self.crm, CallCompleter):
            return
        key = key_of_session(event.session_id)
        job = await job_state(job_key(self.crm.name, key))
        if job is None:
            return
        if job.state == "open":
            raise Unavailable("the call is not logged yet")
        engagement = Engagement(
            key=key,
            begun=event.started or event.time or datetime.now(UTC),
            caller=Number.parse(event.caller, self.region),
            ivr=event.callbacks[0].ivr if event.callbacks else event.callee,
            outcome="forwarded" if event.forwarded_to else "",
            destination=event.forwarded_to,
            end=outcome_of(event),
        )
        result = job.result
        if job.state == "dead":
            packed = _pack(engagement) | {"region": self.region, "unknown": self.unknown}
            result = await log_call(self.crm.name, packed, False)
        if result.startswith(_LOGGED):
            try:
                await self.crm.complete(result.removeprefix(_LOGGED), engagement)
            except Unavailable as error:
                self.errors.warn(f"CallerLookup: outcome not added in CRM {self.crm.name}", error)
                raise


async def log_call(crm: str, packed: dict[str, Any], searched: bool) -> str:
    """Log a call: the durable background job.

    Returns:
        The record of the call, see rule 3; empty if the call is not to be logged.

    Raises:
        Unavailable: the CRM is not available; retry.
    """
    log = _find(crm)
    try:
        return await _log_call(log, packed, searched)
    except Unavailable as error:
        log.errors.warn(f"CallerLookup: call not logged in CRM {crm}", error)
        raise


async def _log_call(log: EngagementLog, packed: dict[str, Any], searched: bool) -> str:
    region = packed.get("region", log.region)
    engagement = _unpack(packed, region)
    if not searched:
        contacts = await log.crm.find(engagement.caller)
        contact = contacts[0] if contacts else None
        if contact is None and not packed.get("unknown", log.unknown):
            return ""
        engagement = _unpack({**packed, **_contact_fields(contact)}, region)
    return f"{_LOGGED}{await log.crm.log(engagement) or ''}"


def key_of(call: Call, begun: datetime) -> str:
    """Return the call's key: of its session; before PBX 22.3 of caller, IVR and minute."""
    minute = int(begun.timestamp() // 60)
    return key_of_session(call.session_id or f"{call.ivr} {call.caller} {minute}")


def key_of_session(session_id: str) -> str:
    """Return the key of the call with this session id, the same in all IVRs that it passes."""
    return hashlib.sha256(session_id.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def job_key(crm: str, key: str) -> str:
    """Return the key of the job that logs a call."""
    return f"crm:{crm}:{key}"


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
