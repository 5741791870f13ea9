"""Connector for HubSpot: contacts by phone number, owners, calls.

Facts from HubSpot's documentation and interface descriptions: the search of contacts and calls (any
group of filters may match, at most five; ``after``, ``filterGroups``, ``limit``, ``properties`` and
``sorts`` are always sent, since the descriptions require some of them); owners; a call requires
``hs_timestamp``; the associations of a record in pages; reading of 100 records at once. From third
parties, not verified, and therefore options: ``search_fields`` hold the digits of the national
number; ``per_second`` is the limit of searches; 194 is the association of a call with a contact;
``key_field`` is a text property of calls. An assumption: associations do not lag, and a later
record has a higher id.

Rule 1: ``phone`` and ``mobilephone`` are free text. The search uses the usual ways to write a
        number and HubSpot's own searchable form; the results are compared with the number again.
Rule 2: A call is logged once: its key is searched for first. HubSpot's index lags by seconds, so
        the latest calls that are associated with the contact are read, too. An unknown caller has
        none: if the process is killed or the answer is lost after the call was created, the retry
        creates it again, unless the index has it by then. A ``key_field`` with unique values
        excludes that: HubSpot refuses a second call with 409, which counts as logged. Tasks are
        found likewise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack

from handlers.crm.base import KeyedConnector
from handlers.crm.client import (
    ClientOptions,
    Options,
    check_rows,
    none_if,
    none_if_404,
    path_segment,
    row,
    rows,
    text_at,
)
from handlers.crm.contacts import (
    MAX_CONTACTS,
    Contact,
    Engagement,
    Number,
    Outcome,
    Owner,
    id_of,
    text_of,
)
from handlers.crm.credentials import reveal
from handlers.crm.outcomes import Task
from receiver import Call, PhoneNumbers, Secret

_NAMES = ("firstname", "lastname")
_PHONES = ("phone", "mobilephone")
_MAX_GROUPS = 5  # of filters, HubSpot's limit
_MAX_READ = 100  # records in one request, HubSpot's limit
_PAGE_SIZE = 500  # associations in one answer
_MAX_PAGES = 20


class HubSpot(KeyedConnector):
    """A connector for HubSpot, see `handlers.crm.contacts.Crm`.

    ::

        crm = HubSpot("$HUBSPOT_TOKEN", fields=["lifecyclestage"], region="DE")

    Parameters:
        token: token of a private app, or ``"$NAME"``; scopes ``crm.objects.contacts.read`` and
            ``write``, ``crm.objects.owners.read``.
        fields: further properties of contacts, for rules.
        region: region of numbers without a country code, see `receiver.PhoneNumbers`.
        url: base URL of HubSpot.
        per_second, others_per_second: limits of searches and of other requests.
        search_fields: properties of contacts with the digits of the national number.
        key_field: property of calls that stores the key.
        association, task_association: types of the association of a call and of a task with a
            contact.
        options: see `handlers.crm.client.Options`.

    In a file::

        connector = "hubspot"
        token = "$HUBSPOT_TOKEN"
        region = "DE"

    Raises:
        DeclarationError: an option is wrong.
    """

    defaults = ClientOptions(name="hubspot", per_second=4.0)

    def __init__(
        self,
        token: str | Secret,
        *,
        fields: Sequence[str] = (),
        region: str = "",
        url: str = "https://api.hubapi.com",
        others_per_second: float = 10.0,
        search_fields: Sequence[str] = (
            "hs_searchable_calculated_phone_number",
            "hs_searchable_calculated_mobile_number",
        ),
        key_field: str = "hs_call_external_id",
        association: int = 194,
        task_association: int = 204,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(options)
        secret = reveal(token, "HubSpot: token")
        self._search_client, self._client = (
            self._connect(url, secret, per_second=limit, burst=int(limit) or 1)
            for limit in (self._options.per_second, others_per_second)
        )
        PhoneNumbers(region)  # raises if the region is unknown
        self._region = region
        self._search_fields = tuple(search_fields)
        own = (*_NAMES, *_PHONES, "email", "lifecyclestage", "hubspot_owner_id")
        self._fields = list(dict.fromkeys((*own, *fields)))
        self._key_field = key_field
        self._association, self._task_association = association, task_association

    async def find(self, number: Number, call: Call | None = None) -> Sequence[Contact]:
        if not number.digits:
            return ()
        records = await self._search("contacts", _filters(number, self._search_fields), call)
        contacts = [_contact(record) for record in records]
        return tuple(contact for contact in contacts if self._has_number(contact, number))

    async def owner(self, contact: Contact, call: Call | None = None) -> Owner | None:
        if not contact.owner:
            return None
        path = f"crm/v3/owners/{path_segment(contact.owner)}"
        answer = await none_if_404(self._client.request("GET", path, call=call))
        if answer is None:
            return None
        fields = row(answer)
        name = " ".join(filter(None, (text_of(fields.get(k)) for k in ("firstName", "lastName"))))
        return Owner(id_of(fields), name, text_of(fields.get("email")), fields)

    async def _find_call(self, engagement: Engagement) -> str:
        key = {"propertyName": self._key_field, "operator": "EQ", "value": engagement.key}
        return await self._find_by_key("calls", key, engagement.contact)

    async def _create_call(self, engagement: Engagement) -> str:
        created = self._create("calls", self._call(engagement))
        return await none_if(409, created) or ""  # 409: the key exists, although the index lags

    async def _update_call(self, record: str, engagement: Engagement) -> object:
        path = f"crm/v3/objects/calls/{path_segment(record)}"
        body = {"properties": _outcome_fields(engagement)}
        return await self._client.request("PATCH", path, json=body, background=True)

    async def _find_task(self, task: Task) -> str:
        key = {"propertyName": "hs_task_subject", "operator": "CONTAINS_TOKEN", "value": task.key}
        return await self._find_by_key("tasks", key, task.contact)

    async def _create_task(self, task: Task) -> object:
        fields = {
            "hs_timestamp": task.due.isoformat(),
            "hs_task_subject": task.text,
            "hs_task_status": "NOT_STARTED",
            "hs_task_type": "CALL",
            "hubspot_owner_id": task.owner,
        }
        return await self._create("tasks", _record(fields, task.contact, self._task_association))

    async def _create(self, kind: str, body: Mapping[str, Any]) -> str:
        path = f"crm/v3/objects/{kind}"
        return id_of(row(await self._client.request("POST", path, json=body, background=True)))

    async def _find_by_key(self, kind: str, key: Mapping[str, str], contact: Contact | None) -> str:
        """Return the id of a record; empty if HubSpot finds none (yet), see rule 2."""
        if records := await self._search(kind, [[key]], background=True):
            return id_of(records[0])
        field = key["propertyName"]
        for record in await self._latest_of(contact, kind, field) if contact else ():
            fields = check_rows([record.get("properties")], f"one of the {kind} of HubSpot")[0]
            if key["value"] in text_of(fields.get(field)):
                return id_of(record)
        return ""

    async def _latest_of(
        self, contact: Contact, kind: str, field: str
    ) -> Sequence[Mapping[str, Any]]:
        """Return a contact's latest records of a kind with one field of each."""
        path = f"crm/v3/objects/contacts/{path_segment(contact.id)}/associations/{kind}"
        params: dict[str, str | int] = {"limit": _PAGE_SIZE}
        ids = set[str]()
        for _ in range(_MAX_PAGES):
            request = self._client.request("GET", path, params=params, background=True)
            if (answer := await none_if_404(request)) is None:
                break
            ids |= {id_of(one) for one in rows(answer, "results")}
            if not (after := text_at(answer, "paging", "next", "after")):
                break
            params["after"] = after
        if not ids:
            return ()
        latest = sorted(ids, key=lambda one: (len(one), one))[-_MAX_READ:]
        inputs = [{"id": one} for one in latest]
        body = {"inputs": inputs, "properties": [field], "propertiesWithHistory": []}
        url = f"crm/v3/objects/{kind}/batch/read"
        return rows(await self._client.request("POST", url, json=body, background=True), "results")

    async def _search(
        self,
        kind: str,
        groups: Sequence[Sequence[Mapping[str, str]]],
        call: Call | None = None,
        *,
        background: bool = False,
    ) -> Sequence[Mapping[str, Any]]:
        body = {
            "filterGroups": [{"filters": list(filters)} for filters in groups],
            "properties": self._fields if kind == "contacts" else [],
            "limit": MAX_CONTACTS,
            "after": "0",
            "sorts": [],
        }
        url = f"crm/v3/objects/{kind}/search"
        answer = await self._search_client.request(
            "POST", url, call=call, json=body, background=background
        )
        return rows(answer, "results")[:MAX_CONTACTS]  # each is compared while a caller waits

    def _has_number(self, contact: Contact, number: Number) -> bool:
        texts = [text for name in _PHONES if (text := text_of(contact.fields.get(name)))]
        return not texts or any(number.matches_field(text, self._region) for text in texts)

    def _call(self, engagement: Engagement) -> dict[str, Any]:
        fields = {
            "hs_timestamp": engagement.begun.isoformat(),
            "hs_call_direction": "INBOUND",
            "hs_call_status": "COMPLETED",
            "hs_call_title": f"Call to {engagement.ivr or 'the IVR'}",
            "hs_call_body": engagement.text,
            "hs_call_from_number": engagement.caller.e164 or engagement.caller.typed,
            "hs_call_to_number": engagement.ivr,
            "hubspot_owner_id": engagement.owner,
            self._key_field: engagement.key,
        }
        if engagement.end is not None:
            fields |= _outcome_fields(engagement)
        return _record(fields, engagement.contact, self._association)


