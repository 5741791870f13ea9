r"""Salesforce, by its REST interface: SOSL to find, SOQL and sObjects for the rest.

::

    Salesforce("https://acme.my.salesforce.com", client_id=…, client_secret=…)
    Salesforce("https://acme.my.salesforce.com", token=…, version="v64.0", objects=["Contact"])

What is known of it, and how: [doc] its documentation, [3rd] a third party, [mem] general knowledge,
to be checked on your own org.

- ``GET /services/data/vNN.0/search/?q=FIND {…} IN PHONE FIELDS RETURNING Contact(…)`` [doc]. The
  index knows numbers without their punctuation [doc], and words are compared whole; so each form of
  a number is one of the alternatives, in one request.
- ``? & | ! { } [ ] ( ) ^ ~ * : \ " ' + -`` are escaped with a backslash in SOSL [3rd], ``\`` and
  ``'`` in SOQL [doc]; a term has two characters or more [mem].
- ``OwnerId`` is a user (``005…``), or a queue (``00G…``), who is nobody to be put through to [mem].
- An error is ``[{"errorCode", "message"}]``: 401 INVALID_SESSION_ID, 403 REQUEST_LIMIT_EXCEEDED for
  the limit of the day [mem]. A version that there is not is 404; each is kept for three years or
  more [mem].
- A call is a Task of the subtype Call. ``CallObject`` is free text for a call centre, and can be
  filtered by [doc]: it holds the key, which is looked for by SOQL first; that does not lag [mem].
- OAuth: the client credentials flow of a connected app [doc]; it does not say how long a token
  lives, which is up to the org.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

from handlers.crm.api import (
    BEARER,
    MOST,
    Api,
    OneByOne,
    each_once,
    found,
    id_of,
    listed,
    segment,
    told,
)
from handlers.crm.asking import text_of
from handlers.crm.contacts import Contact, Entry, Number, Owner
from handlers.crm.options import forms_of, identifiers, written
from handlers.crm.terms import Options, Terms
from handlers.crm.tokens import credentials
from receiver import Call, DeclarationError, Secret

FEWEST = 2
"""Characters of a term."""

_RESERVED = re.compile(r"""([?&|!{}\[\]()^~*:\\"'+\-])""")


class Salesforce:
    """A connector; what it is for is told in `handlers.crm.contacts.Crm`.

    Parameters:
        url: of your org, as in ``https://acme.my.salesforce.com``.
        token: an access token or session id; or, for one that is renewed,
        client_id, client_secret: of a connected app with the client credentials flow.
        version: of the interface.
        objects: where callers are looked for, the best first.
        forms: how a number is looked for: ``e164``, ``national``, ``significant``, ``digits``.
        fields: further ones to be read, which all ``objects`` have.
        owner_fields: further ones of a user.
        options: see `handlers.crm.terms.Options`.

    In a file::

        connector = "salesforce"
        url = "https://acme.my.salesforce.com"
        client_id = "$SALESFORCE_ID"
        client_secret = "$SALESFORCE_SECRET"

    Raises:
        DeclarationError: an option is wrong, or credentials are missing.
    """

    defaults = Terms(name="salesforce", per_second=20.0)

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
        terms = replace(self.defaults, **options)
        self.name = terms.name
        if not isinstance(version, str) or not re.fullmatch(r"v[1-9][0-9]{1,2}\.0", version):
            raise DeclarationError(f'Salesforce: version={version!r} is not of the form "v60.0"')
        by = credentials(
            "Salesforce",
            token,
            f"{url}/services/oauth2/token",
            "client_credentials",
            terms,
            client_id=client_id,
            client_secret=client_secret,
        )
        base = f"{url}/services/data/{version}"
        self._api = Api("Salesforce", base, BEARER, by, terms, burst=20)
        self._forms = forms_of(forms, "Salesforce")
        self._objects = identifiers(objects, "Salesforce: one of objects=")
        further = identifiers(fields, "Salesforce: one of fields=")
        columns = ", ".join(["Id", "Name", "OwnerId", *further])
        self._returning = ", ".join(f"{one}({columns})" for one in self._objects)
        of_owner = identifiers(owner_fields, "Salesforce: one of owner_fields=")
        self._owner_fields = ",".join(["Id", "Name", "Email", *of_owner])
        self._one = OneByOne()

    async def find(self, number: Number, call: Call | None = None) -> Sequence[Contact]:
        terms = [_term(form) for form in written(number, self._forms) if len(form) >= FEWEST]
        if not terms:
            return ()
        query = f"FIND {{{' OR '.join(terms)}}} IN PHONE FIELDS RETURNING {self._returning}"
        params = {"q": f"{query} LIMIT {MOST}"}
        answer = await self._api.ask("GET", "search/", call=call, params=params)
        rows = sorted(listed(answer, "searchRecords"), key=self._rank)
        return each_once(map(_contact, rows))

    async def owner(self, contact: Contact, call: Call | None = None) -> Owner | None:
        if not contact.owner:
            return None
        path, params = f"sobjects/User/{segment(contact.owner)}", {"fields": self._owner_fields}
        user = await found(self._api.ask("GET", path, call=call, params=params))
        if user is None:
            return None
        return Owner(id_of(user, "Id"), text_of(user.get("Name")), text_of(user.get("Email")), user)

    async def log(self, entry: Entry) -> None:
        async with self._one(entry.key):
            where = f"CallObject = '{_quoted(entry.key)}'"
            params = {"q": f"SELECT Id FROM Task WHERE {where} LIMIT 1"}  # noqa: S608 - quoted
            answer = await self._api.ask("GET", "query/", params=params, aside=True)
            if not listed(answer, "records"):
                await self._api.ask("POST", "sobjects/Task", json=_task(entry), aside=True)

    def _rank(self, row: Mapping[str, Any]) -> int:
        attributes = row.get("attributes")
        kind = attributes.get("type") if isinstance(attributes, dict) else None
        return self._objects.index(kind) if kind in self._objects else len(self._objects)


def _task(entry: Entry) -> dict[str, Any]:
    task: dict[str, Any] = {
        "Subject": f"Call to {entry.ivr}",
        "Status": "Completed",
        "ActivityDate": entry.begun.date().isoformat(),
        "TaskSubtype": "Call",
        "CallType": "Inbound",
        "CallDurationInSeconds": round(entry.seconds),
        "CallDisposition": entry.outcome,
        "CallObject": entry.key,
        "Description": told(entry),
    }
    if entry.contact is not None:
        task["WhoId"] = entry.contact.id
    if entry.owner.startswith("005"):  # a task cannot be a queue's
        task["OwnerId"] = entry.owner
    return task


def _term(form: str) -> str:
    """As a phrase of SOSL: what stands in it is searched for and is no operator."""
    return '"' + _RESERVED.sub(r"\\\1", form) + '"'


def _quoted(value: str) -> str:
    """As stands between the quotes of SOQL."""
    return value.replace("\\", "\\\\").replace("'", "\\'")


def _contact(row: Mapping[str, Any]) -> Contact:
    return Contact(id_of(row, "Id"), text_of(row.get("Name")), text_of(row.get("OwnerId")), row)
