"""Rules over a contact, as plain tables, so that a configuration file can have them.

::

    rules = [
        { field = "lifecyclestage", equals = "customer", to = "222" },
        { field = "hs_language", one_of = ["de", "de-at"], to = "333" },
        { field = "num_open_deals", at_least = 1, to = "owner" },
    ]

Rule 1: the first rule that holds counts. What a contact has not is equal to nothing.
Rule 2: text is compared without regard to case and to spaces around it; a number that the CRM gives
        as text is a number where one is asked for.
Rule 3: ``owner.email`` is a field of the contact's owner; ``a.b`` a field within a field; ``id``,
        ``name`` and ``owner`` are the contact's, if the CRM has no fields of these names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from handlers.crm.contacts import Contact, Owner
from receiver import DeclarationError, Then

OWNER = "owner"
"""What ``to`` says of a call that goes to the contact's owner."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Where contacts lead of whom something holds.

    Attributes:
        field: the path of a field.
        holds: whether its value, None if it is not there, is the one asked for.
        to: where the call goes; `OWNER` for the owner.
    """

    field: str
    holds: Callable[[Any], bool]
    to: Then

    @property
    def of_owner(self) -> bool:
        """Whether it asks for something of the owner."""
        return self.field.startswith("owner.")

    def match(self, contact: Contact, owner: Owner | None) -> bool:
        """Whether it holds."""
        if self.of_owner:
            return self.holds(owner and value_of(owner, self.field.removeprefix("owner.")))
        return self.holds(value_of(contact, self.field))


def read_rules(tables: Sequence[Mapping[str, Any]], option: str) -> tuple[Rule, ...]:
    """The rules that ``tables`` mean.

    Parameters:
        option: what a problem is told of.

    Raises:
        DeclarationError: one means nothing; the text says which.
    """
    if isinstance(tables, str | Mapping) or not isinstance(tables, Sequence):
        raise DeclarationError(f"{option} is a list of tables")
    return tuple(_read(table, f"{option}: rule {n}") for n, table in enumerate(tables, 1))


def value_of(thing: Contact | Owner, path: str) -> Any:
    """What stands there, None if nothing does."""
    value: Any = thing.fields
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if value is None and path in ("id", "name", "owner", "email"):
        return getattr(thing, path, None) or None
    return value


def _read(table: Mapping[str, Any], where: str) -> Rule:
    if not isinstance(table, Mapping):
        raise DeclarationError(f"{where} is no table")
    asked = [name for name in table if name in _TESTS]
    if table.keys() - {"field", "to", *asked} or len(asked) != 1 or "to" not in table:
        raise DeclarationError(
            f"{where} has a field, a to, and one of {', '.join(_TESTS)}; "
            f"this one has {', '.join(map(str, table)) or 'nothing'}"
        )
    field, wanted = table.get("field"), table[asked[0]]
    if not isinstance(field, str) or not field:
        raise DeclarationError(f"{where}: field is the name of a field of the contact")
    kind, make = _TESTS[asked[0]]
    if not isinstance(wanted, kind) or (isinstance(wanted, bool) and kind is _NUMBER):
        raise DeclarationError(f"{where}: {asked[0]} cannot be a {type(wanted).__name__}")
    return Rule(field, make(wanted), table["to"])


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value).strip().casefold() if isinstance(value, str | int | float) else ""


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def _equals(wanted: Any) -> Callable[[Any], bool]:
    return _one_of([wanted])


def _one_of(wanted: Sequence[Any]) -> Callable[[Any], bool]:
    texts = {_text(one) for one in wanted} - {""}
    return lambda value: _text(value) in texts


def _contains(wanted: str) -> Callable[[Any], bool]:
    """In a list, or in a text with ``;`` or ``,`` between values, as CRMs write several."""
    sought = _text(wanted)

    def holds(value: Any) -> bool:
        if isinstance(value, str):
            value = value.replace(",", ";").split(";")
        return isinstance(value, list) and sought in {_text(one) for one in value}

    return holds


def _at_least(wanted: float) -> Callable[[Any], bool]:
    return lambda value: (number := _number(value)) is not None and number >= wanted


def _at_most(wanted: float) -> Callable[[Any], bool]:
    return lambda value: (number := _number(value)) is not None and number <= wanted


def _present(wanted: bool) -> Callable[[Any], bool]:
    return lambda value: (value not in (None, "", False, [], {})) is wanted


_NUMBER = (int, float)
_TESTS: dict[str, tuple[Any, Callable[[Any], Callable[[Any], bool]]]] = {
    "equals": ((str, int, float, bool), _equals),
    "one_of": (list | tuple, _one_of),
    "contains": (str, _contains),
    "at_least": (_NUMBER, _at_least),
    "at_most": (_NUMBER, _at_most),
    "present": (bool, _present),
}