def _outcome_fields(engagement: Engagement) -> dict[str, str]:
    """Return the properties that say how a call ended."""
    end = engagement.end or Outcome(False)
    fields = {
        "hs_call_status": "COMPLETED" if end.answered else "NO_ANSWER",
        "hs_call_duration": str(round(end.seconds * 1000)),
        "hs_call_body": engagement.text,
        "hs_call_recording_url": end.recording,
    }
    return {name: value for name, value in fields.items() if value}


def _record(fields: Mapping[str, str], contact: Contact | None, association: int) -> dict[str, Any]:
    kind = {"associationCategory": "HUBSPOT_DEFINED", "associationTypeId": association}
    to = [{"to": {"id": contact.id}, "types": [kind]}] if contact else []
    return {"properties": {k: v for k, v in fields.items() if v}, "associations": to}


def _filters(number: Number, searchable: Sequence[str]) -> list[list[dict[str, str]]]:
    """Return filters of which one must match."""
    wanted = [(name, number.significant or number.digits) for name in searchable]
    wanted += [(name, number.e164 or number.digits) for name in _PHONES]
    wanted.append(("phone", number.typed))
    pairs = [pair for pair in dict.fromkeys(wanted) if pair[1]][:_MAX_GROUPS]
    return [[{"propertyName": name, "operator": "EQ", "value": value}] for name, value in pairs]


def _contact(record: Mapping[str, Any]) -> Contact:
    fields = check_rows([record.get("properties")], "a contact of HubSpot")[0]
    name = " ".join(filter(None, (text_of(fields.get(part)) for part in _NAMES)))
    return Contact(id_of(record), name, text_of(fields.get("hubspot_owner_id")), fields)
