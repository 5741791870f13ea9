"""Any CRM with a REST interface, described by templates.

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

A request has a ``url``; a ``method``, by default GET, or POST where there is ``json``; ``params``,
``headers`` and ``json``. Placeholders of a number: ``{e164}`` (+49301234567), ``{national}``
(0301234567), ``{significant}`` (301234567), ``{digits}``, ``{typed}``; of an owner: ``{owner}``; of
a log entry besides: ``{key}``, ``{begun}`` and ``{ended}`` (ISO 8601, UTC), ``{ivr}``,
``{contact}``, ``{name}``, ``{owner}``, ``{outcome}``, ``{destination}``, ``{text}`` (in words).
``at`` and the fields are paths into the JSON, as in ``data.0.id``.

Rule 1: a request with a placeholder of a number that is empty is not sent: to search for nothing
        finds everybody. Several requests in ``find`` are sent in turn until one finds somebody.
Rule 2: what is put into a URL's path is quoted; placeholders are replaced once and are not looked
        for in what they stand for.
Rule 3: one entry a call: ``seek`` looks for the key, or the CRM goes by the key itself, which then
        stands in a header or the URL of ``log``. One of them is demanded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, timedelta
from typing import Any, Unpack

from handlers.crm.api import segment, told, unless_missing
from handlers.crm.asking import Paced, expand, rows
from handlers.crm.contacts import Contact, Entry, Number, Owner
from handlers.crm.options import safe
from handlers.crm.templates import Step, Template, at, filled, read
from handlers.crm.terms import Options, Terms
from receiver import Call, DeclarationError, Unavailable
from receiver.upstream import UpstreamRefused

_NUMBER = frozenset({"typed", "e164", "national", "significant", "digits"})
_OWNER = frozenset({"owner"})
_ENTRY = _NUMBER | frozenset(
    {"key", "begun", "ended", "ivr", "contact", "name", "owner", "outcome", "destination", "text"}
)


class Rest:
    """A `handlers.crm.contacts.Crm`.

    Parameters:
        url: what the requests' URLs are relative to.
        find: the request for a number, or several; with the fields ``id``, ``name``, ``owner`` of
            what stands ``at``.
        owner: the request for an owner; with ``name`` and ``email`` of what stands ``at``.
        seek, log: the requests that look for a call, and write it; without ``log`` none is.
        headers: sent with all of them; ``$NAME`` in one is the variable of that name.
        burst: requests that may come at once after a pause.
        options: see `handlers.crm.terms.Options`.

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
        DeclarationError: an option is wrong; the text says where.
    """

    defaults = Terms(name="rest")

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
        terms = replace(self.defaults, **options)
        self.name = terms.name
        sent = {
            key: expand(value, f"Rest: headers: {key}") for key, value in (headers or {}).items()
        }
        self._client = Paced(terms.client(safe(url, "Rest"), sent), terms.pace(burst))
        finds = [find] if isinstance(find, Mapping) else find
        self._find = [read(one, "find", _NUMBER, ("id", "name", "owner")) for one in finds]
        self._owner = read(owner, "owner", _OWNER, ("name", "email")) if owner else None
        self._seek = read(seek, "seek", _ENTRY, ()) if seek else None
        self._log = read(log, "log", _ENTRY, ()) if log else None
        if not self._find or any("id" not in one.fields for one in self._find):
            raise DeclarationError("Rest: find has an id: where the id of a contact stands")
        if self._log and not self._is_once(self._log):
            raise DeclarationError(
                "Rest: log would write a call twice: add a seek, with {key} in both; or {key} in "
                "the url or a header of log, if the CRM goes by that"
            )

    def _is_once(self, log: Step) -> bool:
        if self._seek is None:
            return "{key}" in log.url + repr(log.headers)
        return "key" in self._seek.slots & log.slots

    async def find(self, number: Number, call: Call | None = None) -> Sequence[Contact]:
        values = {name: getattr(number, name) for name in _NUMBER}
        for step in self._find:
            if any(not values[name] for name in step.slots):
                continue
            found = await self._rows(step, values, call)
            contacts = tuple(_contact(step, one) for one in found)
            if not all(contact.id for contact in contacts):
                raise Unavailable(f"a contact of {self.name} has no id where find says")
            if contacts:
                return contacts
        return ()

    async def owner(self, contact: Contact, call: Call | None = None) -> Owner | None:
        if not contact.owner:
            return None
        if self._owner is None:
            return Owner(contact.owner)
        found = await self._rows(self._owner, {"owner": contact.owner}, call)
        if not found:
            return None
        name, email = self._owner.told(found[0])
        return Owner(contact.owner, name, email, found[0])

    async def log(self, entry: Entry) -> None:
        if self._log is None:
            return
        values = _values(entry)
        if self._seek and await self._rows(self._seek, values, aside=True):
            return
        try:
            await self._send(self._log, values, aside=True)
        except UpstreamRefused as error:
            if error.status != 409:  # it has the key already
                raise

    async def _rows(
        self,
        step: Step,
        values: Mapping[str, str],
        call: Call | None = None,
        *,
        aside: bool = False,
    ) -> Sequence[Mapping[str, Any]]:
        """The objects that the answer holds; none for 404, an empty answer, and null."""
        body = await unless_missing(self._send(step, values, call, aside=aside))
        try:
            found = None if body is None else at(body, step.at)
        except LookupError:
            raise Unavailable(f"the answer of {self.name} has nothing at {step.at!r}") from None
        if found is None:
            return ()
        return rows(found if isinstance(found, list) else [found], f"what {self.name} found")

    async def _send(
        self,
        step: Step,
        values: Mapping[str, str],
        call: Call | None = None,
        *,
        aside: bool = False,
    ) -> Any:
        answer = await self._client.request(
            step.method,
            filled(step.url, {name: segment(value) for name, value in values.items()}),
            call=call,
            aside=aside,
            params=filled(step.params, values) or None,
            json=filled(step.json, values),
            headers=filled(step.headers, values),
        )
        return answer.json() if answer.body.strip() else None


def _contact(step: Step, found: Mapping[str, Any]) -> Contact:
    whose, name, owner = step.told(found)
    return Contact(whose, name, owner, found)


def _values(entry: Entry) -> dict[str, str]:
    ended = entry.begun + timedelta(seconds=entry.seconds)
    return {
        **{name: getattr(entry.caller, name) for name in _NUMBER},
        "key": entry.key,
        "begun": entry.begun.astimezone(UTC).isoformat(),
        "ended": ended.astimezone(UTC).isoformat(),
        "ivr": entry.ivr,
        "contact": entry.contact.id if entry.contact else "",
        "name": entry.contact.name if entry.contact else "",
        "owner": entry.owner,
        "outcome": entry.outcome,
        "destination": entry.destination,
        "text": told(entry),
    }
