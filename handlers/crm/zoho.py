"""Zoho CRM, by its REST interface v8.

::

    Zoho(refresh_token=…, client_id=…, client_secret=…, domain="eu")
    Zoho(token="1000.…")                           # for a try: it lives an hour

What is known of it, and how: [spec] its published OpenAPI files, [doc] its documentation, [mem]
general knowledge, to be checked on your own CRM.

- ``GET /crm/v8/{module}/search?phone=`` looks through all fields of a record that hold numbers
  [doc]; how a number is written counts [mem], so it is asked for in several ``forms=`` at once, in
  each of the ``modules=``: four requests for a caller who is not in the cache.
- Nobody found is 204 with no body [mem]. A record has its ``Owner`` with id, name, email [mem].
- The header says ``Zoho-oauthtoken``, not ``Bearer`` [doc]. Each data centre has hosts of its own.
- A call: start and type are mandatory, for one that took place the duration too, as hh:mm [doc];
  whose call it is, is ``Who_Id`` for contacts, ``What_Id`` with ``$se_module`` for others [doc].
- No key of the caller's own. Give Calls a field "unique" and name it ``key_field=``: a second entry
  is then refused as ``DUPLICATE_DATA`` [doc]. Without it the subject is searched for, and the
  search may lag behind by some seconds [mem].
- Scopes: ZohoCRM.modules.READ, ZohoCRM.modules.calls.CREATE, ZohoCRM.users.READ.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Unpack

from handlers.crm.api import (
    MOST,
    Api,
    OneByOne,
    code,
    each_once,
    id_of,
    listed,
    segment,
    together,
    told,
)
from handlers.crm.asking import text_of
from handlers.crm.contacts import Contact, Entry, Number, Owner
from handlers.crm.options import forms_of, identifier, identifiers, written
from handlers.crm.terms import Options, Terms
from handlers.crm.tokens import credentials
from receiver import Call, DeclarationError, Secret, Unavailable
from receiver.upstream import Answer, UpstreamRefused

_DOMAINS = ("com", "eu", "in", "com.au", "jp", "com.cn", "sa", "ca")


class Zoho:
    """A connector; what it is for is told in `handlers.crm.contacts.Crm`.

    Parameters:
        token: an access token; or, for one that is renewed,
        refresh_token, client_id, client_secret: of a self client (api-console.zoho.com).
        domain: the data centre: ``"com"``, ``"eu"``, ``"in"``, ``"com.au"``, ``"jp"``, ``"ca"``, …
        modules: where callers are looked for, the best first.
        forms: how numbers are written in Zoho: ``e164``, ``national``, ``significant``, ``digits``.
        fields: those to be read; by default all.
        key_field: the API name of a unique text field of Calls.
        url, accounts: hosts other than those of the data centre.
        options: see `handlers.crm.terms.Options`.

    In a file::

        connector = "zoho"
        domain = "eu"
        refresh_token = "$ZOHO_REFRESH_TOKEN"
        client_id = "$ZOHO_CLIENT_ID"
        client_secret = "$ZOHO_CLIENT_SECRET"

    Raises:
        DeclarationError: an option is wrong, or credentials are missing.
    """

    defaults = Terms(name="zoho")

    def __init__(
        self,
        token: str | Secret = "",
        *,
        refresh_token: str | Secret = "",
        client_id: str | Secret = "",
        client_secret: str | Secret = "",
        domain: str = "com",
        modules: Collection[str] = ("Contacts", "Leads"),
        forms: Collection[str] = ("e164", "national"),
        fields: Collection[str] = (),
        key_field: str = "",
        url: str = "",
        accounts: str = "",
        **options: Unpack[Options],
    ) -> None:
        terms = replace(self.defaults, **options)
        self.name = terms.name
        if domain not in _DOMAINS:
            raise DeclarationError(f"Zoho: domain={domain!r} is none of {', '.join(_DOMAINS)}")
        by = credentials(
            "Zoho",
            token,
            f"{accounts or _accounts(domain)}/oauth/v2/token",
            "refresh_token",
            terms,
            refresh_token=refresh_token,
            client_id=client_id,
            client_secret=client_secret,
        )
        url = (url or f"https://www.zohoapis.{domain}") + "/crm/v8"
        self._api = Api("Zoho", url, ("Authorization", "Zoho-oauthtoken "), by, terms)
        self._modules = identifiers(modules, "Zoho: one of modules=")
        self._forms = forms_of(forms, "Zoho")
        own = identifiers(fields, "Zoho: one of fields=")
        self._fields = ",".join(dict.fromkeys(["Full_Name", "Owner", *own])) if own else ""
        self._key_field = key_field and identifier(key_field, "Zoho: key_field=")
        self._one = OneByOne()

    async def find(self, number: Number, call: Call | None = None) -> Sequence[Contact]:
        asked = [
            self._search(module, form, call)
            for module in self._modules
            for form in written(number, self._forms)
        ]
        return each_once(contact for found in await together(asked) for contact in found)

    async def owner(self, contact: Contact, call: Call | None = None) -> Owner | None:
        if not contact.owner:
            return None
        kept = contact.fields.get("Owner")
        if isinstance(kept, dict) and text_of(kept.get("email")):
            return _owner(kept)
        answer = await self._api.ask("GET", f"users/{segment(contact.owner)}", call=call)
        found = _rows(answer, "users")
        return _owner(found[0]) if found else None

    async def log(self, entry: Entry) -> None:
        async with self._one(entry.key):
            if not self._key_field and await self._is_logged(entry.key):
                return
            try:
                answer = await self._api.ask(
                    "POST", "Calls", json={"data": [self._row(entry)]}, aside=True
                )
                result = next(iter(listed(answer, "data")), {})
            except UpstreamRefused as error:
                if code(error) != "DUPLICATE_DATA":
                    raise
                return
            if result.get("status") != "success" and result.get("code") != "DUPLICATE_DATA":
                raise Unavailable(f"{answer.origin} did not take the entry of a call")

    async def _search(self, module: str, form: str, call: Call | None) -> list[Contact]:
        params: dict[str, str | int] = {"phone": form, "per_page": MOST}
        if self._fields:
            params["fields"] = self._fields
        answer = await self._api.ask("GET", f"{module}/search", call=call, params=params)
        return [_contact(module, row) for row in _rows(answer, "data")]

    async def _is_logged(self, key: str) -> bool:
        criteria = f"(Subject:starts_with:{_subject(key)})"
        answer = await self._api.ask(
            "GET", "Calls/search", params={"criteria": criteria}, aside=True
        )
        return bool(_rows(answer, "data"))

    def _row(self, entry: Entry) -> dict[str, Any]:
        hours, minutes = divmod(timedelta(seconds=entry.seconds) // timedelta(minutes=1), 60)
        row: dict[str, Any] = {
            "Subject": f"{_subject(entry.key)} to {entry.ivr}",
            "Call_Type": "Inbound",
            "Call_Start_Time": entry.begun.isoformat(timespec="seconds"),
            "Call_Duration": f"{hours:02}:{minutes:02}",
            "Description": told(entry),
        }
        if self._key_field:
            row[self._key_field] = entry.key
        if entry.owner:
            row["Owner"] = {"id": entry.owner}
        if entry.contact is not None:
            module, _, record = entry.contact.id.partition("/")
            if module == "Contacts":
                row["Who_Id"] = {"id": record}
            else:
                row |= {"What_Id": {"id": record}, "$se_module": module}
        return row


def _accounts(domain: str) -> str:
    return f"https://accounts.zoho{'cloud' if domain == 'ca' else ''}.{domain}"


def _rows(answer: Answer, key: str) -> list[Mapping[str, Any]]:
    return [] if answer.status == 204 else listed(answer, key)


def _subject(key: str) -> str:
    return f"Call {key}"


def _contact(module: str, row: Mapping[str, Any]) -> Contact:
    """Its id has the module, since a call is logged by it."""
    owner = row.get("Owner")
    name = text_of(row.get("Full_Name")) or text_of(row.get("Last_Name"))
    found = text_of(owner.get("id")) if isinstance(owner, dict) else ""
    return Contact(f"{module}/{id_of(row)}", name, found, row)


def _owner(row: Mapping[str, Any]) -> Owner:
    name = text_of(row.get("full_name")) or text_of(row.get("name"))
    return Owner(id_of(row), name, text_of(row.get("email")), row)
