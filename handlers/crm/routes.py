"""Where a contact leads: rules, a function, the owner's extension.

Rule 1: the first of these that leads anywhere: a rule; ``found``, if it is a function of
        ``(contact, owner, call)``; the owner's extension; ``found``; ``unknown``.
Rule 2: the owner is asked for only where something depends on more than the owner's id.
Rule 3: what a CRM has in a field is data: an extension that cannot be dialled is none.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from handlers.crm.contacts import Contact, Owner
from handlers.crm.rules import OWNER, read_rules, value_of
from receiver import Call, Forward, Reply, ReplyError, Then, handler_of, is_sensitive

Route = Callable[[Contact, Owner | None, Call], Then | Awaitable[Then | None] | None]
"""From a contact, its owner and the call to where it leads; None if it leads nowhere."""

Lead = Callable[[Call], Awaitable[Reply]]

log = logging.getLogger("receiver.handlers")


@dataclass(frozen=True, slots=True)
class Who:
    """What is known of a caller.

    Attributes:
        contact: None if the CRM knows nobody, or has not said.
        owner: of that contact, if it was asked for and told.
        several: there are other contacts, of other owners.
        sought: whether the CRM has said who it is.
    """

    contact: Contact | None = None
    owner: Owner | None = None
    several: bool = False
    sought: bool = True


class Routes:
    """Parameters and errors as for `handlers.crm.lookup.CallerLookup`."""

    def __init__(
        self,
        found: Then | Route | None,
        unknown: Then,
        owners: Mapping[str, Then],
        owner_field: str,
        rules: Sequence[Mapping[str, Any]],
        several: Then | None,
    ) -> None:
        self._unknown = handler_of(unknown, "CallerLookup: unknown")
        self._route: Route | None = None
        self._found = self._unknown
        if _is_route(found):
            self._route = found
        elif found is not None:
            self._found = handler_of(found, "CallerLookup: found")  # type: ignore[arg-type]
        self._several = (
            self._unknown if several is None else handler_of(several, "CallerLookup: several")
        )
        self._owners = {
            _key(key): handler_of(then, f"CallerLookup: owners: {key}")
            for key, then in owners.items()
        }
        self._owner_field = owner_field
        self._rules = [
            (rule, None if rule.to == OWNER else handler_of(rule.to, f"CallerLookup: rule {n}: to"))
            for n, rule in enumerate(read_rules(rules, "CallerLookup: rules"), 1)
        ]
        self._asks_owner = self._route is not None or any(r.of_owner for r, _ in self._rules)
        self._by_more = bool(owner_field) or any("@" in key for key in self._owners)
        leads = [*self._owners.values(), *(to for _, to in self._rules)]
        self.sensitive = is_sensitive(self._found, self._unknown, self._several, *leads)

    def wants_owner(self, contact: Contact) -> bool:
        """Whether more must be known of the owner than the id."""
        if not contact.owner:
            return False
        return self._asks_owner or (self._by_more and _key(contact.owner) not in self._owners)

    async def lead(self, who: Who, call: Call) -> Lead:
        """The handler that the call goes on to."""
        if who.contact is None:
            return self._unknown
        if who.several:
            return self._several
        extension = self._extension(who.contact, who.owner)
        for rule, to in self._rules:
            if rule.match(who.contact, who.owner) and (lead := to or extension) is not None:
                return lead
        if self._route is not None:
            then = self._route(who.contact, who.owner, call)
            if inspect.isawaitable(then):
                then = await then
            if then is not None:
                return handler_of(then, "CallerLookup: what found= gave")
        return extension or self._found

    def _extension(self, contact: Contact, owner: Owner | None) -> Lead | None:
        for key in (contact.owner, owner.email if owner else ""):
            if key and (lead := self._owners.get(_key(key))) is not None:
                return lead
        things = (owner, contact) if self._owner_field else ()
        for value in (value_of(thing, self._owner_field) for thing in things if thing):
            if isinstance(value, str | int) and str(value).strip():
                try:
                    return handler_of(Forward(str(value).strip()), "CallerLookup: owner_field")
                except ReplyError:
                    log.warning("CallerLookup: what %s holds cannot be dialled", self._owner_field)
        return None


def _key(text: str) -> str:
    return str(text).strip().casefold()


def _is_route(found: object) -> TypeGuard[Route]:
    """Whether it is a function of three, and no reply or handler."""
    if isinstance(found, str | Reply) or not callable(found):
        return False
    try:
        inspect.signature(found).bind(None, None, None)
    except (TypeError, ValueError):
        return False
    return True
