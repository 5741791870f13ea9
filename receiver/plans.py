"""Wanted against found: what has to change on a PBX.

Rule 1: ours is what points to ``base/action/<ivr number>/<name>``, and nothing else. What is not
        ours is listed and never touched.
Rule 2: on one IVR, what is wanted and what is found belong together by URL, then by name.
Rule 3: only what can be known is compared: a secret that the PBX hides, or the credentials of a
        mode that is not used, are no drift.
Rule 4: planning the outcome of a plan gives nothing to do.
Rule 5: nothing here prints a secret; header values and foreign URLs count as secrets too.

Values in, values out: no network, no clock.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args
from urllib.parse import unquote, urlsplit

import msgspec

from receiver.actions import Action
from receiver.errors import MaskError, RegistrationError
from receiver.masks import Mask
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

_HIDDEN = "***"
_OURS = re.compile(r"/action/[0-9]{3,64}/[^/]+")
_PORTS = {"http": 80, "https": 443}
_CLEAR = re.compile(r"[a-z0-9]+")
_HASH = re.compile(r"[0-9a-f]{40,}|(?=.*[0189])[0-9a-f]{32}")  # ours has neither 0, 1, 8 nor 9
_CREDENTIALS = {
    "BASIC": ("username", "password"),
    "DIGEST": ("username", "password"),
    "BEARER": ("token",),
}
_PLAIN = ("name", "enabled", "connection_timeout", "request_timeout")
_WORDS = ("type", "method", "auth")
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
class Difference:
    """A field that is not as wanted; the values are text for people, secrets masked."""

    field: str
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.field}: {self.before or '(none)'} → {self.after or '(none)'}"


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
        return f"{self.op} {self.ivr.extension_number}/{_line(self.action.name)}"


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

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.pending)


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
        RegistrationError: an IVR is not on the PBX, or two declarations have one URL.
    """
    wanted = tuple(wanted)
    _check_ivrs(wanted, [ivr for ivr, _ in found])
    changes = []
    for ivr, action_urls in sorted(found, key=lambda pair: pair[0].extension_number):
        here = [item for item in wanted if item.ivr == ivr.extension_number]
        changes += _plan_ivr(ivr, here, action_urls, base)
    return Plan(base, wanted, tuple(changes))


def is_ours(url: str, base: str) -> bool:
    """Whether ``url`` is one of an action of the service at ``base``.

    The whole shape ``base/action/<ivr number>/<name>`` is asked for, so that services at
    ``https://host``, ``https://host/app`` and ``https://host/application`` do not own each
    other's.
    """
    mine, theirs = _parts(base), _parts(url)
    if mine is None or theirs is None or mine[0] != theirs[0]:
        return False
    prefix, path = mine[1].rstrip("/"), theirs[1]
    rest = _OURS.fullmatch(path.removeprefix(prefix))
    return path.startswith(prefix) and rest is not None and path.rpartition("/")[2] not in _DOTS


def same_url(one: str, other: str) -> bool:
    """Whether two URLs lead to the same action: a query does not count, nor does spelling."""
    return one == other or (_key(one) is not None and _key(one) == _key(other))


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


def _check_ivrs(wanted: Sequence[Wanted], ivrs: Sequence[IvrSummary]) -> None:
    numbers = {ivr.extension_number for ivr in ivrs}
    if missing := sorted({item.ivr for item in wanted} - numbers):
        where = next(item.where for item in wanted if item.ivr == missing[0])
        raise RegistrationError(
            f"there is no IVR {', '.join(missing)} on the PBX{f' ({where})' if where else ''}: "
            f"{known_ivrs(ivrs, missing[0])}; correct the number, or create the IVR first"
        )
    twice = Counter((item.ivr, _key(item.action.url)) for item in wanted)
    for item in wanted:
        if twice[item.ivr, _key(item.action.url)] > 1:
            raise RegistrationError(
                f"IVR {item.ivr} has two declarations named {item.action.name!r} ({item.where}): "
                "give one of them another name="
            )


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
            f"service ({_origin(clash.url)}): remove or rename it there, or use another name="
        )
        return Change("blocked", ivr, action, reason=reason, where=want.where)
    if found is None:
        return Change("create", ivr, action, where=want.where)
    action = msgspec.structs.replace(action, id=found.id)
    differences = tuple(_differences(action, found))
    if not differences:
        return Change("keep", ivr, found, where=want.where)
    clear = ("headers",) if found.headers and not action.headers else ()
    return Change("update", ivr, action, differences, clear, where=want.where)


