"""Connector for Odoo 19 or newer, by its External JSON-2 API (earlier versions have only RPC).

::

    Odoo("https://acme.odoo.com", token=…)
    Odoo("https://erp.example.com", token=…, database="acme", search={"phone": ["national"]})

Facts and their sources: [doc] Odoo's documentation, [3rd] a third party, [mem] general knowledge;
to be checked against your own Odoo.

- ``POST /json/2/{model}/{method}`` with named parameters; the answer is the method's result. The
  header is ``Authorization: bearer KEY``, with ``X-Odoo-Database`` if a server has several [doc].
  Keys expire after three months at most and require the plan "Custom" [doc].
- An error is 4xx or 5xx with ``name`` (the Python exception), ``message``, ``debug`` [doc]. Error
  texts contain the name only; the others repeat the request.
- ``phone_sanitized`` holds E.164; ``phone_mobile_search`` searches all numbers of a partner without
  regard to punctuation, from three digits on. Both need the module phone_validation [3rd]; without
  it use ``search=``. An unknown field is an error of Odoo (ValueError) [mem].
- ``user_id`` is ``[id, name]``, or false [mem].
- Odoo has no model for calls: a note with the key is posted on the partner [mem]. A call of an
  unknown caller is not logged. Each request is a separate transaction [doc]. The author of a note
  may change it (``mail.message``, ``write``) [mem].
- A task is an activity of the partner (``activity_schedule``, ``mail.activity``) [mem].
"""

from __future__ import annotations

import html
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Unpack

from handlers.crm.base import KeyedConnector
from handlers.crm.client import ClientOptions, Options, rows
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
from handlers.crm.credentials import https_url, reveal
from handlers.crm.outcomes import Task
from receiver import Call, DeclarationError, Secret
from receiver.upstream import Answer

MIN_DIGITS = 3
"""Shortest number that Odoo searches for [3rd]."""

_SEARCH = {"phone_sanitized": ("e164",), "phone_mobile_search": ("e164", "national")}


