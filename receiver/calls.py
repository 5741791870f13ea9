"""What the PBX knows about a call when it asks.

Rule: a `Call` does not print what the caller keyed in, nor who the caller is.

Source of the six fields: "Managing Virtual Receptionist" in the vendor's administration guide.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any

from receiver.contexts import After, Context, Detached

WIRE = {
    "session_id": "session_id",
    "from": "caller",
    "to": "ivr",
    "input": "digits",
    "from_name": "caller_name",
    "account_name": "ivr_name",
}
"""The names on the wire, in the order of the vendor's example, and ours."""


@dataclass(frozen=True, slots=True, repr=False)
class Call:
    """One callback: what the PBX knows about the call at this moment.

    Attributes:
        caller: the caller's number (``from`` on the wire), as the PBX wrote it.
        caller_name: the caller's display name (``from_name``), often empty.
        ivr: the extension number of the IVR that was called (``to``).
        ivr_name: that IVR's name (``account_name``).
        digits: what the caller keyed in (``input``); for a CALLER action whatever the PBX put
            there, which is not documented.
        session_id: the same for all callbacks of one call; empty before PBX 22.3.
        context: what stands behind the call; calls that are told apart by nothing else are equal.
    """

    caller: str = ""
    caller_name: str = ""
    ivr: str = ""
    ivr_name: str = ""
    digits: str = ""
    session_id: str = ""
    context: Context = field(default_factory=Detached, compare=False)

    def backed(self, context: Context) -> Call:
        """The same call with ``context`` behind it; `dataclasses.replace` takes twice as long."""
        return Call(
            self.caller,
            self.caller_name,
            self.ivr,
            self.ivr_name,
            self.digits,
            self.session_id,
            context,
        )

    def remaining(self) -> float:
        """Seconds until the answer must be ready; endless for a call made by hand."""
        return self.context.remaining()

    def session(self) -> AbstractAsyncContextManager[MutableMapping[str, Any]]:
        """What all callbacks of this call remember, for ``async with``.

        A mapping of strings to what JSON can hold, saved when the block ends without an error. Only
        one callback of a call is inside at a time. Without a ``session_id`` the caller and the IVR
        tell calls apart, for a minute.

        Raises:
            Unavailable: the store is out of order; unless it is caught the caller gets the
                fallback.
        """
        return self.context.session()

    @property
    def after(self) -> After:
        """What shall be done once the answer is on its way: ``call.after(function, …)``.

        ``await call.after.durably(function, …)`` survives the end of the process. See
        `receiver.contexts.After`.
        """
        return self.context.after

    def __repr__(self) -> str:
        return (
            f"Call(ivr={self.ivr!r}, session_id={self.session_id!r}, "
            f"caller={veil(self.caller)}, digits={veil(self.digits)})"
        )


def veil(text: str) -> str:
    """``text`` as logs may show it: how long it is, and nothing else."""
    return f"<{len(text)}>" if text else "<none>"
