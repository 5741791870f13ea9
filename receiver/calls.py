"""A call, as the PBX describes it in a callback.

Rule: a `Call` does not print what the caller keyed in, nor who the caller is.

Source of the six fields: "Managing Virtual Receptionist" in the vendor's administration guide.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from receiver.call_context import After, Context, Detached, SessionContext
from receiver.phone_numbers.notation import is_anonymous
from receiver.phone_numbers.numbers import NumberFormat

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

WIRE = {
    "session_id": "session_id",
    "from": "caller",
    "to": "ivr",
    "input": "digits",
    "from_name": "caller_name",
    "account_name": "ivr_name",
}
"""The names on the wire, in the order of the vendor's example, and ours."""

Kind = Literal["DTMF", "CALLER"]
"""The occasion of a callback: the caller keyed digits, or the caller's number matched."""

FinishKey = Literal["", "#", "*"]
"""The key with which a caller says that the digits are complete; empty for none."""


@dataclass(frozen=True, slots=True, repr=False)
class Call:
    """One callback: what the PBX knows about the call at this moment.

    A test of a handler makes one by hand::

        assert await pick(Call(digits="22", caller="101")) == Forward("222")

    Attributes:
        caller: the caller's number (``from`` on the wire), as the PBX wrote it.
        caller_name: the caller's display name (``from_name``), often empty.
        ivr: the extension number of the IVR that was called (``to``).
        ivr_name: that IVR's name (``account_name``).
        digits: what the caller keyed in (``input``); for a CALLER action the content is
            not documented.
        session_id: the same for all callbacks of one call; empty before PBX 22.3.
        context: the service behind the call; it does not count for equality.
    """

    caller: str = ""
    caller_name: str = ""
    ivr: str = ""
    ivr_name: str = ""
    digits: str = ""
    session_id: str = ""
    context: Context = field(default_factory=Detached, compare=False)

    def backed(self, context: Context) -> Call:
        """Return the call with another ``context``; much faster than `dataclasses.replace`."""
        return make_call(
            self.caller,
            self.caller_name,
            self.ivr,
            self.ivr_name,
            self.digits,
            self.session_id,
            context,
        )

    @property
    def anonymous(self) -> bool:
        """Whether the caller's number is withheld, see
        `receiver.phone_numbers.notation.is_anonymous`."""
        return is_anonymous(self.caller)

    @property
    def number_format(self) -> NumberFormat:
        """The format in which the PBX writes ``caller`` (``RECEIVER_NUMBER_FORMAT``).

        `receiver.PhoneNumbers` takes it, as in ``numbers.key(call.caller, call.number_format)``.
        """
        return self.context.number_format

    def without_finish_key(self, key: FinishKey = "#") -> Call:
        """Return the call without one ``key`` at the end of its digits.

        ::

            assert Call(digits="4711#").without_finish_key().digits == "4711"

        Whether the PBX sends the key that ends the input is not documented.
        """
        if not key or not self.digits.endswith(key):
            return self
        return replace(self, digits=self.digits.removesuffix(key))

    def remaining(self) -> float:
        """Return the seconds until the answer must be ready; endless for a call made by hand.

        ::

            timeout = min(1.0, call.remaining())
        """
        return self.context.remaining()

    def now(self, zone: tzinfo | str | None = None) -> datetime:
        """Return the date and time, with a zone; handlers ask here for it, not `datetime.now`.

        In production it is the system's clock. In a test, a scenario, ``receiver dev`` and
        ``receiver dial --at`` it is the simulated PBX's, so that both agree about office hours; in
        ``receiver replay`` the time of the recording. ::

            if call.now("Europe/Berlin").hour >= 18:
                return Forward("8999")

        Parameters:
            zone: a time zone, or its name; None for the machine's. A simulated time without a zone
                counts in each zone: 10:00 at the PBX is 10:00 here.

        Raises:
            zoneinfo.ZoneInfoNotFoundError, ValueError: there is no such zone.
        """
        return self.context.now(zone)

    def session(self) -> SessionContext:
        """Return the session of the call: for ``async with``, or ``with`` in a plain ``def``.

        ::

            async with call.session() as session:
                session["attempts"] = session.get("attempts", 0) + 1

        A mapping of strings to JSON values, shared by all callbacks of the call and saved when the
        block ends without an error. Only one callback of a call is inside at a time. Without a
        ``session_id`` the caller and the IVR identify the call, for a minute.

        Raises:
            Unavailable: the store is unavailable; unless it is caught the caller gets the
                fallback.
        """
        return self.context.session()

    @property
    def after(self) -> After:
        """Queue a background job, which runs after the reply; a durable one survives a kill.

        ::

            call.after(write_to_crm, call.caller)
            await call.after.durably(bill, 3, idempotency_key=call.session_id)

        A plain ``def`` leaves out the ``await``. See `receiver.After`.
        """
        return self.context.after

    def __repr__(self) -> str:
        return (
            f"Call(ivr={self.ivr!r}, session_id={self.session_id!r}, "
            f"caller={veil(self.caller)}, digits={veil(self.digits)})"
        )


_SETTERS = [Call.__dict__[name].__set__ for name in Call.__slots__]
_caller, _caller_name, _ivr, _ivr_name, _digits, _session_id, _context = _SETTERS


def set_context(call: Call, context: Context) -> None:
    """Give a call that was parsed a moment ago its context, in place."""
    _context(call, context)


def make_call(
    caller: str,
    caller_name: str,
    ivr: str,
    ivr_name: str,
    digits: str,
    session_id: str,
    context: Context,
) -> Call:
    """Make a call without the cost of a frozen class's own ``__init__``."""
    made = object.__new__(Call)
    _caller(made, caller)
    _caller_name(made, caller_name)
    _ivr(made, ivr)
    _ivr_name(made, ivr_name)
    _digits(made, digits)
    _session_id(made, session_id)
    _context(made, context)
    return made


def veil(text: str) -> str:
    """``text`` as logs may show it: how long it is, and nothing else."""
    return f"<{len(text)}>" if text else "<none>"
