"""Who calls, as a CRM knows it: the caller goes to the owner of the contact, or by a rule.

::

    lookup = CallerLookup(
        HubSpot("$HUBSPOT_TOKEN"), owners={"ada@example.com": "201"}, unknown="8000", region="DE"
    )
    ivr.add("CALLER", "+49*********", lookup.ahead, name="ahead")
    ivr.add("DTMF", "1", lookup, name="my-contact")

Rule 1: whatever the CRM does, the caller gets an answer in time. If it is slow, down, throttles, or
        answers garbage, and nothing is remembered, they are unknown.
Rule 2: several contacts with one owner are one; with different ones the call goes to ``several``.
        Where a contact leads is in `handlers.crm.routes`.
Rule 3: a CRM is asked for a number, and for an owner, once in ``fresh`` seconds by each process;
        what it said is used for ``stale`` seconds, and renewed meanwhile. Nobody found is something
        it said. Extensions, and callers without a number, are not asked for.
Rule 4: a call that goes on or ends here is logged in the CRM, once (`handlers.crm.logbook`). One
        that is told to repeat is not: it has not come to anything yet.
Rule 5: no number, name or field of a contact is in any log.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from handlers.crm.contacts import Contact, Crm, Entry, Number, Owner
from handlers.crm.kinds import connect
from handlers.crm.logbook import Logbook, key_of
from handlers.crm.routes import Route, Routes, Who
from receiver import Call, DeclarationError, Forward, Numbering, Repeat, Reply, Then, Unavailable
from receiver.upstream import Lookup

Logged = Literal["known", "all", "never"]
"""Whose calls are logged: of those whom the CRM knows, of everybody, of nobody."""

LONGEST = 10.0
"""Seconds after which asking the CRM is given up, whoever waits."""

SELDOM = 60.0
"""Seconds until the log says the same again."""

_SAID_MOST = 100


class CallerLookup:
    """A handler that looks callers up in a CRM.

    Parameters:
        crm: a connector, such as `handlers.crm.hubspot.HubSpot`; or a table that describes one, see
            `handlers.crm.kinds`.
        found: where a contact leads if nothing else says where: a reply, a word for one, or a
            handler; or a function of ``(contact, owner, call)``, which comes before ``owners``. By
            default as ``unknown``.
        unknown: where callers lead whom the CRM does not know, or is not able to tell.
        owners: extensions, by the id or the e-mail address of an owner.
        owner_field: the field of an owner, or else of the contact, that holds the extension.
        rules: tables, see `handlers.crm.rules`; they come first.
        several: where a number of several contacts leads; by default as ``unknown``.
        region: how numbers are dialled where the PBX is, see `receiver.Numbering`.
        shortest: a caller with fewer digits is an extension.
        fresh, stale: seconds, see rule 3.
        remember: numbers, and owners, that each process remembers.
        log: whose calls are logged: ``"known"``, ``"all"`` or ``"never"``.
        now: tells the time, for tests.

    In a file::

        handler = "caller-lookup"
        crm = {connector = "hubspot", token = "$HUBSPOT_TOKEN"}
        rules = [{field = "lifecyclestage", equals = "opportunity", to = "222"}]
        owners = {"ada@example.com" = "201"}
        unknown = "8000"
        region = "DE"

    Raises:
        DeclarationError: an option is wrong.
    """

    def __init__(
        self,
        crm: Crm | Mapping[str, Any],
        *,
        found: Then | Route | None = None,
        unknown: Then = "repeat",
        owners: Mapping[str, Then] | None = None,
        owner_field: str = "",
        rules: Sequence[Mapping[str, Any]] = (),
        several: Then | None = None,
        region: str = "",
        shortest: int = 6,
        fresh: float = 300.0,
        stale: float = 86_400.0,
        remember: int = 10_000,
        log: Logged = "known",
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if log not in get_args(Logged):
            raise DeclarationError(f'CallerLookup: log={log!r} is not "known", "all" or "never"')
        Numbering(region)  # tells at once what is wrong with it
        self._crm = crm = connect(crm) if isinstance(crm, Mapping) else crm
        self._region, self._shortest, self._now = region, shortest, now
        self._routes = Routes(found, unknown, owners or {}, owner_field, rules, several)
        self.sensitive = self._routes.sensitive
        times = {"fresh": fresh, "stale": stale, "longest": LONGEST}
        self._contacts = Lookup(self._ask_contacts, **times, most=remember)
        self._owners = Lookup(self._ask_owner, **times, most=remember)
        self._said: dict[str, tuple[float, int]] = {}
        self._book = Logbook(crm, everybody=log == "all", region=region) if log != "never" else None

    @property
    def sole_names(self) -> Mapping[str, tuple[str, object]]:
        """What no other look-up of the app may mean by the name of its CRM, if calls are logged.

        `receiver check` asks it of those in a file.
        """
        return {} if self._book is None else {"crm": (self._crm.name, self._crm)}

    async def __call__(self, call: Call) -> Reply:
        begun, start = self._now(), time.monotonic()
        number = Number.parse(call.caller, self._region)
        who = await self._who(number, call)
        lead = await self._routes.lead(who, call)
        reply = await lead(call)
        if self._book is not None and number.digits and not isinstance(reply, Repeat):
            entry = Entry(
                key=key_of(call, begun),
                begun=begun,
                caller=number,
                ivr=call.ivr,
                contact=who.contact,
                owner=who.contact.owner if who.contact else "",
                outcome="forwarded" if isinstance(reply, Forward) else "hung up",
                destination=reply.destination if isinstance(reply, Forward) else "",
                seconds=round(time.monotonic() - start, 3),
            )
            await self._book.keep(call, entry, sought=who.sought)
        return reply

    async def ahead(self, call: Call) -> Reply:
        """A handler for CALLER: begins to ask, and has the prompt played meanwhile."""
        number = Number.parse(call.caller, self._region)
        if self._is_outside(number):
            self._contacts.ahead(number)
        return Repeat()

    async def _who(self, number: Number, call: Call) -> Who:
        if not self._is_outside(number):
            return Who()
        try:
            contacts = await self._contacts(number, call)
        except Exception as error:
            self._do_without(error)
            return Who(sought=False)
        best = contacts[0] if contacts else None
        several = len(contacts) > 1 and len({one.owner or one.id for one in contacts}) > 1
        if best is None or several or not self._routes.wants_owner(best):
            return Who(best, several=several)
        try:
            return Who(best, await self._owners(_Of(best), call))
        except Exception as error:
            self._do_without(error)
            return Who(best)

    def _is_outside(self, number: Number) -> bool:
        return bool(number.e164) or len(number.digits) >= max(self._shortest, 1)

    def _do_without(self, error: Exception) -> None:
        """Say so, the same no more than once in `SELDOM` seconds: all callers may have it."""
        text = str(error) if isinstance(error, Unavailable) else type(error).__name__
        last, more = self._said.pop(text, (-math.inf, 0))
        if time.monotonic() - last < SELDOM:
            self._said[text] = last, more + 1
            return
        self._said[text] = time.monotonic(), 0
        if len(self._said) > _SAID_MOST:
            del self._said[next(iter(self._said))]
        times = f" (and {more} times since that was said last)" if more else ""
        _log.warning("CallerLookup goes on without the CRM %s: %s%s", self._crm.name, text, times)

    async def _ask_contacts(self, number: Number) -> tuple[Contact, ...]:
        contacts = tuple(await self._crm.find(number))
        if contacts and self._routes.wants_owner(contacts[0]):
            self._owners.ahead(_Of(contacts[0]))  # it is asked for next
        return contacts

    async def _ask_owner(self, of: _Of) -> Owner | None:
        return await self._crm.owner(of.contact)


_log = logging.getLogger("receiver.handlers")


class _Of:
    """The owner of a contact, as a key: the same for all contacts of one owner."""

    def __init__(self, contact: Contact) -> None:
        self.contact = contact

    def __hash__(self) -> int:
        return hash(self.contact.owner)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Of) and other.contact.owner == self.contact.owner
