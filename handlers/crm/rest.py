"""Connector for any CRM with a REST interface, described by templates.

::

    Rest(
        "https://crm.example.com/api",
        headers={"Authorization": "Token $CRM_TOKEN"},
        find={"url": "/people", "params": {"phone": "{e164}"}, "at": "data.items",
              "id": "id", "name": "full_name", "owner": "owner.id"},
        owner={"url": "/users/{owner}", "name": "name", "email": "mail"},
        seek={"url": "/calls", "params": {"reference": "{key}"}, "at": "data"},
        log={"url": "/calls", "json": {"reference": "{key}", "person": "{contact}"}},
    )

A request has a ``url``, a ``method`` (default GET, with ``json`` POST), ``params``, ``headers`` and
``json``. Placeholders of a number: ``{e164}`` (+49301234567), ``{national}`` (0301234567),
``{significant}`` (301234567), ``{digits}``, ``{typed}``; of an owner: ``{owner}``; of an engagement
also ``{key}``, ``{begun}`` and ``{ended}`` (ISO 8601, UTC), ``{ivr}``, ``{contact}``, ``{name}``,
``{owner}``, ``{outcome}``, ``{destination}``, ``{text}`` (a sentence). ``at`` and the fields are
paths into the JSON, as in ``data.0.id``.

Rule 1: A request whose placeholder would be empty is not sent: an empty search finds all contacts.
        Several requests in ``find`` are sent in sequence until one finds a contact.
Rule 2: Values in a URL's path are quoted. Placeholders are replaced once, never within values.
Rule 3: A call is logged once: ``seek`` searches for its key, or the CRM treats the key as unique;
        it is then in a header or the URL of ``log``. One of the two is required.
Rule 4: Templates are checked when the connector is created, so none can fail during a call.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, timedelta
from typing import Any, Unpack

from handlers.crm.client import (
    ClientOptions,
    CrmClient,
    Options,
    check_rows,
    none_if_404,
    path_segment,
)
from handlers.crm.contacts import NUMBER_FORMS, Contact, Engagement, Number, Owner, text_of
from handlers.crm.credentials import expand
from receiver import Call, DeclarationError, Unavailable
from receiver.upstream import UpstreamRefused

_OWNER = frozenset({"owner"})
_ENGAGEMENT = NUMBER_FORMS | frozenset(
    {"key", "begun", "ended", "ivr", "contact", "name", "owner", "outcome", "destination", "text"}
)

Template = Mapping[str, Any]
"""One request, as described above."""

_SLOT = re.compile(r"\{([a-z0-9]+)\}")
_PARTS = {"url": str, "method": str, "params": Mapping, "headers": Mapping, "json": object}


class Rest:
    """A connector, see `handlers.crm.contacts.Crm`. ::

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
        headers: Mapping[str, str] | None = None,
        burst: int = 10,
        **options: Unpack[Options],
    ) -> None:
        merged = replace(self.defaults, **options)
        self.name = merged.name
        sent = {
            key: expand(value, f"Rest: headers: {key}") for key, value in (headers or {}).items()
        }
        self._client = CrmClient("Rest", url, merged, burst=burst, headers=sent)
        finds = [find] if isinstance(find, Mapping) else find
        self._find = [_read(one, "find", NUMBER_FORMS, ("id", "name", "owner")) for one in finds]
        self._owner = _read(owner, "owner", _OWNER, ("name", "email")) if owner else None
        self._seek = _read(seek, "seek", _ENGAGEMENT, ()) if seek else None
        self._log = _read(log, "log", _ENGAGEMENT, ()) if log else None
        if not self._find or any("id" not in one.fields for one in self._find):
            raise DeclarationError("Rest: find needs an id: the path of the contact's id")
        if self._log and not self._is_idempotent(self._log):
            raise DeclarationError(
                "Rest: log could create two records of one call: add seek, with {key} in both; or "
                "{key} in the url or a header of log, if the CRM treats it as a unique key"
            )

    def _is_idempotent(self, log: Step) -> bool:
        if self._seek is None:
            return "{key}" in log.url + repr(log.headers)
        return "key" in self._seek.slots & log.slots

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

    async def log(self, engagement: Engagement) -> None:
        if self._log is None:
            return
        values = _values(engagement)
        if self._seek and await self._rows(self._seek, values, background=True):
            return
        try:
            await self._send(self._log, values, background=True)
        except UpstreamRefused as error:
            if error.status != 409:  # 409: the key exists
                raise

    async def _rows(
        self,
        step: Step,
        values: Mapping[str, str],
        call: Call | None = None,
        *,
        background: bool = False,
    ) -> Sequence[Mapping[str, Any]]:
        """Return the objects of the answer; ``()`` for 404, an empty answer and null."""
        body = await none_if_404(self._send(step, values, call, background=background))
        try:
            found = None if body is None else _at(body, step.at)
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
            _filled(step.url, {name: path_segment(value) for name, value in values.items()}),
            call=call,
            background=background,
            params=_filled(step.params, values) or None,
            json=_filled(step.json, values),
            headers=_filled(step.headers, values),
        )
        return answer.json() if answer.body.strip() else None