# one action URL ------------------------------------------------------------------------------


def _differences(want: ActionUrl, found: ActionUrl) -> Iterator[Difference]:
    for field in _PLAIN:
        before, after = getattr(found, field), getattr(want, field)
        if before != after:
            yield Difference(field, _text(before), _text(after))
    for field in _WORDS:
        before, after = getattr(found, field).upper(), getattr(want, field)
        if before != after:
            yield Difference(field, _text(before), after)
    mask = "caller_mask" if want.type == "CALLER" else "dtmf_mask"
    before, after = getattr(found, mask), getattr(want, mask)
    if _mask(before) != _mask(after):
        yield Difference(mask, _line(before), after)
    if _headers(found.headers) != _headers(want.headers):
        yield Difference("headers", _names(found.headers), _names(want.headers))
    if _exact(found.url) != _exact(want.url):
        yield Difference("url", _line(found.url), want.url)
    for field in _CREDENTIALS.get(want.auth, ()):
        before, after = _reveal(getattr(found, field)), _reveal(getattr(want, field))
        if _is_known(before) and before != after:
            yield Difference(field, _HIDDEN, _HIDDEN)


def _reveal(value: str | Secret) -> str:
    return value.reveal() if isinstance(value, Secret) else value


def _is_known(text: str) -> bool:
    """Whether the PBX gave a credential back as it is, neither left out nor masked nor hashed."""
    return _CLEAR.fullmatch(text) is not None and _HASH.fullmatch(text) is None


def _mask(text: str) -> frozenset[str] | str:
    try:
        return frozenset(map(str, Mask.parse(text)))
    except MaskError:
        return text


def _headers(text: str) -> frozenset[tuple[str, str]]:
    pairs = (pair.partition(":") for pair in text.split("&") if pair.strip())
    return frozenset((name.strip().lower(), value.strip()) for name, _, value in pairs)


def _names(headers: str) -> str:
    """Headers without their values, which may be secret."""
    pairs = (pair.partition(":") for pair in headers.split("&") if pair.strip())
    return "&".join(f"{_line(name)}:{_HIDDEN}" for name, _, _ in pairs)


# URLs ----------------------------------------------------------------------------------------

_DOTS = (".", "..")


def _parts(url: str) -> tuple[tuple[str, str, int | None], str, str] | None:
    """What is reached, the path, and the rest of a URL in one spelling; None if it is none."""
    try:
        split = urlsplit(url.strip())
        port = split.port
    except ValueError:
        return None
    if not split.hostname or "@" in split.netloc:
        return None
    scheme = split.scheme.lower()
    where = (scheme, split.hostname, port or _PORTS.get(scheme))
    return where, unquote(split.path), f"{split.query}#{split.fragment}"


def _key(url: str) -> tuple[tuple[str, str, int | None], str] | None:
    """What two URLs of one action have in common."""
    parts = _parts(url)
    return parts[:2] if parts else None


def _exact(url: str) -> object:
    return _parts(url) or url


def _origin(url: str) -> str:
    """The host that a foreign URL leads to, and no more: its path may be a secret."""
    parts = _parts(url)
    return _line(f"{parts[0][0]}://{parts[0][1]}/…") if parts else "not a URL"


# for people, and for programs ----------------------------------------------------------------


def render(plan: Plan) -> str:
    """The plan for people: a line each, with one of `SYMBOLS`, and the sum at the end."""
    return "\n".join(_lines(plan))


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan for programs: plain data, secrets masked as in `render`."""
    return {
        "pending": bool(plan),
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
        title = f"IVR {change.ivr.extension_number} {_line(change.ivr.name)}".rstrip()
        if title != heading:
            yield title
            heading = title
        yield f"  {SYMBOLS[change.op]} {_line(change.action.name)}  {_summary(change)}".rstrip()
        for difference in change.differences:
            yield f"      {difference}"
    if not plan:
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
            return f"{_line(action.url)} ({change.reason})"
        case "foreign":
            return f"{_origin(action.url)} (not ours, left alone)"
        case "blocked":
            return change.reason
        case _:
            return ""


def _url(change: Change) -> str:
    return _origin(change.action.url) if change.op == "foreign" else change.action.url


def _text(value: object) -> str:
    return ("no", "yes")[value] if isinstance(value, bool) else _line(str(value))


def _line(text: str) -> str:
    """One line that a terminal can be shown."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
