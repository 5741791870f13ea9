"""HubSpot: contacts by their phone numbers, owners, calls.

Facts, with where they are from. HubSpot's documentation and interface descriptions: the search of
contacts and of calls (groups of filters are OR, at most five of them; ``after``, ``filterGroups``,
``limit``, ``properties`` and ``sorts`` are all sent, since it says of some that they are required);
owners; a call, whose ``hs_timestamp`` is required. From others, unverified, and therefore options:
`search_fields` hold the digits of the national number; `per_second` is what searches are limited
to; 194 is the association of a call with a contact; `key_field` is a text field of calls.

Rule 1: ``phone`` and ``mobilephone`` are free text, so numbers are sought as they are often written
        and in HubSpot's own searchable form; what was found is compared again.
Rule 2: one entry a call: the key is searched for before a call is written. HubSpot's index is
        behind by seconds. Whoever wants more makes a property of calls with unique values, and
        names it as ``key_field``: HubSpot then refuses a second one, which counts as logged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

from handlers.crm.api import (
    BEARER,
    MOST,
    Api,
    Fixed,
    OneByOne,
    found,
    id_of,
    listed,
    segment,
    told,
)
from handlers.crm.asking import row, text_of
from handlers.crm.contacts import Contact, Entry, Number, Owner
from handlers.crm.options import revealed
from handlers.crm.terms import Options, Terms
from receiver import Call, Secret
from receiver.upstream import UpstreamRefused

_NAMES = ("firstname", "lastname")
_PHONES = ("phone", "mobilephone")
_GROUPS = 5  # the most that HubSpot takes


class HubSpot:
    """A `handlers.crm.contacts.Crm`.

    Parameters:
        token: of a private app, or ``"$NAME"``; scopes ``crm.objects.contacts.read`` and ``write``,
            ``crm.objects.owners.read``.
        fields: further properties of contacts, for rules.
        region: how numbers without a country code are meant, see `receiver.Numbering`.
        url: where HubSpot is.
        per_second, others_per_second: searches, and other requests, that it allows.
        search_fields: properties of contacts with the digits of the national number.
        key_field: a property of calls for the key.
        association: the type of that of a call with a contact.
        options: see `handlers.crm.terms.Options`.

    In a file::

        connector = "hubspot"
        token = "$HUBSPOT_TOKEN"
        region = "DE"

    Raises:
        DeclarationError: an option is wrong.
    """

    defaults = Terms(name="hubspot", per_second=4.0)

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
        **options: Unpack[Options],
    ) -> None:
        terms = replace(self.defaults, **options)
        self.name = terms.name
        credentials = Fixed(revealed(token, "HubSpot: token"))
        self._searching, self._asking = (
            Api("HubSpot", url, BEARER, credentials, one, burst=int(one.per_second) or 1)
            for one in (terms, replace(terms, per_second=others_per_second))
        )
        self._one = OneByOne()
        self._region = region
        self._search_fields = tuple(search_fields)
        own = (*_NAMES, *_PHONES, "email", "lifecyclestage", "hubspot_owner_id")
        self._fields = list(dict.fromkeys((*own, *fields)))
        self._key_field = key_field
        self._association = association

    async def find(self, number: Number, call: Call | None = None) -> Sequence[Contact]:
        if not number.digits:
            return ()
        rows = await self._search("contacts", _filters(number, self._search_fields), call)
        contacts = [_contact(one) for one in rows]
        return tuple(one for one in contacts if self._is_of(one, number))

    async def owner(self, contact: Contact, call: Call | None = None) -> Owner | None:
        if not contact.owner:
            return None
        path = f"crm/v3/owners/{segment(contact.owner)}"
        fields = await found(self._asking.ask("GET", path, call=call))
        if fields is None:
            return None
        name = " ".join(filter(None, (text_of(fields.get(k)) for k in ("firstName", "lastName"))))
        return Owner(id_of(fields), name, text_of(fields.get("email")), fields)

    async def log(self, entry: Entry) -> None:
        known = [{"propertyName": self._key_field, "operator": "EQ", "value": entry.key}]
        async with self._one(entry.key):
            if await self._search("calls", [known], aside=True):
                return
            try:
                body = self._written(entry)
                await self._asking.ask("POST", "crm/v3/objects/calls", json=body, aside=True)
            except UpstreamRefused as error:
                if error.status != 409:  # it has one with this key, whatever its index said
                    raise

    async def _search(
        self,
        kind: str,
        groups: Sequence[Sequence[Mapping[str, str]]],
        call: Call | None = None,
        *,
        aside: bool = False,
    ) -> Sequence[Mapping[str, Any]]:
        body = {
            "filterGroups": [{"filters": list(filters)} for filters in groups],
            "properties": self._fields if kind == "contacts" else [self._key_field],
            "limit": MOST,
            "after": "0",
            "sorts": [],
        }
        url = f"crm/v3/objects/{kind}/search"
        answer = await self._searching.ask("POST", url, call=call, json=body, aside=aside)
        return listed(answer, "results")[:MOST]  # each is compared, while callers wait

    def _is_of(self, contact: Contact, number: Number) -> bool:
        there = [text for name in _PHONES if (text := text_of(contact.fields.get(name)))]
        return not there or any(number.is_written(text, self._region) for text in there)

    def _written(self, entry: Entry) -> dict[str, Any]:
        fields = {
            "hs_timestamp": entry.begun.isoformat(),
            "hs_call_direction": "INBOUND",
            "hs_call_status": "COMPLETED",
            "hs_call_title": f"Call to {entry.ivr or 'the IVR'}",
            "hs_call_body": told(entry),
            "hs_call_from_number": entry.caller.e164 or entry.caller.typed,
            "hs_call_to_number": entry.ivr,
            "hubspot_owner_id": entry.owner,
            self._key_field: entry.key,
        }
        kind = {
            "associationCategory": "HUBSPOT_DEFINED",
            "associationTypeId": self._association,
        }
        to = [{"to": {"id": entry.contact.id}, "types": [kind]}] if entry.contact else []
        return {"properties": {k: v for k, v in fields.items() if v}, "associations": to}


def _filters(number: Number, searchable: Sequence[str]) -> list[list[dict[str, str]]]:
    """Any of these."""
    sought = [(name, number.significant or number.digits) for name in searchable]
    sought += [(name, number.e164 or number.digits) for name in _PHONES]
    sought.append(("phone", number.typed))
    pairs = [pair for pair in dict.fromkeys(sought) if pair[1]][:_GROUPS]
    return [[{"propertyName": name, "operator": "EQ", "value": value}] for name, value in pairs]


def _contact(record: Mapping[str, Any]) -> Contact:
    fields = row(record.get("properties"), "a contact of HubSpot")
    name = " ".join(filter(None, (text_of(fields.get(part)) for part in _NAMES)))
    return Contact(id_of(record), name, text_of(fields.get("hubspot_owner_id")), fields)
