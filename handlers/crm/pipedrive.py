"""Connector for Pipedrive, by its REST interface: v2 where it exists, v1 for users and call logs.

::

    Pipedrive(token=…)

Facts and their sources: [spec] Pipedrive's client for Node.js (MIT, 33.7.0), [doc] its
documentation, [3rd] a third party, [mem] general knowledge; to be checked against your own account.

- ``GET /api/v2/persons/search?fields=phone`` requires a term of two characters or more [spec].
  Without ``exact_match`` it finds numbers that contain the digits in any notation [3rd]. The term
  is the part that all forms of a number end with, and the results are compared with the number.
- A search costs 40 tokens of a daily budget, and there are limits per second; above them the answer
  is 429 with ``Retry-After`` [3rd]. A person found contains the owner's id only [spec].
- The header is ``x-api-token`` [spec]; ``bearer=True`` for an OAuth token.
- A call log creates an activity with its subject [spec]. Activities are listed by person and time
  [spec]; an engagement is found again by the key in the subject. A call log cannot be changed
  [spec], so the outcome of a call is written to its activity, by ``PATCH /api/v2/activities/{id}``
  [spec]. ``activity_id`` of a call log is the id of that activity [spec].
- A task is an activity of the type ``call`` that is not done [spec].
- A call log belongs to the token's user; only an administrator may log calls for others [spec], as
  with ``for_owner=True`` for the person's owner.
"""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Unpack

from handlers.crm.base import KeyedConnector
from handlers.crm.client import (
    BEARER,
    ClientOptions,
    Options,
    none_if_404,
    path_segment,
    row,
    rows,
    text_at,
)
from handlers.crm.contacts import (
    Contact,
    Engagement,
    Number,
    Outcome,
    Owner,
    id_of,
    text_of,
    unique,
)
from handlers.crm.credentials import reveal
from handlers.crm.outcomes import Task
from receiver import Call, Secret, Unavailable

MIN_TERM = 2
"""Shortest search term."""

_PAGE_SIZE = 100
_MAX_PAGES = 100
_CLOCK_SKEW = timedelta(minutes=5)  # Pipedrive's clock may be slow
_LONGEST_DELAY = timedelta(days=2)  # between the end of a call and the last try to create a task


