"""Rules over a contact, as plain tables that a configuration file can hold.

::

    rules = [
        { field = "lifecyclestage", equals = "customer", to = "222" },
        { field = "hs_language", one_of = ["de", "de-at"], to = "333" },
        { field = "num_open_deals", at_least = 1, to = "owner" },
    ]

Rule 1: The first rule that holds applies. A missing field equals no value.
Rule 2: Text is compared without regard to case and surrounding spaces; numbers in text are compared
        as numbers by ``at_least`` and ``at_most``.
Rule 3: ``owner.email`` is a field of the contact's owner; ``a.b`` a nested field; ``id``, ``name``
        and ``owner`` are those of the contact, unless the CRM has fields of these names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any

from handlers.crm.contacts import Contact, Owner
from receiver import DeclarationError, Then

OWNER = "owner"
"""The value of ``to`` that forwards a call to the contact's owner."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition on a contact and the route of its call.

    Attributes:
        field: path of a field.
        holds: the condition on its value, which is None if the contact has no such field.
        to: the route; `OWNER` for the owner.
    """

    field: str
    holds: Callable[[Any], bool]
    to: Then

    @property
    def of_owner(self) -> bool:
        """Whether the field is the owner's."""
        return self.field.startswith("owner.")

    def match(self, contact: Contact, owner: Owner | None) -> bool:
        """Return whether the condition holds."""
        if self.of_owner:
            return self.holds(owner and value_of(owner, self.field.removeprefix("owner.")))
        return self.holds(value_of(contact, self.field))


def read_rules(tables: Sequence[Mapping[str, Any]], option: str) -> tuple[Rule, ...]:
    """Parse the rules in ``tables``.

    Parameters:
        option: prefix of error texts.

    Raises:
        DeclarationError: a rule is invalid; the text says which.
    """
    if isinstance(tables, str | Mapping) or not isinstance(tables, Sequence):
        raise DeclarationError(f"{option} must be a list of tables")
    return tuple(_read(table, f"{option}: rule {n}") for n, table in enumerate(tables, 1))


def value_of(record: Contact | Owner, path: str) -> Any:
    """Return the value at ``path``, None if there is no value."""
    value: Any = record.fields
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    if value is None and path in ("id", "name", "owner", "email"):
        return getattr(record, path, None) or None
    return value


def _read(table: Mapping[str, Any], where: str) -> Rule:
    if not isinstance(table, Mapping):
        raise DeclarationError(f"{where} must be a table")
    tests = [name for name in table if name in _TESTS]
    if table.keys() - {"field", "to", *tests} or len(tests) != 1 or "to" not in table:
        raise DeclarationError(
            f"{where} needs a field, a to, and one of {', '.join(_TESTS)}; "
            f"it has {', '.join(map(str, table)) or 'nothing'}"
        )
    field, wanted = table.get("field"), table[tests[0]]
    if not isinstance(field, str) or not field:
        raise DeclarationError(f"{where}: field must be the name of a field of the contact")
    kind, make = _TESTS[tests[0]]
    if not isinstance(wanted, kind) or (isinstance(wanted, bool) and kind is _NUMBER):
        raise DeclarationError(f"{where}: {tests[0]} cannot be a {type(wanted).__name__}")
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
    """Test a list, or a text with values separated by ``;`` or ``,``."""
    text = _text(wanted)

    def holds(value: Any) -> bool:
        if isinstance(value, str):
            value = value.replace(",", ";").split(";")
        return isinstance(value, list) and text in {_text(one) for one in value}

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
