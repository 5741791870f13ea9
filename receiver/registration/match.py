"""Pair desired with actual action URLs, and explain name conflicts.

Rule 1: on one IVR, a desired and an actual action URL are paired by their URL, then by the action
        that they lead to, at this public URL or the former one, then by name, then by the former
        name of a renamed action, so that its action URL is updated in place. Of several the one
        with the declared name counts, then the one with the smallest id, so that two operators who
        compare at the same time get the same pairs, in any order of their lists.
Rule 2: a text names the setting that may be wrong before it names an option that changes the
        action URL of a running service.
Rule 3: of a URL of another service only the host is printed: its path may be a
        secret.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from receiver.pbx.models import ActionUrl
from receiver.registration.desired import DesiredActionUrl
from receiver.registration.ownership import Ownership
from receiver.registration.urls import Location, key, origin, parse
from receiver.text import line

UNDECLARED = "it is no longer declared"
"""The reason to delete any other action URL that is not declared."""

_BESIDE = "Beside another installation, use another name= and another RECEIVER_SECRET"


def pair(
    desired: Sequence[DesiredActionUrl], managed: Sequence[ActionUrl], whose: Ownership
) -> dict[str, ActionUrl]:
    """Return the actual action URL for each desired URL.

    Parameters:
        desired: the desired action URLs of one IVR.
        managed: the managed action URLs there.
        whose: tells which action a URL leads to.
    """
    pairs: dict[str, ActionUrl] = {}
    free = sorted(managed, key=_by_id)
    todo = [(item.action, item.action) for item in desired]
    renamed = [(item.action, item.was.action) for item in desired if item.was]

    def action(item: ActionUrl) -> object:
        return action_of(item, whose)

    for identify, wants in ((_url, todo), (action, todo), (_name, todo), (action, renamed)):
        candidates: dict[object, list[ActionUrl]] = {}
        for item in free:
            candidates.setdefault(identify(item), []).append(item)
        for want, named in wants:
            same = candidates.get(identify(named))
            if want.url not in pairs and same:
                best = next((item for item in same if item.name == named.name), same[0])
                pairs[want.url] = best
                candidates[identify(named)] = [item for item in same if item is not best]
        # A duplicate is not adopted by another declaration: it will be deleted.
        taken = {id(item) for item in pairs.values()}
        paired_urls = {key(url) for url in pairs}
        free = [item for item in free if id(item) not in taken and _url(item) not in paired_urls]
    return pairs


def action_of(item: ActionUrl, whose: Ownership) -> object:
    """Return a value that all action URLs of one action share, at any public URL."""
    target = whose.leads_to(item)
    return target[1:] if target else id(item)


def former(want: DesiredActionUrl, actual: ActionUrl, whose: Ownership) -> DesiredActionUrl | None:
    """Return ``want`` under its former name, if ``actual`` leads to that; None otherwise."""
    was = want.was
    return was if was and action_of(was.action, whose) == action_of(actual, whose) else None


def _url(item: ActionUrl) -> object:
    return key(item.url)


def _name(item: ActionUrl) -> object:
    return item.name


def rivalry(want: ActionUrl, rival: ActionUrl, whose: Ownership) -> str:
    """Return why ``want`` cannot be created beside ``rival``, which has its name, and the cure.

    The text does not name the IVR, so that those of several IVRs are printed once.
    """
    here = "the IVR has an action URL of this name that"
    target = whose.leads_to(rival)
    if target is None or action_of(want, whose) != target[1:]:
        return (
            f"{here} belongs to another service ({origin(rival.url)}): use another name=, remove "
            "it there, or have it point here with --take-over"
        )
    base = parse(whose.base) or line(whose.base)
    if whose.has_other_mark(rival):
        return (
            f"{here} was registered with another RECEIVER_SECRET at {target.base}, not at {base}: "
            f"are RECEIVER_PUBLIC_URL and RECEIVER_SECRET those of the service? {_BESIDE}"
        )
    return (
        f"{here} leads to this action at {target.base}, not at {base}: is RECEIVER_PUBLIC_URL "
        f"right? {_former(target.base)}. {_BESIDE}"
    )


def undeclared(item: ActionUrl, new: Iterable[DesiredActionUrl]) -> str:
    """Return why an action URL is deleted that is not declared, and the cure if it was renamed.

    Parameters:
        item: the action URL on the PBX.
        new: those of its IVR that are to be created.
    """
    for want in new:
        one, was = want.action, item.name.partition("~")[0]
        masks = (one.type, one.dtmf_mask, one.caller_mask)
        if masks == (item.type, item.dtmf_mask, item.caller_mask):
            return f'{UNDECLARED}; if it was renamed to {one.name}, declare that with was="{was}"'
    return UNDECLARED


def moved(item: ActionUrl, whose: Ownership) -> str:
    """Return at which other public URL our mark was found, and the cure; empty if at none."""
    target = whose.leads_to(item)
    if target is None or not whose.moved(item):
        return ""
    return registered_at(target.base)


def registered_at(base: Location) -> str:
    """Return that something was registered at another public URL, and the cure."""
    return (
        f"it was registered with this RECEIVER_SECRET at {base} and is not changed: is "
        f"RECEIVER_PUBLIC_URL right? {_former(base)}; if another installation runs there, give "
        "each its own RECEIVER_SECRET"
    )


def other_secret() -> str:
    """Return why an action URL that points here and is not declared is not changed."""
    return (
        "it was registered at this public URL with another RECEIVER_SECRET and is not changed: "
        "correct RECEIVER_SECRET, or delete it with receiver action-urls delete IVR NAME"
    )


def _former(base: Location) -> str:
    return f"If this service was there before: receiver apply --moved-from {base}"


def _by_id(item: ActionUrl) -> tuple[int, str]:
    return len(item.id), item.id
