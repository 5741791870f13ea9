"""Pipedrive, by its REST interface: v2 where there is one, v1 for users and call logs.

::

    Pipedrive(token=…)

What is known of it, and how: [spec] Pipedrive's own client for Node.js (MIT, 33.7.0), [doc] its
documentation, [3rd] a third party, [mem] general knowledge, to be checked on your own account.

- ``GET /api/v2/persons/search?fields=phone`` wants a term of two characters or more [spec]. Without
  ``exact_match`` it finds numbers that hold the digits, however they are written [3rd]; so it is
  asked for the digits that all forms of a number end with, and the persons are gone through here.
- It costs 40 tokens of a budget by the day, and there are limits by the second; over them it is 429
  with ``Retry-After`` [3rd]. A person found has its owner's id only [spec].
- The header is ``x-api-token`` [spec]; ``bearer=True`` for a token of OAuth.
- A call log makes an activity with its subject [spec]; activities are listed by person and since
  when [spec], which is how an entry is found again by the key in its subject.
- It belongs to the token's user: only an administrator may log calls for others [spec]. With
  ``for_owner=True`` it is logged for the person's owner.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, Unpack

from handlers.crm.api import (
    BEARER,
    Api,
    Fixed,
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
from handlers.crm.options import revealed
from handlers.crm.terms import Options, Terms
from receiver import Call, Secret, Unavailable

FEWEST = 2
"""Characters of a term."""

_PAGE = 100
_PAGES = 100
_SKEW = timedelta(minutes=5)  # by which its clock may be behind ours


class Pipedrive:
    """A connector; what it is for is told in `handlers.crm.contacts.Crm`.

    Parameters:
        token: a user's personal API token.
        bearer: the token is one of OAuth.
        for_owner: calls are logged for the person's owner, not for the token's user.
        url: where Pipedrive is.
        options: see `handlers.crm.terms.Options`.

    In a file::

        connector = "pipedrive"
        token = "$PIPEDRIVE_TOKEN"

    Raises:
        DeclarationError: an option is wrong.
    """

    defaults = Terms(name="pipedrive", per_second=5.0)

    def __init__(
        self,
        token: str | Secret,
        *,
        bearer: bool = False,
        for_owner: bool = False,
        url: str = "https://api.pipedrive.com",
        **options: Unpack[Options],
    ) -> None:
        terms = replace(self.defaults, **options)
        self.name = terms.name
        header = BEARER if bearer else ("x-api-token", "")
        credentials = Fixed(revealed(token, "Pipedrive: token"))
        self._api = Api("Pipedrive", url, header, credentials, terms)
        self._for_owner = for_owner
        self._one = OneByOne()

    async def find(self, number: Number, call: Call | None = None) -> Sequence[Contact]:
        term = number.significant or number.digits
        if len(term) < FEWEST:
            return ()
        params: dict[str, str | int] = {"term": term, "fields": "phone", "limit": _PAGE}
        answer = await self._api.ask("GET", "api/v2/persons/search", call=call, params=params)
        items = [item.get("item") for item in listed(answer, "data", "items")[:_PAGE]]
        return each_once(
            _contact(item) for item in items if isinstance(item, dict) and _has(item, number)
        )

    async def owner(self, contact: Contact, call: Call | None = None) -> Owner | None:
        if not contact.owner:
            return None
        path = f"v1/users/{segment(contact.owner)}"
        user = await found(self._api.ask("GET", path, call=call), "data")
        if user is None:
            return None
        return Owner(id_of(user), text_of(user.get("name")), text_of(user.get("email")), user)

    async def log(self, entry: Entry) -> None:
        async with self._one(entry.key):
            if not await self._is_logged(entry):
                await self._api.ask("POST", "v1/callLogs", json=self._row(entry), aside=True)

    async def _is_logged(self, entry: Entry) -> bool:
        since = (entry.begun - _SKEW).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        params: dict[str, str | int] = {"updated_since": since, "limit": _PAGE}
        if entry.contact is not None:
            params["person_id"] = entry.contact.id
        for _ in range(_PAGES):
            answer = await self._api.ask("GET", "api/v2/activities", params=params, aside=True)
            if any(entry.key in text_of(one.get("subject")) for one in listed(answer, "data")):
                return True
            further = answer.json().get("additional_data")
            cursor = text_of(further.get("next_cursor")) if isinstance(further, dict) else ""
            if not cursor:
                return False
            params["cursor"] = cursor
        raise Unavailable(f"{answer.origin} has too many activities to find one among them")

    def _row(self, entry: Entry) -> dict[str, Any]:
        row: dict[str, Any] = {
            "outcome": "connected" if entry.outcome == "forwarded" else "no_answer",
            "to_phone_number": entry.destination or entry.ivr,
            "from_phone_number": entry.caller.e164 or entry.caller.typed,
            "start_time": _utc(entry.begun),
            "end_time": _utc(entry.begun + timedelta(seconds=entry.seconds)),
            "duration": str(round(entry.seconds)),
            "subject": f"Call to {entry.ivr} ({entry.key})",
            "note": html.escape(told(entry)),
        }
        if entry.contact is not None:
            row["person_id"] = int(entry.contact.id)
        if self._for_owner and entry.owner:
            row["user_id"] = int(entry.owner)
        return row


def _has(item: Mapping[str, Any], number: Number) -> bool:
    """Whether one of its numbers is this one, and does not only contain it."""
    phones = item.get("phones")
    return isinstance(phones, list) and any(_is(number, text_of(phone)) for phone in phones)


def _is(number: Number, phone: str) -> bool:
    theirs = Number.parse(phone)
    if theirs.e164 and number.e164:
        return theirs.e164 == number.e164
    if number.significant:
        return theirs.digits.endswith(number.significant)
    return theirs.digits == number.digits


def _contact(item: Mapping[str, Any]) -> Contact:
    owner = item.get("owner")
    whose = text_of(owner.get("id")) if isinstance(owner, dict) else ""
    return Contact(id_of(item), text_of(item.get("name")), whose, item)


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
