"""The tenant's event URL for calls: the desired state, and the change that leads to it.

Rule 1: a tenant has one. It is set only where handlers of events are declared; if it leads to
        another receiver, that blocks the plan, unless it may be taken over. Whether it is enabled
        makes no difference: the PBX may have disabled it.
Rule 2: it is managed if it leads to this service, at its public URL or the former one. It has no
        owner mark, because an event URL has no headers. One with the path of this service's, at
        another public URL, may be from before a move: only ``--moved-from`` tells.
Rule 3: a managed one is disabled where no handler is declared (any more). The PBX takes no empty
        URL, so the URL stays, without effect and without authentication.
Rule 4: the credentials of this epoch and of the next are both accepted during a rotation, as for an
        action URL. One that the PBX hides is no difference.
Rule 5: no text contains a secret; the path of another receiver's URL counts as one, unless the URL
        has the credentials of this service.

Pure.
"""

from __future__ import annotations

from dataclasses import replace

import msgspec

from receiver.credentials import Secret, derive
from receiver.declarations.event_actions import EventEndpoint
from receiver.pbx.models import ActionUrl, with_defaults
from receiver.pbx.models_events import EventUrl
from receiver.registration.changes import EVENT_URL, NO_IVR, Change, Op
from receiver.registration.compare import carries, event_url_differences, hides_credentials
from receiver.registration.desired import (
    DesiredActionUrl,
    DesiredEventUrl,
    desired_event_url,
)
from receiver.registration.match import registered_at
from receiver.registration.urls import base_of, origin, same

UNDECLARED = "no handler of events is declared"
"""The reason to disable the event URL."""


def desired_event_state(
    endpoint: EventEndpoint | None,
    base: str,
    secret: Secret,
    epoch: int = 1,
    *,
    lenient: bool = True,
    pbx: str = "",
    former: str = "",
) -> DesiredEventUrl:
    """Return the desired event URL of a PBX.

    Parameters:
        endpoint: as declared; None if no handler is.
        base: the public URL of this service.
        secret: the service's, from which the credentials are derived.
        epoch: counts rotations of the credentials, from 1.
        lenient: whether the credentials of the next epoch are accepted too.
        pbx: the label of the PBX.
        former: the public URL that the service had before.

    Raises:
        DeclarationError: the URL is longer than the PBX accepts.
    """
    place = endpoint or EventEndpoint(pbx)
    at, before = (url and url.rstrip("/") + place.path for url in (base, former))
    epochs = (epoch, epoch + 1) if lenient else (epoch,)
    credentials = tuple(derive(secret, place.identity, number) for number in epochs)
    if endpoint is None:
        return DesiredEventUrl(at, place.path, before, credentials=credentials)
    now = desired_event_url(endpoint, base, secret, epoch)
    coming = desired_event_url(endpoint, base, secret, epoch + 1) if lenient else None
    forwards, where, identity = bool(endpoint.forward_to), endpoint.where, endpoint.identity
    return DesiredEventUrl(
        at, place.path, before, now, coming, forwards, where, identity, credentials
    )


def plan_event_url(
    desired: DesiredEventUrl,
    actual: EventUrl,
    *,
    take_over: bool = False,
    certain: bool = False,
) -> Change[EventUrl] | None:
    """Return the change of the event URL; None if nothing is declared and it is another receiver's.

    Parameters:
        desired: the desired state.
        actual: the actual state; blank if the tenant has none.
        take_over: replace the URL of another receiver.
        certain: count credentials that the PBX hides as a difference.
    """
    managed = any(same(actual.url, url) for url in (desired.at, desired.former) if url)
    if desired.url is None:
        if not actual.enabled:
            return None
        if not managed:
            return _left(desired, actual)
        off = EventUrl(enabled=False, auth="DISABLE", url=actual.url)
        return Change("delete", NO_IVR, off, reason=UNDECLARED, before=actual)
    if not actual.url:
        return Change("create", NO_IVR, desired.url, where=desired.where, before=actual)
    if not managed and not take_over:
        reason = _rivalry(actual, desired)
        return Change("blocked", NO_IVR, desired.url, reason=reason, where=desired.where)
    actual, want = with_defaults(actual), desired.url
    if desired.coming is not None and _is_ahead(actual, want, desired.coming):
        want = desired.coming
    drift, reason = tuple(event_url_differences(want, actual, certain=certain)), ""
    if not managed:
        receiver = origin(actual.url)
        drift = tuple(replace(one, before=receiver) if one.field == "url" else one for one in drift)
        lost = "" if desired.forwards else ", which no longer receives events"
        reason = f"taken over from {receiver}{lost}"
    op: Op = "update" if drift else "unchanged"
    return Change(op, NO_IVR, want, drift, reason=reason, where=desired.where, before=actual)


def as_action_url(desired: DesiredEventUrl, url: EventUrl) -> DesiredActionUrl:
    """Return an event URL in the form in which it can be probed: an action URL without an IVR.

    Parameters:
        desired: the desired event URL.
        url: what to probe, with its credentials: one of those in ``desired``.
    """

    def convert(url: EventUrl) -> ActionUrl:
        bare = ActionUrl(name=EVENT_URL, type="DTMF", dtmf_mask="0", method="POST", url=url.url)
        credentials = {name: getattr(url, name) for name in ("username", "password", "token")}
        return with_defaults(msgspec.structs.replace(bare, auth=url.auth, **credentials))

    coming = None if desired.coming is None else convert(desired.coming)
    return DesiredActionUrl("", convert(url), desired.where, coming, desired.identity)


def _is_ahead(actual: EventUrl, now: EventUrl, coming: EventUrl) -> bool:
    """Return whether the credentials may be those of the next epoch."""
    return hides_credentials(actual, now) or carries(actual, coming)


def _left(desired: DesiredEventUrl, actual: EventUrl) -> Change[EventUrl] | None:
    """Return the line about an event URL of this service at another public URL; None otherwise."""
    base = base_of(actual.url, desired.path)
    if base is None or not _has_own_credentials(actual, desired):
        return None
    return Change("unmanaged", NO_IVR, actual, reason=registered_at(base), before=actual)


def _has_own_credentials(actual: EventUrl, desired: DesiredEventUrl) -> bool:
    """Return whether the credentials were derived from the secret of this service."""
    return any(
        actual.token == one.token or actual.password == one.password for one in desired.credentials
    )


def _rivalry(actual: EventUrl, desired: DesiredEventUrl) -> str:
    """Return why the event URL of another public URL is not replaced, and the cure.

    It may be that of this service before a move, which its credentials prove, or its path suggests.
    """
    receiver = origin(actual.url)
    forward = (
        "if forward_to= leads there, "
        if desired.forwards
        else f'to forward its events, declare Events(forward_to="{receiver}") with its whole URL; '
        "then "
    )
    cure = f"{forward}replace it with --take-over-events"
    base = base_of(actual.url, desired.path)
    if base is None:
        return f"the tenant's only event URL leads to {receiver}: {cure}"
    is_own = _has_own_credentials(actual, desired)
    is_shown = is_own or not base.path
    whose = "has the credentials of this service" if is_own else f"leads to {desired.path}"
    return (
        f"the tenant's only event URL {whose} at {base if is_shown else receiver}, not at "
        f"{desired.at}: is RECEIVER_PUBLIC_URL right? If this service was there before: receiver "
        f"apply --moved-from {base if is_shown else 'URL'}. Otherwise, {cure}"
    )
