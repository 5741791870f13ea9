"""Handler that looks up the caller in a CRM and forwards to the contact's owner, or by rules.

::

    lookup = CallerLookup(
        HubSpot("$HUBSPOT_TOKEN"), owners={"ada@example.com": "201"}, unknown="8000", region="DE"
    )
    ivr.add("CALLER", "+49*********", lookup.ahead, name="ahead")
    ivr.add("DTMF", "1", lookup, name="my-contact")
    events.add("call_ended", lookup.complete)  # optional

Rule 1: The caller gets an answer in time. If the CRM is slow, down, throttled or sends garbage, and
        the cache has no answer, the caller is unknown. A third of the call's time is kept for the
        route, which may be a handler that sends requests, too.
Rule 2: Several contacts with one owner count as one; with different owners the call goes to
        ``several``. `handlers.crm.routes` decides where a contact's call goes.
Rule 3: Each process requests a number, and an owner, once in ``fresh`` seconds. The answer, also
        that no contact exists, is used for ``stale`` seconds and refreshed meanwhile. Extensions
        and anonymous callers are not looked up.
Rule 4: A call that is forwarded or hung up is logged once (`handlers.crm.engagements`). A repeated
        one is not: its outcome is still open. `CallerLookup.complete` adds how the call ended.
Rule 5: No log contains a number, a name or a field of a contact.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar, get_args

from handlers.crm.connectors import connect
from handlers.crm.contacts import Contact, Crm, Engagement, Number, Owner
from handlers.crm.engagements import EngagementLog, key_of
from handlers.crm.error_log import ErrorLog
from handlers.crm.routes import Caller, Route, Routes
from receiver import (
    Call,
    CallEvent,
    DeclarationError,
    Forward,
    PhoneNumbers,
    Repeat,
    Reply,
    Then,
    Unavailable,
)
from receiver.upstream import Lookup

T = TypeVar("T")

Logged = Literal["known", "all", "never"]
"""The calls that are logged: of known callers, of all callers, none."""

TIMEOUT = 10.0
"""Seconds after which a search of the CRM is cancelled."""

SHARE = 2 / 3
"""Share of a call's remaining time that a caller waits for the CRM."""


