"""Connector for any CRM with a REST interface, described by templates.

::

    Rest(
        "https://crm.example.com/api",
        headers={"Authorization": "Token $CRM_TOKEN"},
        find={"url": "/people", "params": {"phone": "{e164}"}, "at": "data.items",
              "id": "id", "name": "full_name", "owner": "owner.id"},
        owner={"url": "/users/{owner}", "name": "name", "email": "mail"},
        seek={"url": "/calls", "params": {"reference": "{key}"}, "at": "data"},
        log={"url": "/calls", "json": {"reference": "{key}", "person": "{contact}"}, "id": "id"},
        complete={"url": "/calls/{record}", "method": "PATCH", "json": {"seconds": "{duration}"}},
        task={"url": "/tasks", "headers": {"Idempotency-Key": "{key}"}, "json": {"do": "{text}"}},
    )

A request has a ``url``, a ``method`` (default GET, with ``json`` POST), ``params``, ``headers`` and
``json``. Placeholders of a number: ``{e164}`` (+49301234567), ``{national}`` (0301234567),
``{significant}`` (301234567), ``{digits}``, ``{typed}``; of an owner: ``{owner}``; of an engagement
also ``{key}``, ``{begun}`` and ``{ended}`` (ISO 8601, UTC), ``{ivr}``, ``{contact}``, ``{name}``,
``{owner}``, ``{outcome}``, ``{destination}``, ``{text}`` (a sentence). ``complete`` has those of an
engagement, and ``{record}`` (its id, at ``id`` of the answer to ``log`` or ``seek``), ``{status}``
(answered or missed), ``{answered}`` (the number that answered), ``{duration}`` (seconds of talk),
``{recording}`` (a link). ``task`` has ``{key}``, ``{due}``, ``{text}``, ``{contact}``, ``{name}``,
``{owner}`` and those of a number. ``at`` and the fields are paths into the JSON, as in
``data.0.id``.

Rule 1: A request whose placeholder would be empty is not sent: an empty search finds all contacts.
        Several requests in ``find`` are sent in sequence until one finds a contact.
Rule 2: Values in a URL's path, and what is not ASCII in a header, are quoted. Placeholders are
        replaced once, never within values.
Rule 3: A call is logged once: ``seek`` searches for its key, or the CRM treats the key as unique;
        it is then in a header or the URL of ``log``. One of the two is required. ``task`` needs the
        key in a header or the URL.
Rule 4: Templates are checked when the connector is created, so none can fail during a call.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from datetime import UTC, timedelta
from typing import Any, Unpack

from handlers.crm.base import Connector
from handlers.crm.client import (
    ClientOptions,
    Options,
    check_rows,
    none_if,
    none_if_404,
    path_segment,
)
from handlers.crm.contacts import NUMBER_FORMS, Contact, Engagement, Number, Outcome, Owner
from handlers.crm.credentials import expand
from handlers.crm.outcomes import Task
from handlers.crm.rest_templates import (
    Step,
    Template,
    check_records,
    filled,
    in_header,
    read_step,
    value_at,
)
from receiver import Call, DeclarationError, Unavailable
from receiver.upstream import UpstreamRefused

_logger = logging.getLogger("receiver.handlers")
_OWNER = frozenset({"owner"})
_ENGAGEMENT = NUMBER_FORMS | frozenset(
    {"key", "begun", "ended", "ivr", "contact", "name", "owner", "outcome", "destination", "text"}
)
_OUTCOME = _ENGAGEMENT | frozenset({"record", "status", "answered", "duration", "recording"})
_TASK = NUMBER_FORMS | frozenset({"key", "due", "text", "contact", "name", "owner"})


class Rest(Connector):
    """A connector for any CRM with a REST interface, see `handlers.crm.contacts.Crm`.

    ::

        crm = Rest(
            "https://crm.example.com",
            headers={"Authorization": "Bearer $CRM_TOKEN"},
            find={"url": "/people", "params": {"phone": "{e164}"}, "at": "items", "id": "id"},
        )

    Parameters:
        url: base URL of all requests.
        find: one or more requests for a number; with the paths of ``id``, ``name``, ``owner``.
        owner: the request for an owner; with the paths of ``name`` and ``email``.
        seek, log: the requests that search for a call and log it; without ``log`` none is logged.
            Each may have the path of the record's ``id``.
        complete: the request that adds the outcome to the record of a call.
        task: the request that creates a task.
        headers: sent with all requests; ``$NAME`` is replaced by the variable of that name.
        burst: requests that may be sent at once after a pause.
        options: see `handlers.crm.client.Options`.

    In a file::

        connector = "rest"
        url = "https://crm.example.com"
        headers = {Authorization = "Bearer $CRM_TOKEN"}
        find.url = "/people"
        find.params = {phone = "{e164}"}
        find.at = "items"
        find.id = "id"
        find.owner = "owner"

    Raises:
        DeclarationError: an option is wrong; the text names it.
    """

    defaults = ClientOptions(name="rest")

    def __init__(
        self,
        url: str,
        *,
        find: Template | Sequence[Template],
        owner: Template | None = None,
        seek: Template | None = None,
        log: Template | None = None,
        complete: Template | None = None,
        task: Template | None = None,
        headers: Mapping[str, str] | None = None,
        burst: int = 10,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(options)
        sent = {
            key: expand(value, f"Rest: headers: {key}") for key, value in (headers or {}).items()
        }
        self._warned = False
        self._client = self._connect(url, burst=burst, headers=sent)
        finds = [find] if isinstance(find, Mapping) else find
        self._find = [
            read_step(one, "find", NUMBER_FORMS, ("id", "name", "owner")) for one in finds
        ]
        self._owner = read_step(owner, "owner", _OWNER, ("name", "email")) if owner else None
        self._seek = read_step(seek, "seek", _ENGAGEMENT, ("id",)) if seek else None
        self._log = read_step(log, "log", _ENGAGEMENT, ("id",)) if log else None
        self._complete = read_step(complete, "complete", _OUTCOME) if complete else None
        self._task = read_step(task, "task", _TASK) if task else None
        if not self._find or any("id" not in one.fields for one in self._find):
            raise DeclarationError("Rest: find needs an id: the path of the contact's id")
        check_records(self._seek, self._log, self._complete, self._task)

    async def find(self, number: Number, call: Call | None = None) -> Sequence[Contact]:
        values = {name: getattr(number, name) for name in NUMBER_FORMS}
        for step in self._find:
            if any(not values[name] for name in step.slots):
                continue
            records = await self._rows(step, values, call)
            contacts = tuple(_contact(step, record) for record in records)
            if not all(contact.id for contact in contacts):
                raise Unavailable(f"a contact of {self.name} has no id at the path of find.id")
            if contacts:
                return contacts
        return ()

    async def owner(self, contact: Contact, call: Call | None = None) -> Owner | None:
        if not contact.owner:
            return None
        if self._owner is None:
            return Owner(contact.owner)
        records = await self._rows(self._owner, {"owner": contact.owner}, call)
        if not records:
            return None
        name, email = self._owner.texts(records[0])
        return Owner(contact.owner, name, email, records[0])

    async def log(self, engagement: Engagement) -> str:
        if self._log is None:
            return ""
        values = _values(engagement)
        async with self._lock(engagement.key):
            if self._seek and (calls := await self._rows(self._seek, values, background=True)):
                return "".join(self._seek.texts(calls[0]))
            answer = await none_if(409, self._send(self._log, values, background=True))
        return "".join(self._log.texts(answer)) if isinstance(answer, dict) else ""

    async def complete(self, record: str, engagement: Engagement) -> None:
        if self._complete is None:
            return
        values = _values(engagement)
        if not record and self._seek and "record" in self._complete.slots:
            calls = await self._rows(self._seek, values, background=True)
            record = "".join(self._seek.texts(calls[0])) if calls else ""
        if not record and "record" in self._complete.slots:
            raise Unavailable(f"{self.name} does not find the call yet")
        values |= {"record": record, **_outcome_values(engagement.end or Outcome(False))}
        await none_if_404(self._send(self._complete, values, background=True))

    async def add_task(self, task: Task) -> None:
        if self._task is None:
            return
        values = {name: getattr(task.caller, name) for name in NUMBER_FORMS} | {
            "key": task.key,
            "due": task.due.astimezone(UTC).isoformat(),
            "text": task.title,
            **_contact_values(task.contact, task.owner),
        }
        await none_if(409, self._send(self._task, values, background=True))

    async def _rows(
        self,
        step: Step,
        values: Mapping[str, str],
        call: Call | None = None,
        *,
        background: bool = False,
    ) -> Sequence[Mapping[str, Any]]:
        """Return the objects of the answer; ``()`` for 404, an empty answer and null."""
        try:
            body = await self._send(step, values, call, background=background)
        except UpstreamRefused as error:
            if error.status != 404:
                raise
            if "{" not in step.url and not self._warned:
                self._warned = True
                text = "%s: 404 is taken as not found; if no caller is found, check the url %s"
                _logger.warning(text, self.name, step.url)
            return ()
        try:
            found = None if body is None else value_at(body, step.at)
        except LookupError:
            raise Unavailable(f"the answer of {self.name} has no value at {step.at!r}") from None
        if found is None:
            return ()
        return check_rows(
            found if isinstance(found, list) else [found], f"the answer of {self.name}"
        )

    async def _send(
        self,
        step: Step,
        values: Mapping[str, str],
        call: Call | None = None,
        *,
        background: bool = False,
    ) -> Any:
        answer = await self._client.request(
            step.method,
            filled(step.url, {name: path_segment(value) for name, value in values.items()}),
            call=call,
            background=background,
            params=filled(step.params, values) or None,
            json=filled(step.json, values),
            headers=filled(step.headers, {name: in_header(one) for name, one in values.items()}),
        )
        return answer.json() if answer.body.strip() else None


def _contact(step: Step, record: Mapping[str, Any]) -> Contact:
    contact_id, name, owner = step.texts(record)
    return Contact(contact_id, name, owner, record)


def _values(engagement: Engagement) -> dict[str, str]:
    seconds = engagement.end.seconds if engagement.end else engagement.seconds
    ended = engagement.begun + timedelta(seconds=seconds)
    return {
        **{name: getattr(engagement.caller, name) for name in NUMBER_FORMS},
        "key": engagement.key,
        "begun": engagement.begun.astimezone(UTC).isoformat(),
        "ended": ended.astimezone(UTC).isoformat(),
        "ivr": engagement.ivr,
        **_contact_values(engagement.contact, engagement.owner),
        "outcome": engagement.outcome,
        "destination": engagement.destination,
        "text": engagement.text,
    }


def _contact_values(contact: Contact | None, owner: str) -> dict[str, str]:
    return {
        "contact": contact.id if contact else "",
        "name": contact.name if contact else "",
        "owner": owner,
    }


def _outcome_values(end: Outcome) -> dict[str, str]:
    return {
        "status": "answered" if end.answered else "missed",
        "answered": end.answered_by,
        "duration": str(round(end.seconds)),
        "recording": end.recording,
    }
