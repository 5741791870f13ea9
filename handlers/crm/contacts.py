"""Contacts, owners and engagements; phone numbers as search keys; reading a CRM's records.

Rule 1: A connector is a `Crm`: it finds the contacts of a phone number, returns a contact's owner
        and logs a call. `handlers.crm.lookup` decides where a caller goes.
Rule 2: No `repr` contains a number, a name or a field, for it may reach a log.
Rule 3: A CRM that gives no answer, or none of the documented form, raises `receiver.Unavailable`.
        No contact found is ``()`` and no error.
Rule 4: What becomes part of a query is an identifier or escaped.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol
from weakref import WeakValueDictionary

from handlers.crm.field_numbers import MIN_DIGITS, numbers_in
from receiver import Call, DeclarationError, NumberError, NumberFormat, PhoneNumbers, Unavailable

try:
    import phonenumbers
except ImportError:
    raise DeclarationError(
        "handlers.crm needs the library phonenumbers: pip install 'portsip-receiver[crm]'"
    ) from None

MAX_CONTACTS = 10
"""Contacts of one number that are requested."""

NUMBER_FORMS = frozenset({"typed", "e164", "national", "significant", "digits"})
"""The attributes of `Number` that a CRM can be searched for."""


@dataclass(frozen=True, slots=True, repr=False)
class Number:
    """A phone number in the forms in which CRMs store it.

    Attributes:
        typed: as the PBX sent it.
        e164: ``+49301234567``; empty for an extension or another number without a country.
        national: as dialled within the country, ``0301234567``; empty if ``e164`` is.
        significant: without the trunk prefix, ``301234567``; all forms end with it.
        digits: ``e164`` without the ``+``, else the digits of ``typed``; equal for equal numbers
            (so without the 9 of Argentina's mobile numbers), empty for an anonymous caller.
        number_format: the format of ``typed``, see `receiver.PhoneNumbers`.
    """

    typed: str
    e164: str = ""
    national: str = ""
    digits: str = ""
    significant: str = ""
    number_format: NumberFormat = field(default="automatic", compare=False)

    @classmethod
    def parse(
        cls, text: str, region: str = "", number_format: NumberFormat = "automatic"
    ) -> Number:
        """Parse a number as dialled in ``region``, see `receiver.PhoneNumbers`.

        Parameters:
            number_format: ``call.number_format`` for a caller's number.

        Raises:
            DeclarationError: the region is unknown.
        """
        try:
            number = PhoneNumbers(region).parse(text, number_format)
        except NumberError:
            return cls(text, number_format=number_format)
        bare = cls(text, digits=number.key, number_format=number_format)
        try:
            parsed = phonenumbers.parse(number.e164)
        except phonenumbers.NumberParseException:
            return bare
        if not phonenumbers.is_possible_number(parsed):
            return bare
        national = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
        return cls(
            text,
            number.e164,
            phonenumbers.normalize_digits_only(national),
            number.key,
            number.key.removeprefix(str(parsed.country_code)),
            number_format,
        )

    def matches_field(self, text: str, region: str = "") -> bool:
        """Return whether ``text``, a field with one or more numbers, may contain this number.

        A search finds other numbers, too. Without a country code equal last digits are enough.
        """
        parts = numbers_in(text, self.significant or self.digits)
        return any(self._may_equal(Number.parse(part, region)) for part in parts)

    def search_keys(self, forms: Iterable[str]) -> tuple[str, ...]:
        """Return the number in ``forms``; its digits if it has none of them; ``()`` if anonymous.

        Parameters:
            forms: of `NUMBER_FORMS`.
        """
        if not self.digits:
            return ()
        keys = dict.fromkeys(getattr(self, form) for form in forms)
        return tuple(key for key in keys if key) or (self.digits,)

    def _may_equal(self, other: Number) -> bool:
        if self.e164 and not other.e164:
            return len(other.digits) >= MIN_DIGITS and (
                other.digits.endswith(self.significant) or self.digits.endswith(other.digits)
            )
        if other.e164 and not self.e164:
            own = self.digits.lstrip("0")
            return len(own) >= MIN_DIGITS and other.digits.endswith(own)
        return bool(self.digits) and self.digits == other.digits

    def __repr__(self) -> str:
        return f"Number(<{len(self.digits)}>)"


@dataclass(frozen=True, slots=True)
class Contact:
    """A person or company in the CRM.

    Attributes:
        id: of the CRM's record.
        name: display name; may be empty.
        owner: id of the contact's owner; empty if it has none.
        fields: the record, by the CRM's field names.
    """

    id: str
    name: str = field(default="", repr=False)
    owner: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Owner:
    """A user of the CRM who owns contacts; attributes as for `Contact`."""

    id: str
    name: str = field(default="", repr=False)
    email: str = field(default="", repr=False)
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a call, as the PBX reports it.

    Attributes:
        answered: whether a person answered.
        answered_by: the number of that person; may be empty.
        seconds: of talk; 0 for an unanswered call.
        recording: a link to the recording; may be empty.
    """

    answered: bool
    answered_by: str = ""
    seconds: float = 0.0
    recording: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Engagement:
    """A call to log in the CRM.

    Attributes:
        key: identifies the call, ``[A-Za-z0-9-]``; it is stored in the CRM and searched for.
        begun: start of the call, with a time zone.
        caller: the caller's number.
        ivr: the number that was called.
        contact: the caller's contact; only its id is always known. None for an unknown caller.
        owner: the owner's id in the CRM, may be empty.
        outcome: ``"forwarded"``, ``"hung up"``, ``"repeated"`` or ``"failed"``.
        destination: the destination of a forwarded call, else empty.
        seconds: from the callback to the answer.
        end: how the call ended; None if that is not known yet.
    """

    key: str
    begun: datetime
    caller: Number
    ivr: str = ""
    contact: Contact | None = None
    owner: str = ""
    outcome: str = ""
    destination: str = ""
    seconds: float = 0.0
    end: Outcome | None = None

    @property
    def text(self) -> str:
        """One line for people who read it in the CRM.

        It contains nothing else of the caller: keyed input may be anything, and some CRMs
        interpret the text as HTML.
        """
        parts = [f"{self.outcome} to {self.destination}" if self.destination else self.outcome]
        if end := self.end:
            by = f" by {end.answered_by}" if end.answered_by else ""
            parts.append(f"answered{by}, {end.seconds:.0f} s" if end.answered else "not answered")
            parts += [f"recording: {end.recording}"] if end.recording else []
        number = self.caller.e164 or self.caller.digits or "an unknown number"
        return f"Call from {number} to {self.ivr}: {', '.join(filter(None, parts))}"


class Crm(Protocol):
    """The interface of a connector."""

    @property
    def name(self) -> str:
        """Name of the CRM account, as in ``"hubspot"``; used in logs."""
        ...

    async def find(self, number: Number, call: Call | None = None) -> Sequence[Contact]:
        """Return the contacts of a number, the best match first.

        Parameters:
            call: its deadline applies; None for the connector's timeout alone.

        Raises:
            Unavailable: the CRM gave no valid answer in time.
        """
        ...

    async def owner(self, contact: Contact, call: Call | None = None) -> Owner | None:
        """Return the owner of ``contact``; parameters and errors as for `find`."""
        ...

    async def log(self, engagement: Engagement) -> str | None:
        """Log a call, once for each key, however often this is called.

        For a CRM without unique keys, search for the key first. Return the id of the record if it
        is known; `handlers.crm.outcomes.CallCompleter` gets it.

        Raises:
            Unavailable: the call may not be logged; try again later.
        """
        ...


class KeyLock:
    """Locks by key: ``async with lock(engagement.key)``."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def __call__(self, key: str) -> AsyncIterator[None]:
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            yield


def number_forms(forms: Collection[str], name: str) -> tuple[str, ...]:
    """Return the option ``forms`` of connector ``name``; raises DeclarationError."""
    if isinstance(forms, str) or not forms or not set(forms) <= NUMBER_FORMS:
        known = ", ".join(sorted(NUMBER_FORMS))
        raise DeclarationError(f"{name}: forms= must be a list of some of {known}")
    return tuple(forms)


def identifiers(names: Iterable[str], option: str) -> list[str]:
    """Return ``names`` of fields or modules for use in a query; raises DeclarationError."""
    names = list(names)
    for name in names:
        if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.]*", name):
            raise DeclarationError(
                f"{option} must be a name of a field or module: letters, digits, _ and ."
            )
    return names


def text_of(value: Any) -> str:
    """Return an id or name as text, ``""`` for other values; some CRMs send ids as numbers."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def id_of(record: Mapping[str, Any], key: str = "id") -> str:
    """Return the id of a record as text; raises Unavailable if it has none."""
    if text := text_of(record.get(key)):
        return text
    raise Unavailable("a record of the CRM has no id")


def unique(contacts: Iterable[Contact]) -> tuple[Contact, ...]:
    """Return the first contact for each id."""
    by_id: dict[str, Contact] = {}
    for contact in contacts:
        by_id.setdefault(contact.id, contact)
    return tuple(by_id.values())