class CallerLookup:
    """A handler that looks callers up in a CRM.

    ::

        lookup = CallerLookup(
            HubSpot("$HUBSPOT_TOKEN"), owners={"ada@example.com": "201"}, unknown="0", region="DE"
        )
        ivr.add("CALLER", "any", lookup.ahead, name="ahead")  # starts the request
        ivr.add("DTMF", "1", lookup, name="my-contact")  # connects to the contact's owner
        events.add("call_ended", lookup.complete)  # adds outcome and duration to the logged call

    Parameters:
        crm: a connector, such as `handlers.crm.hubspot.HubSpot`; or a table that describes one, see
            `handlers.crm.connectors`.
        found: route of a contact without a more specific one: a reply, the name of one, or a
            handler; or a function of ``(contact, owner, call)``, which precedes ``owners``. The
            default is ``unknown``.
        unknown: route of callers whom the CRM does not know, or of all while it is unavailable.
        owners: routes by the id or the e-mail address of an owner.
        owner_field: field of the owner, or else of the contact, with the owner's extension.
        rules: tables, see `handlers.crm.rules`; they take precedence.
        several: route of a number of several contacts; the default is ``unknown``.
        region: region in which the PBX dials, see `receiver.PhoneNumbers`.
        shortest: a caller with fewer digits is an extension.
        fresh, stale: seconds until a result is requested again, and until it is not used any more.
        remember: size of the cache of numbers, and of owners, in each process.
        log: which calls to log: ``"known"``, ``"all"`` or ``"never"``.
        now: returns the current time; by default `receiver.Call.now`.

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
        now: Callable[[], datetime] | None = None,
    ) -> None:
        if log not in get_args(Logged):
            raise DeclarationError(f'CallerLookup: log={log!r} is not "known", "all" or "never"')
        PhoneNumbers(region)  # raises if the region is unknown
        self._crm = crm = connect(crm) if isinstance(crm, Mapping) else crm
        self._region, self._shortest, self._now = region, shortest, now
        self._routes = Routes(found, unknown, owners or {}, owner_field, rules, several)
        self.sensitive = self._routes.sensitive
        self.repeats = self._routes.repeats
        times = {"fresh": fresh, "stale": stale, "timeout": TIMEOUT}
        self._contacts = Lookup(self._find_contacts, **times, max_size=remember)
        self._owners = Lookup(self._find_owner, **times, max_size=remember)
        self._errors = ErrorLog()
        self._log = (
            None if log == "never" else EngagementLog(crm, unknown=log == "all", region=region)
        )

    @property
    def sole_names(self) -> Mapping[str, tuple[str, object]]:
        """Return the CRM by its name, which must be unique in an app if calls are logged.

        `receiver check` reads it for the look-ups of a configuration file.
        """
        return {} if self._log is None else {"crm": (self._crm.name, self._crm)}

    async def __call__(self, call: Call) -> Reply:
        start = time.monotonic()
        begun = call.now(UTC) if self._now is None else self._now()
        number = self._number(call)
        caller = await self._identify(number, call)
        handler = await self._routes.handler(caller, call)
        reply = await handler(call)
        if self._log is not None and number.digits and not isinstance(reply, Repeat):
            engagement = Engagement(
                key=key_of(call, begun),
                begun=begun,
                caller=number,
                ivr=call.ivr,
                contact=caller.contact,
                owner=caller.contact.owner if caller.contact else "",
                outcome="forwarded" if isinstance(reply, Forward) else "hung up",
                destination=reply.destination if isinstance(reply, Forward) else "",
                seconds=round(time.monotonic() - start, 3),
            )
            await self._log.enqueue(call, engagement, searched=caller.searched)
        return reply

    async def ahead(self, call: Call) -> Reply:
        """Handle CALLER: start the search while the prompt plays."""
        number = self._number(call)
        if self._is_outside(number):
            self._contacts.ahead(number)
        return Repeat()

    async def complete(self, event: CallEvent) -> None:
        """Handle ``call_ended``: add outcome, duration and recording to the call's record.

        The record is the one that was made when the call was forwarded or hung up; it is completed
        once, or any number of times to the same effect, and stays as it is without this event.

        Raises:
            Unavailable: the CRM is not available, or the call is not logged yet; the event is
                handled again later.
        """
        if self._log is not None:
            await self._log.complete(event)

    def _number(self, call: Call) -> Number:
        return Number.parse(call.caller, self._region, call.number_format)

    async def _identify(self, number: Number, call: Call) -> Caller:
        if not self._is_outside(number):
            return Caller()
        until = asyncio.get_running_loop().time() + SHARE * call.remaining()
        try:
            contacts = await _before(until, self._contacts(number, call))
        except Exception as error:
            self._report(error)
            return Caller(searched=False)
        best = contacts[0] if contacts else None
        several = len(contacts) > 1 and len({one.owner or one.id for one in contacts}) > 1
        if best is None or several or not self._routes.wants_owner(best):
            return Caller(best, several=several)
        try:
            return Caller(best, await _before(until, self._owners(_ByOwner(best), call)))
        except Exception as error:
            self._report(error)
            return Caller(best)

    def _is_outside(self, number: Number) -> bool:
        return bool(number.e164) or len(number.digits) >= max(self._shortest, 1)

    def _report(self, error: Exception) -> None:
        what = f"CallerLookup: CRM {self._crm.name} unavailable, caller unknown"
        self._errors.warn(what, error)

    async def _find_contacts(self, number: Number) -> tuple[Contact, ...]:
        contacts = tuple(await self._crm.find(number))
        if contacts and self._routes.wants_owner(contacts[0]):
            self._owners.ahead(_ByOwner(contacts[0]))  # needed next
        return contacts

    async def _find_owner(self, key: _ByOwner) -> Owner | None:
        return await self._crm.owner(key.contact)


async def _before(until: float, result: Awaitable[T]) -> T:
    """Return ``result`` if it arrives before ``until``, a time of the event loop."""
    try:
        async with asyncio.timeout_at(until):
            return await result
    except TimeoutError:
        raise Unavailable("no answer within two thirds of the call's time") from None


class _ByOwner:
    """A contact as a cache key that is equal for all contacts of one owner."""

    def __init__(self, contact: Contact) -> None:
        self.contact = contact

    def __hash__(self) -> int:
        return hash(self.contact.owner)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _ByOwner) and other.contact.owner == self.contact.owner
