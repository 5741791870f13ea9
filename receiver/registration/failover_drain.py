"""``drain`` and ``undrain``: switch all action URLs of a service on a PBX off, and on again.

Rule 1: the changes are computed from the state of the PBX alone
        (`receiver.registration.failover_switch`), so that an interrupted command can be repeated.
Rule 2: the result is read back, and changes of other clients are corrected in a few more rounds.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from receiver.errors import RegistrationError
from receiver.pbx.pbx_client import PbxClient
from receiver.registration.actual_state import Reading, read_actual
from receiver.registration.changes import Change, Resource
from receiver.registration.desired import DesiredActionUrl
from receiver.registration.failover_switch import By, missing, switch_off, switch_on
from receiver.registration.plan_requests import Progress, send
from receiver.registration.plans import Actual
from receiver.text import counted

ROUNDS = 4
"""The number of rounds in which changes of another client are corrected."""


class SwitchRule(Protocol):
    """`switch_off` or `switch_on`."""

    def __call__(
        self, desired: Sequence[DesiredActionUrl], actual: Actual, base: str, by: By, *, pbx: str
    ) -> tuple[Change[Resource], ...]: ...


Check = Callable[[Sequence[Change[Resource]]], Awaitable[None]]

OFF: SwitchRule = switch_off
ON: SwitchRule = switch_on


@dataclass(frozen=True, slots=True)
class SwitchResult:
    """The result of a `switch`.

    Attributes:
        done: the changes that were made, in sequence.
        missing: what is declared enabled and not on the PBX.
    """

    done: tuple[Change[Resource], ...]
    missing: tuple[DesiredActionUrl, ...]


async def switch(
    client: PbxClient,
    desired: Sequence[DesiredActionUrl],
    base: str,
    turn: SwitchRule,
    by: By,
    *,
    pbx: str = "",
    check: Check | None = None,
    progress: Progress = lambda change: None,
    reading: Reading = lambda done, all: None,
) -> SwitchResult:
    """Switch all action URLs of a service off or on.

    Parameters:
        client: of the PBX.
        desired: what is declared.
        base: the public URL of this service.
        turn: which way.
        by: who does it.
        pbx: the label of the PBX.
        check: is given the changes before the first one is sent; what it raises is raised.
        progress: is given each change once it is done; what it raises ends the work.
        reading: is called with how far the reading is.

    Raises:
        PbxError: the PBX could not be read.
        RegistrationError: a change failed, or did not last; the text says what was done.
    """
    done: list[Change[Resource]] = []
    for _ in range(ROUNDS):
        actual = await read_actual(client, reading)
        changes = turn(desired, actual, base, by, pbx=pbx)
        if not changes:
            return SwitchResult(tuple(done), missing(desired, actual, base, pbx=pbx))
        if check is not None and not done:
            await check(changes)
        done += await _send(client, changes, progress, before=len(done))
    raise RegistrationError(
        f"after {ROUNDS} rounds changes are left: either another client switches the "
        "same action URLs, or this PBX does not take the change; look at receiver plan, and run "
        "the same command again"
    )


async def _send(
    client: PbxClient,
    changes: Sequence[Change[Resource]],
    progress: Progress,
    *,
    before: int,
) -> Sequence[Change[Resource]]:
    sent = await send(client, changes, progress)
    if sent.failure is not None:
        change, error = sent.failure
        raise RegistrationError(
            f"{change} failed; {counted(before + len(sent.done), 'action URL')} switched before; "
            f"run the same command again, it continues from there. {error}"
        ) from error
    return sent.done
