"""Disable or enable action URLs, so that the IVRs' own menus take the calls meanwhile.

Rule 1: only what points to this service (`receiver.registration.urls`); and only what is declared
        enabled comes back, that of a renamed action under its former name included.
Rule 2: the PBX holds the only state. A header of the action URL, `MARK`, says what switched it
        off; it is never sent, because a PBX sends no callbacks to one that is off. A guard on
        any machine sees what a drain did, and switches on only what a guard switched off.
Rule 3: everything else is sent back as it was found, but for credentials that the PBX hides: those
        are what they ought to be, or a mask would be stored in their place. Where the owner mark
        is that of another ``RECEIVER_SECRET`` they cannot be known, and are left out.
Rule 4: switching off what is off gives nothing to do; a drain takes over what a guard switched off.

For `plan` and `apply` an action URL that is off, and its mark, are differences like any other:
`apply` switches it on.

Values in, values out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from receiver.credentials import Secret
from receiver.pbx.models import ActionUrl, IvrSummary
from receiver.registration.changes import Change, Difference
from receiver.registration.compare import hidden_fields, hides_credentials, is_ahead
from receiver.registration.desired import DesiredActionUrl
from receiver.registration.ownership import mark_of as owner_of
from receiver.registration.ownership import pairs
from receiver.registration.plans import Actual
from receiver.registration.urls import is_below, key

MARK = "Receiver-Off"
"""The header that says who switched an action URL off."""

By = Literal["drain", "guard"]
"""A person, or `receiver guard`."""


def switch_off(
    desired: Iterable[DesiredActionUrl], actual: Actual, base: str, by: By, *, pbx: str = ""
) -> tuple[Change[ActionUrl], ...]:
    """Return the updates after which no managed action URL is enabled.

    Parameters:
        desired: what is declared, for the credentials that the PBX hides.
        actual: the actual ones.
        base: the public URL of this service: with ``pbx`` it decides what is managed.
        by: who does it.
        pbx: the label of the PBX.
    """
    return tuple(
        _update(ivr, item, want, on=False, mark=by)
        for ivr, item, want in _ours(desired, actual, base, pbx)
        if item.enabled or (by == "drain" and mark_of(item) == "guard")
    )


def switch_on(
    desired: Iterable[DesiredActionUrl], actual: Actual, base: str, by: By, *, pbx: str = ""
) -> tuple[Change[ActionUrl], ...]:
    """The updates after which all that is declared enabled is so, and nothing bears a mark.

    Parameters are those of `switch_off`. ``"guard"`` leaves alone what it did not switch off.
    """
    changes = []
    for ivr, item, want in _ours(desired, actual, base, pbx):
        mark = mark_of(item)
        if by == "guard" and mark != "guard":
            continue
        enabled = want is not None and want.action.enabled
        if mark or (enabled and not item.enabled):
            changes.append(_update(ivr, item, want, on=enabled or bool(item.enabled), mark=""))
    return tuple(changes)


def mark_of(item: ActionUrl) -> str:
    """Return who disabled ``item``; empty if it has no mark."""
    marks = (value for name, value in pairs(item.headers) if name.lower() == MARK.lower())
    return next(marks, "")


def missing(
    desired: Iterable[DesiredActionUrl], actual: Actual, base: str, *, pbx: str = ""
) -> tuple[DesiredActionUrl, ...]:
    """Return what is declared enabled and not on the PBX at all; parameters as for `switch_off`."""
    desired = tuple(desired)
    on_pbx = {want for _, _, want in _ours(desired, actual, base, pbx) if want is not None}
    return tuple(
        want for want in desired if want.action.enabled and on_pbx.isdisjoint((want, want.was))
    )


def _ours(
    desired: Iterable[DesiredActionUrl], actual: Actual, base: str, pbx: str
) -> Iterator[tuple[IvrSummary, ActionUrl, DesiredActionUrl | None]]:
    both = (want for item in desired for want in (item, item.was) if want is not None)
    declared = {(want.ivr, key(want.action.url)): want for want in both}
    for ivr, items in actual:
        for item in items:
            if is_below(item.url, base, pbx):
                yield ivr, item, declared.get((ivr.extension_number, key(item.url)))


def _update(
    ivr: IvrSummary, item: ActionUrl, want: DesiredActionUrl | None, *, on: bool, mark: str
) -> Change[ActionUrl]:
    kept = [pair for pair in pairs(item.headers) if pair[0].lower() != MARK.lower()]
    whole = [*kept, (MARK, mark)] if mark else kept
    headers = "&".join(f"{name}:{value}" for name, value in whole)
    action = msgspec.structs.replace(_sendable(item, want), enabled=on, headers=headers)
    clear = ("headers",) if item.headers and not headers else ()
    was = bool(item.enabled)
    drift = (Difference("enabled", was, on),) if was != on else ()
    return Change("update", ivr, action, drift, clear, before=item)


def _sendable(item: ActionUrl, want: DesiredActionUrl | None) -> ActionUrl:
    """``item`` with credentials that a PBX can store."""
    hidden = hidden_fields(item)
    if not hidden:
        return item
    if want is None or item.auth.upper() != want.action.auth or _has_other_mark(item, want):
        return _fill(item, ActionUrl(), hidden)  # which they were cannot be known: left out
    source = want.action
    if want.coming is not None:
        unread = hides_credentials(item, want.action)
        source = want.coming if is_ahead(item, source, want.coming, hidden=unread) else source
    return _fill(item, source, ("username", "password", "token"))


def _has_other_mark(item: ActionUrl, want: DesiredActionUrl) -> bool:
    """Whether ``item`` was registered with another secret, so its credentials are not ours."""
    return owner_of(item.headers) not in ("", owner_of(want.action.headers))


def _fill(item: ActionUrl, source: ActionUrl, fields: Sequence[str]) -> ActionUrl:
    values: dict[str, str | Secret] = {name: getattr(source, name) for name in fields}
    return msgspec.structs.replace(item, **values)
