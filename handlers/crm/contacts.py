"""What the handlers of this folder and the connectors of the CRMs tell each other.

Rule 1: a connector is a `Crm`: it finds the contacts of a number, tells a contact's owner and logs
        a call. It decides nothing: where a caller goes is `handlers.crm.lookup`'s.
Rule 2: nothing here shows a number, a name or a field in its `repr`: it may end in a log.
Rule 3: a CRM that cannot be asked raises `receiver.Unavailable`. Nobody found is ``()``, no error.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from receiver import Call, DeclarationError, Numbering

try:
    import phonenumbers
except ImportError:
    raise DeclarationError(
        "handlers.crm needs the library phonenumbers: pip install 'portsip-receiver[crm]'"
    ) from None


@dataclass(frozen=True, slots=True, repr=False)
class Number:
    """A telephone number, in the forms that CRMs keep it in.

    Attributes:
        typed: as the PBX told it.
        e164: ``+49301234567``; empty for what is no number of a country, such as an extension.
        national: as it is dialled in its own country, ``0301234567``; empty where ``e164`` is.
        significant: that without the trunk prefix, ``301234567``: what all forms end with.
        digits: ``e164`` without the ``+``, else the digits that were typed; equal for equal
            numbers, empty for an anonymous caller.
    """

    typed: str
    e164: str = ""
    national: str = ""
    digits: str = ""
    significant: str = ""

    @classmethod
    def parse(cls, text: str, region: str = "") -> Number:
        """Read a number as it is dialled in ``region``, see `receiver.Numbering`.

        Raises:
            DeclarationError: there is no such region.
        """
        numbering = Numbering(region)
        digits = numbering.key(text)
        whole = next((form for form in numbering.forms(text) if form.startswith("+")), "")
        try:
            parsed = phonenumbers.parse(whole)
        except phonenumbers.NumberParseException:
            return cls(text, digits=digits)
        if not phonenumbers.is_possible_number(parsed):
            return cls(text, digits=digits)
        e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
        national = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
        return cls(
            text,
            e164,
            phonenumbers.normalize_digits_only(national),
            e164[1:],
            phonenumbers.national_significant_number(parsed),
        )

    def is_written(self, text: str, region: str = "") -> bool:
        """Whether ``text``, a field of a CRM, may be this number: searches find others, too.

        Without a country code it is enough that both end alike.
        """
        other = Number.parse(text, region)
        if self.e164 and not other.e164:
            return len(other.digits) > 5 and (
                other.digits.endswith(self.significant) or self.digits.endswith(other.digits)
            )
        return bool(self.digits) and self.digits == other.digits

    def __repr__(self) -> str:
        return f"Number(<{len(self.digits)}>)"


@dataclass(frozen=True, slots=True)
class Contact:
    """Somebody whom the CRM knows.

    Attributes:
        id: the CRM's own.
        name: for people; may be empty.
        owner: the id of who looks after the contact; empty if nobody does.
        fields: what else the CRM told, by its own field names.
    """

    id: str
    name: str = field(default="", repr=False)
    owner: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Owner:
    """Who looks after a contact: a user of the CRM; attributes as for `Contact`."""

    id: str
    name: str = field(default="", repr=False)
    email: str = field(default="", repr=False)
    fields: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Entry:
    """A call, to be logged in the CRM.

    Attributes:
        key: of the call, the same however often it is logged; ``[A-Za-z0-9-]``, for it stands in a
            field of the CRM or in its text, and is searched for.
        begun: when, with a time zone.
        caller: who called.
        ivr: the number that was called.
        contact: whom it belongs to; only the id is known for sure. None for an unknown caller.
        owner: the owner's id in the CRM, may be empty.
        outcome: ``"forwarded"``, ``"hung up"``, ``"repeated"`` or ``"failed"``.
        destination: where it went, empty if nowhere.
        seconds: from the callback until the answer.
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


class Crm(Protocol):
    """One CRM, as a connector speaks to it."""

    @property
    def name(self) -> str:
        """Which CRM this is, as in ``"hubspot"``; stands in logs."""
        ...

    async def find(self, number: Number, call: Call | None = None) -> Sequence[Contact]:
        """Whose number it is, the best first; ``()`` for nobody.

        Parameters:
            call: whose time it is; None for the connector's own timeout alone.

        Raises:
            Unavailable: the CRM gave no good answer in time.
        """
        ...

    async def owner(self, contact: Contact, call: Call | None = None) -> Owner | None:
        """Who looks after ``contact``; None for nobody. Parameters and errors as for `find`."""
        ...

    async def log(self, entry: Entry) -> None:
        """Log a call: exactly one entry, however often it is asked for with one key.

        A CRM that knows no such keys is asked for an entry with this one first.

        Raises:
            Unavailable: it is not known to be logged; to be tried again later.
        """
        ...
