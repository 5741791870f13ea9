"""Connector for Zoho CRM, by its REST interface v8.

::

    Zoho(refresh_token=…, client_id=…, client_secret=…, domain="eu")
    Zoho(token="1000.…")                           # for a trial: valid for an hour

Facts and their sources: [spec] Zoho's published OpenAPI files, [doc] its documentation, [mem]
general knowledge; check it against your own CRM.

- ``GET /crm/v8/{module}/search?phone=`` searches all fields of a record that hold numbers [doc].
  The notation of a number matters [mem], so several ``forms=`` are searched for at once in each of
  the ``modules=``: four requests for a caller who is not in the cache. A search may find texts
  that only contain what was searched for [doc, of criteria], so whole records are compared again.
- No contact found is 204 with no body [mem]. A record has ``Owner`` with id, name, email [mem].
- The header is ``Zoho-oauthtoken``, not ``Bearer`` [doc]. Each data centre has separate hosts.
- A call requires start and type, and a completed one the duration, as hh:mm [doc]. Its contact is
  ``Who_Id``; a record of another module is ``What_Id`` with ``$se_module`` [doc].
- Zoho takes no key from the client. Give Calls a unique field and name it in ``key_field=``: a
  second call with its key is then refused with ``DUPLICATE_DATA`` [doc]. Without it the subject is
  searched for; since the index may lag by some seconds [mem], the latest 200 records are read, too,
  by ``GET /crm/v8/{module}?sort_by=Created_Time`` [doc], which does not lag [mem].
- ``PUT /crm/v8/Calls/{id}`` with the changed fields adds the outcome [spec]. Changing the type is
  INVALID_DATA [doc]: if ``Missed`` is refused, the outcome is sent without it.
- ``POST /crm/v8/Tasks`` creates a task [spec].
- Scopes: see the guide; each search requires ZohoSearch.securesearch.READ [doc].
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any, Unpack

from handlers.crm.base import KeyedConnector
from handlers.crm.client import ClientOptions, Options, path_segment, rows
from handlers.crm.contacts import (
    MAX_CONTACTS,
    Contact,
    Engagement,
    Number,
    Outcome,
    Owner,
    id_of,
    identifiers,
    number_forms,
    text_of,
    unique,
)
from handlers.crm.credentials import code, https_url
from handlers.crm.outcomes import Task
from receiver import Call, DeclarationError, Secret
from receiver.upstream import Answer, UpstreamRefused

_DOMAINS = ("com", "eu", "in", "com.au", "jp", "com.cn", "sa", "ca")

_PHONES = ("Phone", "Mobile", "Home_Phone", "Other_Phone", "Asst_Phone", "Fax")
_MIN_DIGITS = 6  # a text with fewer is no complete phone number

_PAGE_SIZE = 200
"""Records that are read after the search: the longest page of Zoho."""


class Zoho(KeyedConnector):
    """A connector for Zoho CRM, see `handlers.crm.contacts.Crm`.

    ::

        crm = Zoho(
            domain="eu",
            refresh_token="$ZOHO_REFRESH_TOKEN",
            client_id="$ZOHO_CLIENT_ID",
            client_secret="$ZOHO_CLIENT_SECRET",
        )

    Parameters:
        token: an access token; or, for one that is refreshed,
        refresh_token, client_id, client_secret: of a self client (api-console.zoho.com).
        domain: the data centre: ``"com"``, ``"eu"``, ``"in"``, ``"com.au"``, ``"jp"``, ``"ca"``, …
        modules: modules to search, the preferred first.
        forms: forms of numbers in Zoho: ``e164``, ``national``, ``significant``, ``digits``.
        fields: fields to read; all by default.
        key_field: API name of a unique text field of Calls.
        url, accounts: base URLs, if they differ from the data centre's.
        options: see `handlers.crm.client.Options`.

    In a file::

        connector = "zoho"
        domain = "eu"
        refresh_token = "$ZOHO_REFRESH_TOKEN"
        client_id = "$ZOHO_CLIENT_ID"
        client_secret = "$ZOHO_CLIENT_SECRET"

    Raises:
        DeclarationError: an option is wrong, or credentials are missing.
    """

    defaults = ClientOptions(name="zoho")

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
        super().__init__(options)
        if domain not in _DOMAINS:
            raise DeclarationError(
                f"Zoho: domain={domain!r} is not one of {', '.join(_DOMAINS)}; another data centre "
                "is set by url= and accounts="
            )
        url = https_url(url or f"https://www.zohoapis.{domain}", "Zoho")
        accounts = (accounts or _accounts_url(domain)).rstrip("/")
        source = self._token_source(
            token,
            f"{accounts}/oauth/v2/token",
            "refresh_token",
            refresh_token=refresh_token,
            client_id=client_id,
            client_secret=client_secret,
        )
        self._api = self._connect(f"{url}/crm/v8", source, ("Authorization", "Zoho-oauthtoken "))
        self._modules = identifiers(modules, "Zoho: one of modules=")
        self._forms = number_forms(forms, "Zoho")
        own = identifiers(fields, "Zoho: one of fields=")
        self._fields = ",".join(dict.fromkeys(["Full_Name", "Owner", *own])) if own else ""
        self._key_field = key_field and identifiers([key_field], "Zoho: key_field=")[0]

    async def find(self, number: Number, call: Call | None = None) -> Sequence[Contact]:
        searches = [
            self._search(module, form, call)
            for module in self._modules
            for form in number.search_keys(self._forms)
        ]
        results = await asyncio.gather(*searches, return_exceptions=True)
        searched = []
        for result in results:
            if isinstance(result, BaseException):
                raise result
            searched += result
        partial = self._fields  # the number may be in a field that is not read
        return unique(one for one in searched if partial or _may_match(one.fields, number))

    async def owner(self, contact: Contact, call: Call | None = None) -> Owner | None:
        if not contact.owner:
            return None
        in_record = contact.fields.get("Owner")
        if isinstance(in_record, dict) and text_of(in_record.get("email")):
            return _owner(in_record)
        answer = await self._api.request("GET", f"users/{path_segment(contact.owner)}", call=call)
        users = _rows(answer, "users")
        return _owner(users[0]) if users else None

    async def log(self, engagement: Engagement) -> str:
        if self._key_field:  # Zoho refuses a second record
            return await self._create_call(engagement)
        return await super().log(engagement)

    async def _find_call(self, engagement: Engagement) -> str:
        return await self._find("Calls", engagement.key)

    async def _create_call(self, engagement: Engagement) -> str:
        return await self._send("POST", "Calls", self._row(engagement))

    async def _update_call(self, record: str, engagement: Engagement) -> object:
        end, path = engagement.end or Outcome(False), f"Calls/{path_segment(record)}"
        row = {"Call_Duration": _duration(end.seconds), "Description": engagement.text}
        if not end.answered:
            try:
                return await self._send("PUT", path, {"Call_Type": "Missed", **row})
            except UpstreamRefused as error:
                if code(error) != "INVALID_DATA":
                    raise
        return await self._send("PUT", path, row)

    async def _find_task(self, task: Task) -> str:
        return await self._find("Tasks", task.key)

    async def _create_task(self, task: Task) -> object:
        row = {
            "Subject": f"{_subject(task.key)}: {task.title}",
            "Due_Date": task.due.date().isoformat(),
            "Status": "Not Started",
        }
        return await self._send("POST", "Tasks", row | _whose(task.contact, task.owner))

    async def _send(self, method: str, path: str, row: Mapping[str, Any]) -> str:
        """Create or update one record and return its id; empty for a duplicate."""
        try:
            answer = await self._api.request(method, path, json={"data": [row]}, background=True)
            result = next(iter(rows(answer, "data")), {})
        except UpstreamRefused as error:
            if code(error) != "DUPLICATE_DATA":
                raise
            return ""
        if result.get("status") != "success" and result.get("code") != "DUPLICATE_DATA":
            text = f"{answer.origin} did not accept the record"
            raise UpstreamRefused(text, status=answer.status, body=answer.body)
        details = result.get("details")
        return text_of(details.get("id")) if isinstance(details, dict) else ""

    async def _search(self, module: str, form: str, call: Call | None) -> list[Contact]:
        params: dict[str, str | int] = {"phone": form, "per_page": MAX_CONTACTS}
        if self._fields:
            params["fields"] = self._fields
        answer = await self._api.request("GET", f"{module}/search", call=call, params=params)
        return [_contact(module, row) for row in _rows(answer, "data")]

    async def _find(self, module: str, key: str) -> str:
        """Return the id of the record whose subject starts with ``key``; empty without one.

        The latest records are read, too: the index of the search lags.
        """
        subject = _subject(key)
        by_subject = {"criteria": f"(Subject:starts_with:{subject})"}
        latest = {"fields": "Subject", "sort_by": "Created_Time", "sort_order": "desc"}
        for path, params in (
            (f"{module}/search", by_subject),
            (module, latest | {"per_page": _PAGE_SIZE}),
        ):
            answer = await self._api.request("GET", path, params=params, background=True)
            for record in _rows(answer, "data"):
                if text_of(record.get("Subject")).startswith(subject):
                    return id_of(record)
        return ""

    def _row(self, engagement: Engagement) -> dict[str, Any]:
        end = engagement.end
        row: dict[str, Any] = {
            "Subject": f"{_subject(engagement.key)} to {engagement.ivr}",
            "Call_Type": "Inbound" if end is None or end.answered else "Missed",
            "Call_Start_Time": engagement.begun.isoformat(timespec="seconds"),
            "Call_Duration": _duration(end.seconds if end else engagement.seconds),
            "Description": engagement.text,
        }
        if self._key_field:
            row[self._key_field] = engagement.key
        return row | _whose(engagement.contact, engagement.owner)


def _may_match(fields: Mapping[str, Any], number: Number) -> bool:
    """Return whether a complete record may have ``number``: False only if its numbers differ."""
    size = min(len(number.digits), _MIN_DIGITS)
    phones = (text_of(fields.get(name)) for name in _PHONES)
    if not any(sum(map(str.isdecimal, text)) >= size for text in phones):
        return True
    return any(number.matches_field(text_of(value)) for value in fields.values())  # custom ones too


def _whose(contact: Contact | None, owner: str) -> dict[str, Any]:
    """Return the fields for the owner and the contact of a record."""
    row: dict[str, Any] = {"Owner": {"id": owner}} if owner else {}
    if contact is None:
        return row
    module, _, record = contact.id.partition("/")
    if module == "Contacts":
        return row | {"Who_Id": {"id": record}}
    return row | {"What_Id": {"id": record}, "$se_module": module}


def _duration(seconds: float) -> str:
    hours, minutes = divmod(timedelta(seconds=seconds) // timedelta(minutes=1), 60)
    return f"{hours:02}:{minutes:02}"


def _accounts_url(domain: str) -> str:
    return f"https://accounts.zoho{'cloud' if domain == 'ca' else ''}.{domain}"


def _rows(answer: Answer, key: str) -> list[Mapping[str, Any]]:
    return [] if answer.status == 204 else rows(answer, key)


def _subject(key: str) -> str:
    return f"Call {key}"


def _contact(module: str, row: Mapping[str, Any]) -> Contact:
    """The id includes the module, which the logging of a call needs."""
    owner = row.get("Owner")
    name = text_of(row.get("Full_Name")) or text_of(row.get("Last_Name"))
    owner_id = text_of(owner.get("id")) if isinstance(owner, dict) else ""
    return Contact(f"{module}/{id_of(row)}", name, owner_id, row)


def _owner(row: Mapping[str, Any]) -> Owner:
    name = text_of(row.get("full_name")) or text_of(row.get("name"))
    return Owner(id_of(row), name, text_of(row.get("email")), row)
