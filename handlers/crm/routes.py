"""Routes of callers: rules, a function, the owner's extension.

Rule 1: The first of these with a result: a rule; ``found``, if it is a function of ``(contact,
        owner, call)``; the owner's extension; ``found``; ``unknown``.
Rule 2: The owner is requested only if a route depends on more than the owner's id.
Rule 3: An extension in a field of the CRM that cannot be dialled is ignored.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from handlers.crm.contacts import Contact, Owner
from handlers.crm.rules import OWNER, read_rules, value_of
from receiver import Call, Forward, Reply, ReplyError, Then, handler_of, is_sensitive, repeats_of

Route = Callable[[Contact, Owner | None, Call], Then | Awaitable[Then | None] | None]
"""Function of a contact, its owner and the call; returns a route, or None for no decision."""

Handler = Callable[[Call], Awaitable[Reply]]

log = logging.getLogger("receiver.handlers")


@dataclass(frozen=True, slots=True)
class Caller:
    """The CRM's data about a caller.

    Attributes:
        contact: None if the CRM has no contact, or did not answer.
        owner: the contact's owner, if it was needed and the CRM answered.
        several: whether there are contacts of other owners.
        searched: whether the CRM answered the search.
    """

    contact: Contact | None = None
    owner: Owner | None = None
    several: bool = False
    searched: bool = True


class Routes:
    """Maps callers to handlers; parameters and errors as for `handlers.crm.lookup.CallerLookup`."""

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
        self._needs_owner = self._route is not None or any(r.of_owner for r, _ in self._rules)
        self._needs_owner_fields = bool(owner_field) or any("@" in key for key in self._owners)
        handlers = [*self._owners.values(), *(to for _, to in self._rules)]
        self.sensitive = is_sensitive(self._found, self._unknown, self._several, *handlers)
        self.repeats = repeats_of(self._found, self._unknown, self._several, *handlers)

    def wants_owner(self, contact: Contact) -> bool:
        """Return whether more than the owner's id is needed."""
        if not contact.owner:
            return False
        return self._needs_owner or (
            self._needs_owner_fields and _key(contact.owner) not in self._owners
        )

    async def handler(self, caller: Caller, call: Call) -> Handler:
        """Return the handler for ``caller``."""
        if caller.contact is None:
            return self._unknown
        if caller.several:
            return self._several
        extension = self._extension(caller.contact, caller.owner)
        for rule, to in self._rules:
            if (
                rule.match(caller.contact, caller.owner)
                and (handler := to or extension) is not None
            ):
                return handler
        if self._route is not None:
            then = self._route(caller.contact, caller.owner, call)
            if inspect.isawaitable(then):
                then = await then
            if then is not None:
                return handler_of(then, "CallerLookup: the result of found=")
        return extension or self._found

    def _extension(self, contact: Contact, owner: Owner | None) -> Handler | None:
        for key in (contact.owner, owner.email if owner else ""):
            if key and (handler := self._owners.get(_key(key))) is not None:
                return handler
        records = (owner, contact) if self._owner_field else ()
        for value in (value_of(one, self._owner_field) for one in records if one):
            if isinstance(value, str | int) and str(value).strip():
                try:
                    return handler_of(Forward(str(value).strip()), "CallerLookup: owner_field")
                except ReplyError:
                    log.warning(
                        "CallerLookup: the value of %s cannot be dialled", self._owner_field
                    )
        return None


def _key(text: str) -> str:
    return str(text).strip().casefold()


def _is_route(found: object) -> TypeGuard[Route]:
    """Return whether ``found`` is a function of three arguments."""
    if isinstance(found, str | Reply) or not callable(found):
        return False
    try:
        inspect.signature(found).bind(None, None, None)
    except (TypeError, ValueError):
        return False
    return True