class Pipedrive(KeyedConnector):
    """A connector for Pipedrive, see `handlers.crm.contacts.Crm`.

    ::

        crm = Pipedrive("$PIPEDRIVE_TOKEN")

    Parameters:
        token: a user's personal API token.
        bearer: whether the token is an OAuth token.
        for_owner: log calls for the person's owner instead of the token's user.
        url: base URL of Pipedrive.
        options: see `handlers.crm.client.Options`.

    In a file::

        connector = "pipedrive"
        token = "$PIPEDRIVE_TOKEN"

    Raises:
        DeclarationError: an option is wrong.
    """

    defaults = ClientOptions(name="pipedrive", per_second=5.0)

    def __init__(
        self,
        token: str | Secret,
        *,
        bearer: bool = False,
        for_owner: bool = False,
        url: str = "https://api.pipedrive.com",
        **options: Unpack[Options],
    ) -> None:
        super().__init__(options)
        secret, header = reveal(token, "Pipedrive: token"), ("x-api-token", "")
        self._api = self._connect(url, secret, BEARER if bearer else header)
        self._for_owner = for_owner

    async def find(self, number: Number, call: Call | None = None) -> Sequence[Contact]:
        term = number.significant or number.digits
        if len(term) < MIN_TERM:
            return ()
        params: dict[str, str | int] = {"term": term, "fields": "phone", "limit": _PAGE_SIZE}
        answer = await self._api.request("GET", "api/v2/persons/search", call=call, params=params)
        items = [item.get("item") for item in rows(answer, "data", "items")[:_PAGE_SIZE]]
        return unique(
            _contact(item) for item in items if isinstance(item, dict) and _has_number(item, number)
        )

    async def owner(self, contact: Contact, call: Call | None = None) -> Owner | None:
        if not contact.owner:
            return None
        path = f"v1/users/{path_segment(contact.owner)}"
        answer = await none_if_404(self._api.request("GET", path, call=call))
        if answer is None:
            return None
        user = row(answer, "data")
        return Owner(id_of(user), text_of(user.get("name")), text_of(user.get("email")), user)

    async def _find_call(self, engagement: Engagement) -> str:
        return await self._find_by_key(engagement.key, engagement.begun, engagement.contact)

    async def _create_call(self, engagement: Engagement) -> str:
        answer = await self._api.request(
            "POST", "v1/callLogs", json=self._row(engagement), background=True
        )
        return text_of(row(answer, "data").get("activity_id"))

    async def _update_call(self, record: str, engagement: Engagement) -> object:
        end = engagement.end or Outcome(False)
        hours, minutes = divmod(math.ceil(end.seconds / 60), 60)
        body = {
            "note": html.escape(engagement.text),
            "duration": f"{hours:02}:{minutes:02}",
            "done": True,
        }
        path = f"api/v2/activities/{path_segment(record)}"
        return await self._api.request("PATCH", path, json=body, background=True)

    async def _find_task(self, task: Task) -> str:
        return await self._find_by_key(task.key, task.due - _LONGEST_DELAY, task.contact)

    async def _create_task(self, task: Task) -> object:
        body: dict[str, Any] = {
            "subject": task.text,
            "type": "call",
            "due_date": task.due.astimezone(UTC).date().isoformat(),
            "done": False,
        }
        if task.contact is not None:
            body["participants"] = [{"person_id": int(task.contact.id), "primary": True}]
        if self._for_owner and task.owner:
            body["owner_id"] = int(task.owner)
        return await self._api.request("POST", "api/v2/activities", json=body, background=True)

    async def _find_by_key(self, key: str, begun: datetime, contact: Contact | None) -> str:
        """Return the id of the activity with ``key`` in its subject; empty without one."""
        since = (begun - _CLOCK_SKEW).astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        params: dict[str, str | int] = {"updated_since": since, "limit": _PAGE_SIZE}
        if contact is not None:
            params["person_id"] = contact.id
        for _ in range(_MAX_PAGES):
            answer = await self._api.request(
                "GET", "api/v2/activities", params=params, background=True
            )
            for one in rows(answer, "data"):
                if key in text_of(one.get("subject")):
                    return id_of(one)
            if not (cursor := text_at(answer, "additional_data", "next_cursor")):
                return ""
            params["cursor"] = cursor
        raise Unavailable(f"{answer.origin} has too many activities to search for one")

    def _row(self, engagement: Engagement) -> dict[str, Any]:
        end = engagement.end
        connected = end.answered if end else engagement.outcome == "forwarded"
        seconds = end.seconds if end else engagement.seconds
        row: dict[str, Any] = {
            "outcome": "connected" if connected else "no_answer",
            "to_phone_number": engagement.destination or engagement.ivr,
            "from_phone_number": engagement.caller.e164 or engagement.caller.typed,
            "start_time": _utc(engagement.begun),
            "end_time": _utc(engagement.begun + timedelta(seconds=seconds)),
            "duration": str(round(seconds)),
            "subject": f"Call to {engagement.ivr} ({engagement.key})",
            "note": html.escape(engagement.text),
        }
        if engagement.contact is not None:
            row["person_id"] = int(engagement.contact.id)
        if self._for_owner and engagement.owner:
            row["user_id"] = int(engagement.owner)
        return row


def _has_number(item: Mapping[str, Any], number: Number) -> bool:
    """Return whether one of the item's numbers equals ``number`` and does not only contain it."""
    phones = item.get("phones")
    return isinstance(phones, list) and any(_is_equal(number, text_of(phone)) for phone in phones)


def _is_equal(number: Number, phone: str) -> bool:
    other = Number.parse(phone)
    if other.e164 and number.e164:
        return other.e164 == number.e164
    if number.significant:
        return other.digits.endswith(number.significant)
    return other.digits == number.digits


def _contact(item: Mapping[str, Any]) -> Contact:
    owner = item.get("owner")
    owner_id = text_of(owner.get("id")) if isinstance(owner, dict) else ""
    return Contact(id_of(item), text_of(item.get("name")), owner_id, item)


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
