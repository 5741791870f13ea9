r"""Connector for Salesforce, by its REST interface: SOSL to find contacts, SOQL and sObjects else.

::

    Salesforce("https://acme.my.salesforce.com", client_id=…, client_secret=…)
    Salesforce("https://acme.my.salesforce.com", token=…, version="v64.0", objects=["Contact"])

Facts and their sources: [doc] Salesforce's documentation, [3rd] a third party, [mem] general
knowledge; to be checked against your own org.

- ``GET /services/data/vNN.0/search/?q=FIND {…} IN PHONE FIELDS RETURNING Contact(…)`` [doc]. The
  index holds numbers without punctuation [doc] and compares whole words, so one request searches
  for all forms of a number.
- ``? & | ! { } [ ] ( ) ^ ~ * : \ " ' + -`` are escaped with a backslash in SOSL [3rd], ``\`` and
  ``'`` in SOQL [doc]; a term has two characters or more [mem].
- A converted lead is still found, with its former owner, and no task may refer to it
  (CANNOT_UPDATE_CONVERTED_LEAD) [3rd]: only leads with ``IsConverted = false`` are searched.
- ``OwnerId`` is a user (``005…``) or a queue (``00G…``), which has no extension [mem].
- An error is ``[{"errorCode", "message"}]``: 401 INVALID_SESSION_ID, 403 REQUEST_LIMIT_EXCEEDED for
  the daily limit [mem]. An unknown version is 404; each is supported for three years or more [mem].
- A call is a Task of the subtype Call. ``CallObject`` is free text for a call centre and can be
  filtered by [doc]: it holds the key, and SOQL, which does not lag [mem], searches for it first.
  ``PATCH sobjects/Task/{id}`` adds the outcome [doc].
- A call to make is a Task with the status ``Not Started`` [mem].
- OAuth: the client credentials flow of a connected app [doc]. The answer does not contain the
  token's lifetime, which the org sets.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Unpack

from handlers.crm.base import KeyedConnector
from handlers.crm.client import ClientOptions, Options, none_if_404, path_segment, row, rows
from handlers.crm.contacts import (
    MAX_CONTACTS,
    Contact,
    Engagement,
    Number,
    Owner,
    id_of,
    identifiers,
    number_forms,
    text_of,
    unique,
)
from handlers.crm.credentials import https_url
from handlers.crm.outcomes import Task
from receiver import Call, DeclarationError, Secret

MIN_TERM = 2
"""Shortest search term."""

_RESERVED = re.compile(r"""([?&|!{}\[\]()^~*:\\"'+\-])""")


class Salesforce(KeyedConnector):
    """A connector for Salesforce, see `handlers.crm.contacts.Crm`.

    ::

        crm = Salesforce(
            "https://acme.my.salesforce.com",
            client_id="$SALESFORCE_ID",
            client_secret="$SALESFORCE_SECRET",
        )

    Parameters:
        url: base URL of your org, as in ``https://acme.my.salesforce.com``.
        token: an access token or session id; or, for one that is refreshed,
        client_id, client_secret: those of a connected app with the client credentials flow.
        version: version of the interface.
        objects: objects to search, the preferred first.
        forms: forms of a number to search for: ``e164``, ``national``, ``significant``, ``digits``.
        fields: further fields to read, which all ``objects`` have.
        owner_fields: further fields of a user to read.
        options: see `handlers.crm.client.Options`.

    In a file::

        connector = "salesforce"
        url = "https://acme.my.salesforce.com"
        client_id = "$SALESFORCE_ID"
        client_secret = "$SALESFORCE_SECRET"

    Raises:
        DeclarationError: an option is wrong, or credentials are missing.
    """

    defaults = ClientOptions(name="salesforce", per_second=20.0)

    def __init__(
        self,
        url: str,
        token: str | Secret = "",
        *,
        client_id: str | Secret = "",
        client_secret: str | Secret = "",
        version: str = "v60.0",
        objects: Collection[str] = ("Contact", "Lead"),
        forms: Collection[str] = ("digits", "national", "significant"),
        fields: Collection[str] = (),
        owner_fields: Collection[str] = (),
        **options: Unpack[Options],
    ) -> None:
        super().__init__(options)
        if not isinstance(version, str) or not re.fullmatch(r"v[1-9][0-9]{1,2}\.0", version):
            raise DeclarationError(f'Salesforce: version={version!r} must have the form "v60.0"')
        url = https_url(url, "Salesforce")
        source = self._token_source(
            token,
            f"{url}/services/oauth2/token",
            "client_credentials",
            client_id=client_id,
            client_secret=client_secret,
        )
        self._api = self._connect(f"{url}/services/data/{version}", source, burst=20)
        self._forms = number_forms(forms, "Salesforce")
        self._objects = identifiers(objects, "Salesforce: one of objects=")
        more = identifiers(fields, "Salesforce: one of fields=")
        columns = ", ".join(["Id", "Name", "OwnerId", *more])
        where = {"Lead": " WHERE IsConverted = false"}
        self._returning = ", ".join(
            f"{one}({columns}{where.get(one, '')})" for one in self._objects
        )
        of_owner = identifiers(owner_fields, "Salesforce: one of owner_fields=")
        self._owner_fields = ",".join(["Id", "Name", "Email", *of_owner])

    async def find(self, number: Number, call: Call | None = None) -> Sequence[Contact]:
        terms = [_term(form) for form in number.search_keys(self._forms) if len(form) >= MIN_TERM]
        if not terms:
            return ()
        query = f"FIND {{{' OR '.join(terms)}}} IN PHONE FIELDS RETURNING {self._returning}"
        params = {"q": f"{query} LIMIT {MAX_CONTACTS}"}
        answer = await self._api.request("GET", "search/", call=call, params=params)
        records = sorted(rows(answer, "searchRecords"), key=self._rank)
        return unique(map(_contact, records))

    async def owner(self, contact: Contact, call: Call | None = None) -> Owner | None:
        if not contact.owner:
            return None
        path, params = (
            f"sobjects/User/{path_segment(contact.owner)}",
            {"fields": self._owner_fields},
        )
        answer = await none_if_404(self._api.request("GET", path, call=call, params=params))
        if answer is None:
            return None
        user = row(answer)
        return Owner(id_of(user, "Id"), text_of(user.get("Name")), text_of(user.get("Email")), user)

    async def _find_call(self, engagement: Engagement) -> str:
        return await self._find_by_key(engagement.key)

    async def _create_call(self, engagement: Engagement) -> str:
        return await self._create(_task(engagement))

    async def _update_call(self, record: str, engagement: Engagement) -> object:
        path = f"sobjects/Task/{path_segment(record)}"
        body = _outcome_fields(engagement)
        return await self._api.request("PATCH", path, json=body, background=True)

    async def _find_task(self, task: Task) -> str:
        return await self._find_by_key(task.key)

    async def _create_task(self, task: Task) -> object:
        return await self._create(_follow_up(task))

    async def _create(self, task: Mapping[str, Any]) -> str:
        answer = await self._api.request("POST", "sobjects/Task", json=task, background=True)
        return id_of(row(answer))

    async def _find_by_key(self, key: str) -> str:
        where = f"CallObject = '{_quoted(key)}'"
        params = {"q": f"SELECT Id FROM Task WHERE {where} LIMIT 1"}  # noqa: S608 - quoted
        answer = await self._api.request("GET", "query/", params=params, background=True)
        tasks = rows(answer, "records")
        return id_of(tasks[0], "Id") if tasks else ""

    def _rank(self, row: Mapping[str, Any]) -> int:
        attributes = row.get("attributes")
        kind = attributes.get("type") if isinstance(attributes, dict) else None
        return self._objects.index(kind) if kind in self._objects else len(self._objects)


def _task(engagement: Engagement) -> dict[str, Any]:
    task: dict[str, Any] = {
        "Subject": f"Call to {engagement.ivr}",
        "Status": "Completed",
        "ActivityDate": engagement.begun.date().isoformat(),
        "TaskSubtype": "Call",
        "CallType": "Inbound",
        "CallObject": engagement.key,
        **_outcome_fields(engagement),
    }
    return task | _whose(engagement.contact, engagement.owner)


def _outcome_fields(engagement: Engagement) -> dict[str, Any]:
    """Return the fields that say how a call ended."""
    end = engagement.end
    answered = "answered" if end and end.answered else "not answered"
    return {
        "CallDurationInSeconds": round(end.seconds if end else engagement.seconds),
        "CallDisposition": answered if end else engagement.outcome,
        "Description": engagement.text,
    }


def _follow_up(task: Task) -> dict[str, Any]:
    fields = {
        "Subject": task.title,
        "Status": "Not Started",
        "ActivityDate": task.due.date().isoformat(),
        "TaskSubtype": "Call",
        "CallObject": task.key,
    }
    return fields | _whose(task.contact, task.owner)


def _whose(contact: Contact | None, owner: str) -> dict[str, str]:
    fields = {} if contact is None else {"WhoId": contact.id}
    return fields | ({"OwnerId": owner} if owner.startswith("005") else {})  # no queue owns a task


def _term(form: str) -> str:
    """Return ``form`` as a quoted phrase of SOSL, without operators."""
    return '"' + _RESERVED.sub(r"\\\1", form) + '"'


def _quoted(value: str) -> str:
    """Return ``value`` escaped for a quoted string of SOQL."""
    return value.replace("\\", "\\\\").replace("'", "\\'")


def _contact(row: Mapping[str, Any]) -> Contact:
    return Contact(id_of(row, "Id"), text_of(row.get("Name")), text_of(row.get("OwnerId")), row)
