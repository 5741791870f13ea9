"""``drain`` and ``undrain``: all action URLs of a service off, and on again, on a PBX.

Rule 1: what to change is read from the PBX and nowhere else (`receiver.guard.switching`), so that
        the same command goes on wherever it was stopped.
Rule 2: nothing is believed: it is read back, and what somebody else did meanwhile is put right in a
        few more rounds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from receiver.errors import RegistrationError
from receiver.guard.switching import By, missing, switch_off, switch_on
from receiver.pbx.client import PbxClient
from receiver.registration.carrying import carry_out
from receiver.registration.plans import Change, Found
from receiver.registration.registrar import Reading, read_found
from receiver.registration.wanting import Wanted

ROUNDS = 4
"""How often what somebody else did meanwhile is put right before it is given up."""


class Turn(Protocol):
    """`switch_off` or `switch_on`."""

    def __call__(
        self, wanted: Sequence[Wanted], found: Found, base: str, by: By, *, pbx: str
    ) -> tuple[Change, ...]: ...


OFF: Turn = switch_off
ON: Turn = switch_on


@dataclass(frozen=True, slots=True)
class Switched:
    """What became of it.

    Attributes:
        done: the changes that were carried out, in order.
        missing: what is declared enabled and not on the PBX.
    """

    done: tuple[Change, ...]
    missing: tuple[Wanted, ...]


async def switch(
    client: PbxClient,
    wanted: Sequence[Wanted],
    base: str,
    turn: Turn,
    by: By,
    *,
    pbx: str = "",
    progress: Callable[[Change], None] = lambda change: None,
    reading: Reading = lambda done, all: None,
) -> Switched:
    """Switch all action URLs of a service off or on.

    Parameters:
        client: of the PBX.
        wanted: what is declared.
        base: the public URL of this service.
        turn: which way.
        by: who does it.
        pbx: the label of the PBX.
        progress: is given each change once it is done; what it raises ends the work.
        reading: is told how far the reading is.

    Raises:
        PbxError: the PBX could not be read.
        RegistrationError: a change failed, or did not last; the text says what was done.
    """
    done: list[Change] = []
    for _ in range(ROUNDS):
        found = await read_found(client, reading)
        changes = turn(wanted, found, base, by, pbx=pbx)
        if not changes:
            return Switched(tuple(done), missing(wanted, found, base, pbx=pbx))
        done += await _carry_out(client, changes, progress, before=len(done))
    raise RegistrationError(
        f"after {ROUNDS} rounds there is still something to do: either somebody else switches the "
        "same action URLs, or this PBX does not take the change; look at receiver plan, and run "
        "the same command again"
    )


async def _carry_out(
    client: PbxClient,
    changes: Sequence[Change],
    progress: Callable[[Change], None],
    *,
    before: int,
) -> Sequence[Change]:
    sent = await carry_out(client, changes, progress)
    if sent.failure is not None:
        change, error = sent.failure
        raise RegistrationError(
            f"{change} failed; {before + len(sent.done)} action URLs were switched before; run the "
            f"same command again, it goes on from there. {error}"
        ) from error
    return sent.done
