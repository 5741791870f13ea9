"""Reads a PBX, plans, applies and verifies.

Rule 1: what `receiver.registration.plans` calls foreign is never touched, and a plan with something
        blocked is refused before anything is sent.
Rule 2: creates and updates come first, in the order of `receiver.registration.steps`, deletes last.
        On one IVR one request goes after the other; on several up to eight at once. Declared
        receptionists are first of all (`receiver.registration.reception`).
Rule 3: a failure at any moment leaves a state from which the same command goes on. A create whose
        answer was lost is looked up before it is sent again.
Rule 4: nothing is believed: what was applied is read back and compared. What somebody else did in
        the meantime is put right in a few more rounds; what they made is only deleted if it is a
        second one of ours. Two who apply the same at once end in the same state.
Rule 5: nothing is deleted that the plan did not show, but for such second ones.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from receiver.actions import Action
from receiver.errors import PbxError, RegistrationError
from receiver.pbx.client import PbxClient
from receiver.pbx.faults import may_have_happened
from receiver.pbx.models import ActionUrl, IvrSummary
from receiver.printable import line
from receiver.receptionists import Receptionist, ReceptionistChange
from receiver.registration import plans, reception
from receiver.registration.carrying import Round, carry_out, together
from receiver.registration.lints import Own, lint
from receiver.registration.plans import Change, Plan
from receiver.registration.wanting import wanted
from receiver.secrets import Secret

READS = 8
"""How many reads are under way at once."""

ROUNDS = 5
"""How often what somebody else did meanwhile is put right before it is given up."""

Found = tuple[tuple[IvrSummary, tuple[ActionUrl, ...]], ...]
_PENDING = ("create", "update", "delete", "blocked")
Reading = Callable[[int, int], None]
"""Is told how many IVRs have been read, and how many there are."""


@dataclass(frozen=True, slots=True)
class Result:
    """What an `apply` did.

    Attributes:
        done: the changes that were carried out, in order.
        left: deletes that were not allowed, and so are still to do.
        after: the plan that was made afterwards, to verify.
        receptionists: those that were created or updated, before all that.
    """

    done: tuple[Change, ...]
    left: tuple[Change, ...]
    after: Plan
    receptionists: tuple[ReceptionistChange, ...] = ()


async def read_found(client: PbxClient, reading: Reading = lambda done, all: None) -> Found:
    """All IVRs of the PBX with all of their action URLs.

    Parameters:
        client: of the PBX.
        reading: see `Reading`.

    Raises:
        PbxError: see `receiver.pbx.client`.
    """
    return await _read([ivr async for ivr in client.list_ivrs()], client, reading)


async def make_plan(
    client: PbxClient,
    actions: Iterable[Action],
    base: str,
    secret: Secret,
    epoch: int = 1,
    *,
    take_over: bool = False,
    certain: bool = False,
    look: bool = False,
    receptionists: Iterable[Receptionist] = (),
    reading: Reading = lambda done, all: None,
    pbx: str = "",
) -> Plan:
    """What has to change on the PBX, read now; nothing is changed.

    Parameters:
        client: of the PBX.
        actions: the declarations.
        base: the public URL of this service.
        secret: the service's, from which the credentials are derived.
        epoch: counts rotations of the credentials, from 1.
        take_over: let what has a declared name and points elsewhere point here.
        certain: update also where the PBX does not let its credentials be read.
        look: read the IVRs too, for the warnings about their own menus.
        receptionists: those that are declared; the other IVRs must be there.
        reading: see `Reading`.
        pbx: the label of the PBX; actions for another one are passed over.

    Raises:
        DeclarationError: a URL becomes longer than the PBX takes, or see
            `receiver.registration.reception.prepare`.
        RegistrationError: an IVR is not on the PBX.
        PbxError: the PBX could not be read.
    """
    want = wanted(actions, base, secret, epoch, pbx=pbx)  # fails before anything is sent
    staff = reception.prepare(receptionists)
    found = await read_found(client, reading)
    people = await reception.look(client, staff, (ivr for ivr, _ in found), certain=certain)
    all = (*found, *((one.ivr, ()) for one in people if one.op == "create"))
    made = plans.plan(want, all, base, take_over=take_over, certain=certain, pbx=pbx)
    made = replace(made, receptionists=people)
    own = await read_own(client, made) if look else {}
    return replace(made, warnings=lint(made, [ivr.extension_number for ivr, _ in found], own))


async def plan_destroy(
    client: PbxClient, base: str, reading: Reading = lambda done, all: None, *, pbx: str = ""
) -> Plan:
    """The plan that deletes everything ours on all IVRs; errors as for `read_found`."""
    return plans.plan((), await read_found(client, reading), base, pbx=pbx)


async def destroy(
    client: PbxClient,
    base: str,
    progress: Callable[[Change], None] = lambda change: None,
    *,
    pbx: str = "",
) -> Result:
    """Delete everything ours on all IVRs; parameters and errors as for `make_plan` and `apply`."""
    plan = await plan_destroy(client, base, pbx=pbx)
    return await apply(client, plan, allow_deletes=True, progress=progress)


async def apply(
    client: PbxClient,
    plan: Plan,
    *,
    allow_deletes: bool,
    progress: Callable[[Change], None] = lambda change: None,
    hired: Callable[[ReceptionistChange], None] = lambda change: None,
) -> Result:
    """Carry ``plan`` out, read back, and compare.

    Parameters:
        client: of the PBX that the plan was made for.
        plan: of `make_plan` or `plan_destroy`.
        allow_deletes: False leaves the deletes of the plan undone.
        progress: is given each change once it is done.
        hired: the same for receptionists.

    Raises:
        RegistrationError: something is blocked (nothing was sent); a request failed (the text says
            what was done before); or the PBX did not take a field (the text names it).
    """
    if blocked := plan.of("blocked"):
        reasons = "; ".join(f"{change.action.name!r}: {change.reason}" for change in blocked)
        raise RegistrationError(f"nothing was changed, for {reasons}")
    plan, people = await reception.hire(client, plan, hired)
    known = {_key(change) for change in plan.of("delete")}
    done, tries, now = list[Change](), Counter[tuple[str, ...]](), plan
    for _ in range(ROUNDS):
        deletes = [one for one in now.of("delete") if _may_delete(one, known, allow_deletes)]
        changes = (*now.of("create", "update"), *deletes)
        if not changes:
            left = tuple(change for change in now.of("delete") if change not in deletes)
            return Result(tuple(done), left, now, people)
        sent = await carry_out(client, changes, progress)
        done += sent.done
        if sent.failure is not None:
            raise RegistrationError(_failed(sent, len(changes))) from sent.failure[1]
        tries.update(map(_key, sent.done))
        now = await _read_back(client, plan)
        _check_taken(now, tries)
    raise RegistrationError(
        f"after {ROUNDS} rounds there is still something to do: somebody else changes the same "
        "action URLs; run the same command again when they are ready"
    )


def _key(change: Change) -> tuple[str, ...]:
    """What a change is known by in the plans of one `apply`."""
    named = change.op in ("create", "update", "blocked")
    return change.ivr.id, change.op, change.action.name if named else change.action.id


def _may_delete(change: Change, known: set[tuple[str, ...]], allowed: bool) -> bool:
    if _key(change) in known:
        return allowed
    return change.reason == plans.TWICE  # came while we were at it: two have created the same


def _failed(sent: Round, total: int) -> str:
    assert sent.failure is not None  # noqa: S101 - for the type checker
    change, error = sent.failure
    doubt = ", and may have taken effect all the same" if may_have_happened(error) else ""
    before = f": {', '.join(map(str, sent.done))}" if sent.done else ""
    return (
        f"{change} failed{doubt}; {len(sent.done)} of {total} changes were done before{before}; "
        f"run the same command again, it goes on from there. {error}"
    )


async def _read_back(client: PbxClient, plan: Plan) -> Plan:
    """A new plan for the same IVRs."""
    ivrs = {change.ivr.id: change.ivr for change in plan.changes}
    try:
        found = await _read(ivrs.values(), client)
    except PbxError as error:
        raise RegistrationError(
            f"everything was sent, but could not be read back to be sure: {error}"
        ) from error
    now = plans.plan(plan.wanted, found, plan.base, pbx=plan.pbx)
    return replace(now, warnings=plan.warnings, receptionists=plan.receptionists)


def _check_taken(now: Plan, tries: Counter[tuple[str, ...]]) -> None:
    """An update has two tries, for somebody else may have been at it; the rest has one.

    Raises:
        RegistrationError: something is to be done that was done, or something new is blocked.
    """

    def tried(change: Change) -> int:
        ivr, op, name = _key(change)
        created = tries[ivr, "create", name] if op == "update" else 0
        return tries[ivr, op, name] + created + (op == "blocked")

    again = [one for one in now.changes if one.op in _PENDING and tried(one)]
    if any(change.op != "update" or tried(change) > 1 for change in again):
        raise RegistrationError(
            "the PBX accepted everything, but afterwards "
            + "; ".join(map(_complaint, again))
            + ". If somebody else works on it now, run the same command again; otherwise this PBX "
            "does not take these values"
        )


def _complaint(change: Change) -> str:
    name = f"{change.ivr.extension_number}/{line(change.action.name)}"
    match change.op:
        case "update":
            return f"{name} has not what was sent: {', '.join(map(str, change.differences))}"
        case "delete":
            return f"{name} is still there"
        case "blocked":
            return f"{name} is blocked: {change.reason}"
        case _:
            return f"{name} is not there"


async def read_own(client: PbxClient, plan: Plan) -> dict[str, Own]:
    """What the IVRs of ``plan`` do by themselves, by number; without those that cannot be read."""
    numbers = {item.ivr for item in plan.wanted}
    ivrs = {change.ivr.id: change.ivr for change in plan.changes}
    gate, own = asyncio.Semaphore(READS), dict[str, Own]()

    async def one(ivr: IvrSummary) -> None:
        async with gate:
            with contextlib.suppress(PbxError):
                shown = await client.ivrs.show(ivr.id)
                keys = tuple(rule.user_input for rule in shown.custom_forward_rules or ())
                own[ivr.extension_number] = Own(keys, shown.excluded)

    await together(one(ivr) for ivr in ivrs.values() if ivr.extension_number in numbers)
    return own


async def _read(
    ivrs: Iterable[IvrSummary], client: PbxClient, reading: Reading = lambda done, all: None
) -> Found:
    """The action URLs of each IVR, a few at a time; the first error ends it."""
    gate, wanted = asyncio.Semaphore(READS), tuple(ivrs)
    found: dict[str, tuple[ActionUrl, ...]] = {}

    async def one(ivr: IvrSummary) -> None:
        async with gate:
            found[ivr.id] = await client.list_action_urls(ivr.id)
        reading(len(found), len(wanted))

    await together(one(ivr) for ivr in wanted)
    return tuple((ivr, found[ivr.id]) for ivr in wanted)
