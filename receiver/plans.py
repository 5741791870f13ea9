"""Wanted against found: what has to change on a PBX.

Rule 1: what is not ours (`receiver.drift` tells) is listed and never touched.
Rule 2: on one IVR, what is wanted and what is found belong together by URL, then by name.
Rule 3: planning the outcome of a plan gives nothing to do.
Rule 4: a name that another service uses on the same IVR is not taken over: that is blocked.
Rule 5: nothing here prints a secret.

Values in, values out: no network, no clock.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import msgspec

from receiver.actions import Action
from receiver.drift import Difference, differences, is_ours, key, line, origin, same_url
from receiver.errors import RegistrationError
from receiver.pbx.models import ActionUrl, IvrSummary, known_ivrs
from receiver.secrets import Secret, derive

Op = Literal["create", "update", "delete", "keep", "foreign", "blocked"]

SYMBOLS: dict[Op, str] = {
    "create": "+",
    "update": "~",
    "delete": "-",
    "keep": "=",
    "foreign": "?",
    "blocked": "!",
}
"""What a line of the printout begins with."""

Found = Sequence[tuple[IvrSummary, Sequence[ActionUrl]]]
"""The IVRs of a PBX, each with all of its action URLs."""

_MODES = {None: "DISABLE", "basic": "BASIC", "digest": "DIGEST", "bearer": "BEARER"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """An action URL that there shall be.

    Attributes:
        ivr: the extension number of its IVR.
        action: all of it, secrets included, without an id.
        where: ``file:line`` of the declaration.
    """

    ivr: str
    action: ActionUrl
    where: str = ""


@dataclass(frozen=True, slots=True)
class Change:
    """One line of a plan.

    Attributes:
        op: what to do.
        ivr: where.
        action: for a create, update or blocked one what shall be, with the id of what it
            replaces; otherwise what is there.
        differences: for an update, why.
        clear: for an update, the fields to empty.
        reason: for what is blocked or deleted, why.
        where: ``file:line`` of the declaration, if there is one.
    """

    op: Op
    ivr: IvrSummary
    action: ActionUrl
    differences: tuple[Difference, ...] = ()
    clear: tuple[str, ...] = ()
    reason: str = ""
    where: str = ""

    def __str__(self) -> str:
        return f"{self.op} {self.ivr.extension_number}/{line(self.action.name)}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What has to change, and what it was computed from."""

    base: str
    wanted: tuple[Wanted, ...]
    changes: tuple[Change, ...]

    def of(self, *ops: Op) -> tuple[Change, ...]:
        """The changes with one of these ops."""
        return tuple(change for change in self.changes if change.op in ops)

    @property
    def pending(self) -> tuple[Change, ...]:
        """What is not yet as it should be; empty if there is nothing to do."""
        return self.of("create", "update", "delete", "blocked")


def wanted(
    actions: Iterable[Action], base: str, secret: Secret, epoch: int = 1
) -> tuple[Wanted, ...]:
    """The action URLs that a PBX should have for ``actions``.

    Parameters:
        actions: the declarations.
        base: the public URL of this service.
        secret: the service's, from which the credentials are derived.
        epoch: counts rotations of the credentials, from 1.

    Raises:
        DeclarationError: a URL becomes longer than the PBX takes.
    """
    return tuple(
        Wanted(action.ivr, _action_url(action, base.rstrip("/"), secret, epoch), action.where)
        for action in actions
    )


def plan(wanted: Iterable[Wanted], found: Found, base: str) -> Plan:
    """Compare.

    Parameters:
        wanted: what there shall be; nothing at all plans the removal of everything ours.
        found: what there is.
        base: the public URL of this service: it decides what is ours.

    Raises:
        RegistrationError: an IVR is not on the PBX, two declarations have one URL, or ``base`` is
            no URL.
    """
    wanted = tuple(wanted)
    _check(wanted, [ivr for ivr, _ in found], base)
    changes: list[Change] = []
    for ivr, action_urls in sorted(found, key=_by_number):
        here = [item for item in wanted if item.ivr == ivr.extension_number]
        changes += _plan_ivr(ivr, here, action_urls, base)
    return Plan(base, wanted, tuple(changes))


# what is wanted ------------------------------------------------------------------------------


def _action_url(action: Action, base: str, secret: Secret, epoch: int) -> ActionUrl:
    credentials = derive(secret, action.identity, epoch)
    named = action.auth in ("basic", "digest")
    return ActionUrl(
        name=action.name,
        enabled=action.enabled,
        type=action.kind,
        method=action.method,
        headers=action.header_text,
        caller_mask=str(action.mask) if action.kind == "CALLER" else "",
        dtmf_mask=str(action.mask) if action.kind == "DTMF" else "",
        connection_timeout=action.connection_timeout,
        request_timeout=action.request_timeout,
        url=action.url(base),
        auth=_MODES[action.auth],
        username=credentials.username if named else "",
        password=credentials.password if named else Secret(""),
        token=credentials.token if action.auth == "bearer" else Secret(""),
    )