class Odoo(KeyedConnector):
    """A connector for Odoo, see `handlers.crm.contacts.Crm`.

    ::

        crm = Odoo("https://odoo.example.com", "$ODOO_TOKEN", search={"phone": ["e164"]})

    Parameters:
        url: base URL of Odoo; https, or on this machine.
        token: an API key, preferably of a separate user.
        database: name of the database, if the server has several.
        search: fields of a partner, and the forms of a number to search for in each: ``e164``,
            ``national``, ``significant``, ``digits``. They are compared for equality.
        fields: further fields of the partner to read.
        owner_fields: further fields of its salesperson (``res.users``) to read.
        options: see `handlers.crm.client.Options`.

    In a file::

        connector = "odoo"
        url = "https://odoo.example.com"
        token = "$ODOO_TOKEN"
        search = {phone = ["e164", "national"]}

    Raises:
        DeclarationError: an option is wrong.
    """

    defaults = ClientOptions(name="odoo")

    def __init__(
        self,
        url: str,
        token: str | Secret,
        *,
        database: str = "",
        search: Mapping[str, Collection[str]] = _SEARCH,
        fields: Collection[str] = (),
        owner_fields: Collection[str] = (),
        **options: Unpack[Options],
    ) -> None:
        super().__init__(options)
        if not isinstance(search, Mapping) or not search:
            raise DeclarationError(
                'Odoo: search= must be a table, as in {phone = ["e164", "national"]}'
            )
        self._search = {
            field: number_forms(forms, "Odoo: search=")
            for field, forms in zip(
                identifiers(search, "Odoo: a field of search="), search.values(), strict=True
            )
        }
        self._fields = ["name", "user_id", *identifiers(fields, "Odoo: one of fields=")]
        further = identifiers(owner_fields, "Odoo: one of owner_fields=")
        self._owner_fields = ["name", "email", *further]
        headers = {"X-Odoo-Database": reveal(database, "Odoo: database")} if database else None
        secret, header = reveal(token, "Odoo: token"), ("Authorization", "bearer ")
        url = https_url(url, "Odoo")
        self._api = self._connect(f"{url}/json/2", secret, header, headers=headers)

    async def find(self, number: Number, call: Call | None = None) -> Sequence[Contact]:
        if len(number.digits) < MIN_DIGITS:
            return ()
        conditions = [
            [field, "=", form]
            for field, forms in self._search.items()
            for form in number.search_keys(forms)
        ]
        domain = ["|"] * (len(conditions) - 1) + conditions  # prefix notation
        partners = await self._read("res.partner", domain, self._fields, MAX_CONTACTS, call)
        return unique(map(_contact, partners))

    async def owner(self, contact: Contact, call: Call | None = None) -> Owner | None:
        if not contact.owner:
            return None
        domain = [["id", "=", _number(contact.owner)]]
        for row in await self._read("res.users", domain, self._owner_fields, 1, call):
            return Owner(id_of(row), text_of(row.get("name")), text_of(row.get("email")), row)
        return None

    async def log(self, engagement: Engagement) -> str:
        return await super().log(engagement) if engagement.contact else ""

    async def complete(self, record: str, engagement: Engagement) -> None:
        record = record or await self._find_call(engagement)
        if record:  # else it was a call of an unknown caller, for a search does not lag
            await super().complete(record, engagement)

    async def add_task(self, task: Task) -> None:
        if task.contact:
            await super().add_task(task)

    async def _create_call(self, engagement: Engagement) -> str:
        note = {
            "ids": _ids(engagement.contact),
            "body": f"{engagement.text} ({engagement.key})",
            "message_type": "comment",
            "subtype_xmlid": "mail.mt_note",
        }
        made = (await self._post("res.partner/message_post", note)).json()
        return text_of(made[0] if isinstance(made, list) and made else made)  # an id, or in a list

    async def _update_call(self, record: str, engagement: Engagement) -> object:
        text = f"{html.escape(engagement.text)} ({engagement.key})"  # written as it is
        body = {"ids": [_number(record)], "vals": {"body": text}}
        return await self._post("mail.message/write", body)

    async def _create_task(self, task: Task) -> object:
        activity: dict[str, Any] = {
            "ids": _ids(task.contact),
            "act_type_xmlid": "mail.mail_activity_data_call",
            "summary": task.text,
            "date_deadline": task.due.date().isoformat(),
        }
        if task.owner:
            activity["user_id"] = _number(task.owner)
        return await self._post("res.partner/activity_schedule", activity)

    async def _find_call(self, engagement: Engagement) -> str:
        domain = [["model", "=", "res.partner"], ["body", "like", engagement.key]]
        return await self._find("mail.message", domain, engagement.contact)

    async def _find_task(self, task: Task) -> str:
        domain = [["res_model", "=", "res.partner"], ["summary", "like", task.key]]
        return await self._find("mail.activity", domain, task.contact)

    async def _find(self, model: str, domain: list[Any], contact: Contact | None) -> str:
        whose = [["res_id", "=", _number(contact.id)]] if contact else []
        records = await self._read(model, [*domain, *whose], ["id"], 1, background=True)
        return id_of(records[0]) if records else ""

    async def _post(self, path: str, body: Mapping[str, Any]) -> Answer:
        return await self._api.request("POST", path, json=body, background=True)

    async def _read(
        self,
        model: str,
        domain: list[Any],
        fields: list[str],
        limit: int,
        call: Call | None = None,
        *,
        background: bool = False,
    ) -> list[Mapping[str, Any]]:
        body = {"domain": domain, "fields": fields, "limit": limit}
        path = f"{model}/search_read"
        request = self._api.request("POST", path, call=call, background=background, json=body)
        return rows(await request)


def _ids(contact: Contact | None) -> list[int]:
    return [_number(contact.id)] if contact else []


def _number(text: str) -> int:
    """Return an Odoo id; 0, which no record has, for any other text."""
    return int(text) if text.isascii() and text.isdigit() else 0


def _contact(row: Mapping[str, Any]) -> Contact:
    user = row.get("user_id")
    owner = text_of(user[0]) if isinstance(user, list) and user else ""
    return Contact(id_of(row), text_of(row.get("name")), owner, row)
