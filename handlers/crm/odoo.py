"""Odoo 19 or newer, by its External JSON-2 API. (Before 19 there is only RPC, deprecated in 19.)

::

    Odoo("https://acme.odoo.com", token=…)
    Odoo("https://erp.example.com", token=…, database="acme", search={"phone": ["national"]})

What is known of it, and how: [doc] its documentation, [3rd] a third party, [mem] general knowledge,
to be checked on your own Odoo.

- ``POST /json/2/{model}/{method}`` with named parameters; the answer is what the method returns.
  The header is ``Authorization: bearer KEY``, with ``X-Odoo-Database`` where one server has several
  [doc]. Keys live three months at most and want a plan "Custom" [doc]: renew the key in time.
- An error is 4xx or 5xx with ``name`` (the Python exception), ``message``, ``debug`` [doc]. The
  name is told, nothing else: the others repeat what was sent.
- ``phone_sanitized`` holds E.164, and ``phone_mobile_search`` looks through all numbers of a
  partner whatever their punctuation, from three digits on; both come with the module
  phone_validation [3rd]. Without it see ``search=``; a field that there is not is an error of
  Odoo's (ValueError) [mem].
- ``user_id`` is ``[id, name]``, or false for nobody [mem].
- There is no model for calls: a note is posted on the partner [mem], and found again by the key in
  it. A caller who is no partner is logged nowhere. Each request is a transaction of its own [doc].
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Unpack

from handlers.crm.api import MOST, Api, Fixed, OneByOne, each_once, id_of, listed, told
from handlers.crm.asking import text_of
from handlers.crm.contacts import Contact, Entry, Number, Owner
from handlers.crm.options import forms_of, identifier, identifiers, revealed, written
from handlers.crm.terms import Options, Terms
from receiver import Call, DeclarationError, Secret

FEWEST = 3
"""Digits of a number that Odoo looks for [3rd]."""

_SEARCH = {"phone_sanitized": ("e164",), "phone_mobile_search": ("e164", "national")}


class Odoo:
    """A connector; what it is for is told in `handlers.crm.contacts.Crm`.

    Parameters:
        url: where Odoo is; https, or on this machine.
        token: an API key, best that of a user of its own.
        database: which one, if the server has several.
        search: fields of a partner, and the forms in which a number is looked for in each:
            ``e164``, ``national``, ``significant``, ``digits``. It is compared for equality.
        fields: further ones of the partner to be read.
        owner_fields: further ones of its salesperson (``res.users``).
        options: see `handlers.crm.terms.Options`.

    In a file::

        connector = "odoo"
        url = "https://odoo.example.com"
        token = "$ODOO_TOKEN"
        search = {phone = ["e164", "national"]}

    Raises:
        DeclarationError: an option is wrong.
    """

    defaults = Terms(name="odoo")

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
        terms = replace(self.defaults, **options)
        self.name = terms.name
        if not isinstance(search, Mapping) or not search:
            raise DeclarationError('Odoo: search= is a table, as in {phone = ["e164", "national"]}')
        self._search = {
            identifier(field, "Odoo: a field of search="): forms_of(forms, "Odoo: search=")
            for field, forms in search.items()
        }
        self._fields = ["name", "user_id", *identifiers(fields, "Odoo: one of fields=")]
        further = identifiers(owner_fields, "Odoo: one of owner_fields=")
        self._owner_fields = ["name", "email", *further]
        headers = {"X-Odoo-Database": revealed(database, "Odoo: database")} if database else None
        self._api = Api(
            "Odoo",
            f"{url}/json/2",
            ("Authorization", "bearer "),
            Fixed(revealed(token, "Odoo: token")),
            terms,
            headers=headers,
        )
        self._one = OneByOne()

    async def find(self, number: Number, call: Call | None = None) -> Sequence[Contact]:
        if len(number.digits) < FEWEST:
            return ()
        terms = [
            [field, "=", form]
            for field, forms in self._search.items()
            for form in written(number, forms)
        ]
        domain = ["|"] * (len(terms) - 1) + terms  # Odoo writes operators before their operands
        found = await self._read("res.partner", domain, self._fields, MOST, call)
        return each_once(_contact(row) for row in found)

    async def owner(self, contact: Contact, call: Call | None = None) -> Owner | None:
        if not contact.owner:
            return None
        domain = [["id", "=", _number(contact.owner)]]
        for row in await self._read("res.users", domain, self._owner_fields, 1, call):
            return Owner(id_of(row), text_of(row.get("name")), text_of(row.get("email")), row)
        return None

    async def log(self, entry: Entry) -> None:
        if entry.contact is None:
            return
        partner = _number(entry.contact.id)
        async with self._one(entry.key):
            domain = [
                ["model", "=", "res.partner"],
                ["res_id", "=", partner],
                ["body", "like", entry.key],
            ]
            if await self._read("mail.message", domain, ["id"], 1, aside=True):
                return
            note = {
                "ids": [partner],
                "body": f"{told(entry)} ({entry.key})",
                "message_type": "comment",
                "subtype_xmlid": "mail.mt_note",
            }
            await self._api.ask("POST", "res.partner/message_post", json=note, aside=True)

    async def _read(
        self,
        model: str,
        domain: list[Any],
        fields: list[str],
        limit: int,
        call: Call | None = None,
        *,
        aside: bool = False,
    ) -> list[Mapping[str, Any]]:
        body = {"domain": domain, "fields": fields, "limit": limit}
        path = f"{model}/search_read"
        return listed(await self._api.ask("POST", path, call=call, aside=aside, json=body))


def _number(text: str) -> int:
    """An id of Odoo's; 0, which nothing has, for what is none."""
    return int(text) if text.isascii() and text.isdigit() else 0


def _contact(row: Mapping[str, Any]) -> Contact:
    user = row.get("user_id")
    owner = text_of(user[0]) if isinstance(user, list) and user else ""
    return Contact(id_of(row), text_of(row.get("name")), owner, row)