def _check(wanted: Sequence[Wanted], ivrs: Sequence[IvrSummary], base: str) -> None:
    numbers = {ivr.extension_number for ivr in ivrs}
    if missing := sorted({item.ivr for item in wanted} - numbers):
        where = next(item.where for item in wanted if item.ivr == missing[0])
        raise RegistrationError(
            f"there is no IVR {', '.join(missing)} on the PBX{f' ({where})' if where else ''}: "
            f"{known_ivrs(ivrs, missing[0])}; correct the number, or create the IVR first"
        )
    twice = Counter((item.ivr, key(item.action.url)) for item in wanted)
    for item in wanted:
        if not is_ours(item.action.url, base):  # it would not be found again
            raise RegistrationError(
                f"the URL of {item.action.name!r} does not lie below {line(base)!r}: correct "
                "RECEIVER_PUBLIC_URL, as in https://ivr.example.com"
            )
        if twice[item.ivr, key(item.action.url)] > 1:
            raise RegistrationError(
                f"IVR {item.ivr} has two declarations named {item.action.name!r} ({item.where}): "
                "give one of them another name="
            )


def _by_number(pair: tuple[IvrSummary, object]) -> tuple[int, str]:
    return len(pair[0].extension_number), pair[0].extension_number


# one IVR -------------------------------------------------------------------------------------


def _plan_ivr(
    ivr: IvrSummary, wanted: Sequence[Wanted], found: Sequence[ActionUrl], base: str
) -> Iterator[Change]:
    ours = [item for item in found if is_ours(item.url, base)]
    foreign = [item for item in found if not is_ours(item.url, base)]
    pairs = _pair(wanted, ours)
    taken = {item.name.lower(): item for item in foreign}
    for want in wanted:
        yield _change(ivr, want, pairs.get(want.action.url), taken)
    kept = [id(item) for item in pairs.values()]
    for item in ours:
        if id(item) not in kept:
            known = any(same_url(item.url, want.action.url) for want in wanted)
            reason = "there twice" if known else "no longer declared"
            yield Change("delete", ivr, item, reason=reason)
    for item in foreign:
        yield Change("foreign", ivr, item)


def _pair(wanted: Sequence[Wanted], ours: Sequence[ActionUrl]) -> dict[str, ActionUrl]:
    """What was found for each wanted URL: the first with that URL, else the first of that name."""
    pairs: dict[str, ActionUrl] = {}
    free = list(ours)
    for match in (
        lambda want, item: same_url(item.url, want.url),
        lambda want, item: item.name == want.name,
    ):
        for want in (item.action for item in wanted if item.action.url not in pairs):
            for i, item in enumerate(free):
                if match(want, item):
                    pairs[want.url] = free.pop(i)
                    break
        # What stands there twice is not adopted by another declaration: it will be deleted.
        free = [item for item in free if not any(same_url(item.url, url) for url in pairs)]
    return pairs


def _change(
    ivr: IvrSummary, want: Wanted, found: ActionUrl | None, taken: dict[str, ActionUrl]
) -> Change:
    action, clash = want.action, taken.get(want.action.name.lower())
    if clash is not None and (found is None or found.name.lower() != action.name.lower()):
        reason = (
            f"IVR {ivr.extension_number} has an action URL of this name that belongs to another "
            f"service ({origin(clash.url)}): remove or rename it there, or use another name="
        )
        return Change("blocked", ivr, action, reason=reason, where=want.where)
    if found is None:
        return Change("create", ivr, action, where=want.where)
    action = msgspec.structs.replace(action, id=found.id)
    drift = tuple(differences(action, found))
    if not drift:
        return Change("keep", ivr, found, where=want.where)
    clear = ("headers",) if found.headers and not action.headers else ()
    return Change("update", ivr, action, drift, clear, where=want.where)


# for people, and for programs ----------------------------------------------------------------


def render(plan: Plan) -> str:
    """The plan for people: a line each, with one of `SYMBOLS`, and the sum at the end."""
    return "\n".join(_lines(plan))


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan for programs: plain data, secrets masked as in `render`."""
    return {
        "pending": bool(plan.pending),
        "counts": {op: len(plan.of(op)) for op in get_args(Op)},
        "changes": [
            {
                "op": change.op,
                "ivr": change.ivr.extension_number,
                "name": change.action.name,
                "id": change.action.id or None,
                "url": _url(change),
                "reason": change.reason or None,
                "where": change.where or None,
                "fields": [
                    {"field": item.field, "from": item.before, "to": item.after}
                    for item in change.differences
                ],
            }
            for change in plan.changes
        ],
    }


def _lines(plan: Plan) -> Iterator[str]:
    heading = ""
    for change in plan.changes:
        title = f"IVR {change.ivr.extension_number} {line(change.ivr.name)}".rstrip()
        if title != heading:
            yield title
            heading = title
        yield f"  {SYMBOLS[change.op]} {line(change.action.name)}  {_summary(change)}".rstrip()
        for difference in change.differences:
            yield f"      {difference}"
    if not plan.pending:
        yield "Nothing to do."
        return
    words = ("to create", "to update", "to delete", "unchanged", "foreign", "blocked")
    counts = [(len(plan.of(op)), word) for op, word in zip(get_args(Op), words, strict=True)]
    yield "Plan: " + ", ".join(f"{count} {word}" for count, word in counts if count) + "."


def _summary(change: Change) -> str:
    action = change.action
    match change.op:
        case "create":
            auth = "no authentication" if action.auth == "DISABLE" else action.auth.lower()
            return f"{action.type} {action.mask}, {action.method}, {auth}, {action.url}"
        case "delete":
            return f"{line(action.url)} ({change.reason})"
        case "foreign":
            return f"{origin(action.url)} (not ours, left alone)"
        case "blocked":
            return change.reason
        case _:
            return ""


def _url(change: Change) -> str:
    return origin(change.action.url) if change.op == "foreign" else change.action.url
