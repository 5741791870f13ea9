"""Read a PBX, plan, apply and verify.

Rule 1: unmanaged action URLs (see `receiver.registration.plans`) are never touched. A plan with a
        blocked change is refused before anything is sent.
Rule 2: declared IVRs come first, then creates and updates in the sequence of
        `receiver.registration.sequence`, then deletes. Requests for one IVR are sent one after the
        other, those for several IVRs up to eight at once.
Rule 3: after a failure at any moment the same command can be repeated. A create whose answer was
        lost is looked up before it is sent again.
Rule 4: what was applied is read back and compared. Remaining differences may come from another
        client, so they are read again after a random pause and corrected in a few more rounds.
Rule 5: nothing is deleted that the plan did not show, except duplicates of this service's own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Unpack

from receiver.credentials import Secret
from receiver.declarations.actions import Action
from receiver.declarations.desired_ivr import DesiredIvr
from receiver.errors import PbxError, RegistrationError
from receiver.pbx.api_errors import may_have_happened
from receiver.pbx.models import ActionUrl
from receiver.pbx.pbx_client import PbxClient
from receiver.phone_numbers.numbers import NumberFormat
from receiver.registration import ivr_changes, plans
from receiver.registration.actual_state import (
    Reading,
    read_action_urls,
    read_actual,
    read_event_url,
    read_rules,
)
from receiver.registration.changes import Change, Plan, R_co, Resource
from receiver.registration.concurrency import random_delay
from receiver.registration.desired import DesiredEventUrl, desired_action_urls
from receiver.registration.holiday_changes import plan_holidays
from receiver.registration.ivr_changes import plan_ivrs
from receiver.registration.lints import lint, with_declared
from receiver.registration.ownership import owner_mark
from receiver.registration.plan_requests import Progress, Round, send
from receiver.registration.render import complaints, listed, reasons
from receiver.text import counted

ROUNDS = 8
"""The number of rounds in which changes of another client are corrected."""

MAX_UPDATES = 3
"""The number of times that an update is sent which another client may have undone."""


@dataclass(frozen=True, slots=True)
class Result:
    """The result of an `apply`.

    Attributes:
        done: the changes that were made, in sequence.
        left: deletes that were not allowed, and so are left to do.
        after: the plan that was made afterwards, to verify.
    """

    done: tuple[Change[Resource], ...]
    left: tuple[Change[Resource], ...]
    after: Plan


async def make_plan(
    client: PbxClient,
    actions: Iterable[Action],
    base: str,
    secret: Secret,
    epoch: int = 1,
    *,
    look: bool = False,
    ivrs: Iterable[DesiredIvr] = (),
    reading: Reading = lambda done, all: None,
    number_format: NumberFormat = "automatic",
    speak: ivr_changes.Speak | None = None,
    event_url: DesiredEventUrl | None = None,
    **options: Unpack[plans.Options],
) -> Plan:
    """Read the PBX and return what has to change; nothing is changed.

    Parameters:
        client: of the PBX.
        actions: the declarations; those for another PBX are skipped.
        base, secret, epoch: as for `receiver.registration.desired.desired_action_urls`.
        look: read the IVRs too, for the warnings about their own menus.
        ivrs: the declared IVRs; the others must be on the PBX.
        event_url: the desired event URL of the tenant; None leaves the tenant alone, unread.
        speak: as for `receiver.registration.ivr_changes.plan_ivrs`; `apply` needs it.
        number_format, reading, options: see `NumberFormat`, `Reading` and `plans.Options`.

    Raises:
        DeclarationError: a URL is too long or there twice, or see `ivr_changes.prepare`.
        SettingsError: ``base`` is no URL.
        RegistrationError: a spoken prompt cannot be made. PbxError: the PBX could not be read.
    """
    pbx, certain = options.get("pbx", ""), options.get("certain", False)
    desired = desired_action_urls(actions, base, secret, epoch, pbx=pbx)  # fails before a request
    desired_ivrs = ivr_changes.prepare(ivrs)
    actual = await read_actual(client, reading)
    on_pbx = [ivr for ivr, _ in actual]
    changes = await plan_ivrs(client, desired_ivrs, on_pbx, certain=certain, speak=speak)
    made = plans.plan(desired, actual, base, ivrs=changes, owner=owner_mark(secret, pbx), **options)
    made = replace(made, holidays=await plan_holidays(client, desired_ivrs))
    made = plans.with_event_url(made, event_url, await read_event_url(client, event_url), **options)
    rules = with_declared(await read_rules(client, made) if look else {}, desired_ivrs)
    numbers = (ivr.extension_number for ivr in on_pbx)
    return replace(made, warnings=lint(made, numbers, rules, number_format))


async def plan_destroy(
    client: PbxClient,
    base: str,
    reading: Reading = lambda done, all: None,
    *,
    pbx: str = "",
    owner: str = "",
    former: str = "",
    event_url: DesiredEventUrl | None = None,
) -> Plan:
    """Return the plan that deletes all managed action URLs, and disables a managed event URL.

    Errors as for `read_actual`.

    Parameters as for `make_plan`; without ``owner`` (`owner_mark`) the public URL alone decides.
    """
    actual = await read_actual(client, reading)
    made = plans.plan((), actual, base, pbx=pbx, owner=owner, former=former)
    undeclared = event_url and replace(event_url, url=None, coming=None)
    made = plans.with_event_url(made, undeclared, await read_event_url(client, undeclared))
    changes, event_urls = map(_to_destroy, made.changes), map(_to_destroy, made.event_urls)
    return replace(made, changes=tuple(changes), event_url=next(event_urls, None))


def _to_destroy(change: Change[R_co]) -> Change[R_co]:
    """Return a change with the reason that all of them are deleted."""
    return replace(change, reason=plans.MANAGED) if change.op == "delete" else change


async def apply(
    client: PbxClient,
    plan: Plan,
    *,
    allow_deletes: bool,
    progress: Progress = lambda change: None,
) -> Result:
    """Make the changes of ``plan``, read back, and compare.

    Parameters:
        client: of the PBX that the plan was made for.
        plan: returned by `make_plan` or `plan_destroy`.
        allow_deletes: False leaves the deletes of the plan undone.
        progress: called with each change once it is made.

    Raises:
        RegistrationError: something is blocked (nothing was sent); a request failed (the text says
            what was done before); or the PBX did not store a field, or an IVR (the text names it).
    """
    if blocked := plan.each("blocked"):
        raise RegistrationError(f"nothing was changed: {reasons(blocked)}")
    known = {_key(change) for change in plan.each("delete")}
    total, tries = len(_to_do(plan, known, allow_deletes)), Counter[tuple[str, ...]]()
    done, refused, now = list[Change[Resource]](), dict[str, ivr_changes.Failure](), plan
    for number in range(1, ROUNDS + 1):
        changes = _to_do(now, known, allow_deletes and not refused)
        if not changes:
            ivr_changes.check_refused(refused, done, total)
            return Result(tuple(done), now.each("delete"), now)
        sent = await send(client, changes, progress, now.holiday_ids)
        done += sent.done
        if sent.failure is not None:
            raise RegistrationError(_failed(sent, len(changes))) from sent.failure[1]
        refused |= sent.refused
        plan = plan.with_ivrs(sent.ivrs, refused)
        tries.update(map(_key, sent.done))
        now = await _read_back(client, plan)
        if _to_do(now, known, allow_deletes and not refused):
            await client.sleep(random_delay(number))
            now = await _read_back(client, plan)
        _check_taken(now, tries)
    raise RegistrationError(
        f"after {ROUNDS} rounds changes are left: another client changes the same action URLs; run "
        "the same command again when it has finished"
    )


def _key(change: Change[Resource]) -> tuple[str, ...]:
    """Return what identifies a change in the plans of one `apply`."""
    if change.op == "delete" and isinstance(change.resource, ActionUrl):
        return change.op, change.name, change.resource.id
    return change.op, change.name


def _to_do(
    now: Plan, known: set[tuple[str, ...]], allow_deletes: bool
) -> tuple[Change[Resource], ...]:
    deletes = (one for one in now.each("delete") if _may_delete(one, known, allow_deletes))
    return (*(one for one in now.all if one.op in ("create", "update")), *deletes)


def _may_delete(change: Change[Resource], known: set[tuple[str, ...]], allowed: bool) -> bool:
    if _key(change) in known:
        return allowed
    return change.reason == plans.DUPLICATE  # two clients created the same


def _failed(sent: Round, total: int) -> str:
    assert sent.failure is not None  # noqa: S101 - for the type checker
    change, error = sent.failure
    cure = ivr_changes.cure(change, error)
    doubt = ", and may have taken effect anyway" if may_have_happened(error) else ""
    before = f" ({listed(sent.done)})" if sent.done else ""
    return (
        f"{change} failed{doubt}; {len(sent.done)} of {counted(total, 'change')} done before"
        f"{before}; run the same command again, it continues from there. {error}{cure}"
    )


async def _read_back(client: PbxClient, plan: Plan) -> Plan:
    """A new plan for the same IVRs."""
    ivrs = {change.ivr.id: change.ivr for change in plan.changes if change.op != "missing"}
    try:
        actual = await read_action_urls(client, ivrs.values())
        event_url = await read_event_url(client, plan.desired_event_url)
    except PbxError as error:
        raise RegistrationError(
            f"everything was sent, but could not be read back to be sure: {error}"
        ) from error
    return plans.plan_again(plan, actual, event_url)


def _check_taken(now: Plan, tries: Counter[tuple[str, ...]]) -> None:
    """Check what is left after a round: another client may undo an update `MAX_UPDATES` times.

    Raises:
        RegistrationError: a change is left that was made, or something new is blocked.
    """

    def tried(change: Change[Resource]) -> int:
        op, *name = _key(change)
        created = tries["create", *name] if op == "update" else 0
        return tries[op, *name] + created + (op == "blocked")

    again = [one for one in now.each("create", "update", "delete", "blocked") if tried(one)]
    if any(change.op != "update" or tried(change) >= MAX_UPDATES for change in again):
        raise RegistrationError(
            "the PBX accepted everything, but afterwards "
            + complaints(again)
            + ". If another client changes it now, run the same command again; otherwise this PBX "
            "does not take these values"
        )