def _contact(step: Step, record: Mapping[str, Any]) -> Contact:
    contact_id, name, owner = step.texts(record)
    return Contact(contact_id, name, owner, record)


def _values(engagement: Engagement) -> dict[str, str]:
    ended = engagement.begun + timedelta(seconds=engagement.seconds)
    return {
        **{name: getattr(engagement.caller, name) for name in NUMBER_FORMS},
        "key": engagement.key,
        "begun": engagement.begun.astimezone(UTC).isoformat(),
        "ended": ended.astimezone(UTC).isoformat(),
        "ivr": engagement.ivr,
        "contact": engagement.contact.id if engagement.contact else "",
        "name": engagement.contact.name if engagement.contact else "",
        "owner": engagement.owner,
        "outcome": engagement.outcome,
        "destination": engagement.destination,
        "text": engagement.text,
    }


@dataclass(frozen=True, slots=True)
class Step:
    """A template, checked."""

    url: str
    method: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    json: Any = None
    at: str = ""
    fields: Mapping[str, str] = field(default_factory=dict)
    names: tuple[str, ...] = ()

    @property
    def slots(self) -> set[str]:
        """The names of its placeholders."""
        return set(_SLOT.findall(repr((self.url, self.params, self.headers, self.json))))

    def texts(self, record: Mapping[str, Any]) -> tuple[str, ...]:
        """Return the values of its fields."""
        return tuple(self._text(record, self.fields.get(name, "")) for name in self.names)

    def _text(self, record: Mapping[str, Any], path: str) -> str:
        try:
            return text_of(_at(record, path))
        except LookupError:
            return ""


def _read(template: Template, option: str, slots: frozenset[str], names: tuple[str, ...]) -> Step:
    if not isinstance(template, Mapping) or not isinstance(template.get("url"), str):
        raise DeclarationError(f"Rest: {option} must be a table with a url")
    if unknown := template.keys() - {*_PARTS, "at", *names}:
        raise DeclarationError(
            f"Rest: {option} does not know {', '.join(sorted(map(str, unknown)))}"
        )
    for part, value in template.items():
        if not isinstance(value, _PARTS.get(part, str)):
            raise DeclarationError(f"Rest: {option}: {part} cannot be a {type(value).__name__}")
    parts = {part: template[part] for part in _PARTS if part in template}
    parts.setdefault("method", "POST" if "json" in template else "GET")
    fields = {name: template[name] for name in names if name in template}
    step = Step(**parts, at=template.get("at", ""), fields=fields, names=names)
    if unknown := step.slots - slots:
        raise DeclarationError(f"Rest: {option} has no placeholder {{{sorted(unknown)[0]}}}")
    return step


def _filled(template: Any, values: Mapping[str, str]) -> Any:
    if isinstance(template, str):
        return _SLOT.sub(lambda slot: values[slot[1]], template)
    if isinstance(template, Mapping):
        return {name: _filled(value, values) for name, value in template.items()}
    if isinstance(template, list | tuple):
        return [_filled(value, values) for value in template]
    return template


def _at(value: Any, path: str) -> Any:
    """Return the value at ``path``; raises LookupError if it is missing."""
    for part in path.split(".") if path else ():
        if isinstance(value, list) and part.isdecimal():
            value = value[int(part)]
        elif isinstance(value, Mapping):
            value = value[part]
        else:
            raise LookupError
    return value
