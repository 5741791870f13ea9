"""The desired action URLs of declarations, with the credentials of an epoch.

A mask that is too long for one action URL makes several, with one identity and one set of
credentials: ``pick``, ``pick~2``, ``pick~3`` at ``…/pick``, ``…/pick/2``, ``…/pick/3``.

A renamed action has its state under the former name too, by which its action URL is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

import msgspec

from receiver.credentials import Credentials, Secret, derive
from receiver.declarations.actions import Action
from receiver.declarations.event_actions import EventEndpoint
from receiver.masks import Mask
from receiver.pbx.models import ActionUrl, IvrSummary, known_ivrs
from receiver.pbx.models_events import EventUrl
from receiver.registration.ownership import OWNER, owner_mark

MODES = {None: "DISABLE", "basic": "BASIC", "digest": "DIGEST", "bearer": "BEARER"}
"""The PBX's word for each authentication."""


@dataclass(frozen=True, slots=True)
class DesiredActionUrl:
    """The desired state of an action URL.

    Attributes:
        ivr: the extension number of its IVR.
        action: the action URL, secrets included, without an id.
        where: ``file:line`` of the declaration.
        coming: the same with the credentials of the next epoch, if these are accepted too.
        identity: of the action that this is (a part of), such as ``"8000/pick"``.
        was: the same under the former name of a renamed action; None if it was not renamed.
    """

    ivr: str
    action: ActionUrl
    where: str = ""
    coming: ActionUrl | None = None
    identity: str = ""
    was: DesiredActionUrl | None = None

    @property
    def states(self) -> Iterator[ActionUrl]:
        """The action URL with each of the credentials that the service accepts."""
        for item in (self, self.was):
            if item is not None:
                yield item.action
                if item.coming is not None:
                    yield item.coming


@dataclass(frozen=True, slots=True)
class DesiredEventUrl:
    """The desired state of the event URL of one PBX.

    Attributes:
        at: its URL at this service.
        path: that of the URL at any service, such as ``"/events"``.
        former: the URL at the former public URL of the service; empty if it has not moved.
        url: with credentials; None if no handler is declared.
        coming: the same with the credentials of the next epoch.
        credentials: those by which it is recognised at another public URL, also if no handler is
            declared.
        forwards: whether events are forwarded to another receiver.
        identity: what the credentials are derived from.
        where: ``file:line`` of the declaration.
    """

    at: str
    path: str
    former: str = ""
    url: EventUrl | None = None
    coming: EventUrl | None = None
    forwards: bool = False
    where: str = ""
    identity: str = ""
    credentials: tuple[Credentials, ...] = ()


def desired_action_urls(
    actions: Iterable[Action],
    base: str,
    secret: Secret,
    epoch: int = 1,
    *,
    lenient: bool = True,
    pbx: str = "",
) -> tuple[DesiredActionUrl, ...]:
    """Return the desired action URLs of ``actions`` on a PBX.

    Parameters:
        actions: the declarations.
        base: the public URL of this service.
        secret: the service's, from which the credentials are derived.
        epoch: counts rotations of the credentials, from 1.
        lenient: whether the credentials of the next epoch are accepted too.
        pbx: the label of that PBX; actions for another one are skipped.

    Raises:
        DeclarationError: a URL becomes longer than the PBX accepts.
    """
    made: list[DesiredActionUrl] = []
    owner = owner_mark(secret, pbx)

    def parts(action: Action) -> Iterator[DesiredActionUrl]:
        now = derive(secret, action.identity, epoch)
        coming = derive(secret, action.identity, epoch + 1)
        for part, (name, mask) in enumerate(action.parts, 1):
            bare = _action_url(action, action.url(base.rstrip("/"), part), name, mask)
            rotates = lenient and (action.auth or action.secret_header)
            later = _with(bare, action, coming, owner) if rotates else None
            mine = _with(bare, action, now, owner)
            yield DesiredActionUrl(action.ivr, mine, action.where, later, action.identity)

    for action in (one for one in actions if one.pbx == pbx):
        if (former := action.former) is None:
            made += parts(action)
        else:
            both = zip(parts(action), parts(former), strict=True)
            made += (replace(item, was=was) for item, was in both)
    return tuple(made)


def desired_event_url(
    endpoint: EventEndpoint, base: str, secret: Secret, epoch: int = 1
) -> EventUrl:
    """Return the desired ``cdr_event`` of the tenant, secrets included.

    Parameters:
        endpoint: the declaration.
        base, secret, epoch: as for `desired_action_urls`.

    Raises:
        DeclarationError: the URL becomes longer than the PBX accepts.
    """
    known, url = derive(secret, endpoint.identity, epoch), endpoint.url(base.rstrip("/"))
    made = EventUrl(enabled=True, url=url, auth=MODES[endpoint.auth])
    if made.auth == "BEARER":
        return msgspec.structs.replace(made, token=known.token)
    if made.auth == "DISABLE":
        return made
    return msgspec.structs.replace(made, username=known.username, password=known.password)


def absent(
    desired: Iterable[DesiredActionUrl], ivrs: Sequence[IvrSummary]
) -> Iterator[tuple[DesiredActionUrl, str]]:
    """Yield the action URLs on an IVR that is not among ``ivrs``, each with the reason."""
    numbers = {ivr.extension_number for ivr in ivrs}
    on_pbx = [ivr for ivr in ivrs if ivr.id]  # without those that are yet to be created
    for item in desired:
        if item.ivr not in numbers:
            yield (
                item,
                f"there is no IVR {item.ivr} on the PBX: {known_ivrs(on_pbx, item.ivr)}; correct "
                f'the number, create the IVR first, or declare it: Ivr("{item.ivr}", name="…")',
            )


def _action_url(action: Action, url: str, name: str, mask: Mask) -> ActionUrl:
    """Return an action URL without credentials and headers (``key1:value1&key2:value2``)."""
    return ActionUrl(
        name=name,
        enabled=action.enabled,
        type=action.kind,
        method=action.method,
        caller_mask=str(mask) if action.kind == "CALLER" else "",
        dtmf_mask=str(mask) if action.kind == "DTMF" else "",
        connection_timeout=action.connection_timeout,
        request_timeout=action.request_timeout,
        url=url,
        auth=MODES[action.auth],
    )


def _with(bare: ActionUrl, action: Action, credentials: Credentials, owner: str) -> ActionUrl:
    sent = {**action.sent_headers(credentials.key), OWNER: owner}
    headers = "&".join(f"{key}:{value}" for key, value in sent.items())
    made = msgspec.structs.replace(bare, headers=headers)
    if made.auth == "BEARER":
        return msgspec.structs.replace(made, token=credentials.token)
    if made.auth == "DISABLE":
        return made
    username, password = credentials.username, credentials.password
    return msgspec.structs.replace(made, username=username, password=password)
