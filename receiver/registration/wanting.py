"""What the declarations want on a PBX: action URLs, with the credentials of an epoch.

A mask that is too long for one action URL makes several, with one identity and one set of
credentials: ``pick``, ``pick~2``, ``pick~3`` at ``…/pick``, ``…/pick/2``, ``…/pick/3``.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import msgspec

from receiver.actions import Action
from receiver.masks import Mask
from receiver.pbx.models import ActionUrl
from receiver.secrets import Credentials, Secret, derive

_MODES = {None: "DISABLE", "basic": "BASIC", "digest": "DIGEST", "bearer": "BEARER"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """An action URL that there shall be.

    Attributes:
        ivr: the extension number of its IVR.
        action: all of it, secrets included, without an id.
        where: ``file:line`` of the declaration.
        coming: the same with the credentials of the next epoch, which are as good; None if they
            are not.
        identity: of the action that this is (a part of), such as ``"8000/pick"``.
    """

    ivr: str
    action: ActionUrl
    where: str = ""
    coming: ActionUrl | None = None
    identity: str = ""


def wanted(
    actions: Iterable[Action],
    base: str,
    secret: Secret,
    epoch: int = 1,
    *,
    lenient: bool = True,
    pbx: str = "",
) -> tuple[Wanted, ...]:
    """The action URLs that a PBX should have for ``actions``.

    Parameters:
        actions: the declarations.
        base: the public URL of this service.
        secret: the service's, from which the credentials are derived.
        epoch: counts rotations of the credentials, from 1.
        lenient: whether the credentials of the next epoch will do as well.
        pbx: the label of that PBX; actions for another one are passed over.

    Raises:
        DeclarationError: a URL becomes longer than the PBX takes.
    """
    made: list[Wanted] = []
    for action in (one for one in actions if one.pbx == pbx):
        now = derive(secret, action.identity, epoch)
        coming = derive(secret, action.identity, epoch + 1)
        for part, (name, mask) in enumerate(action.parts, 1):
            bare = _action_url(action, action.url(base.rstrip("/"), part), name, mask)
            rotates = lenient and (action.auth or action.secret_header)
            later = _with(bare, action, coming) if rotates else None
            mine = _with(bare, action, now)
            made.append(Wanted(action.ivr, mine, action.where, later, action.identity))
    return tuple(made)


def _action_url(action: Action, url: str, name: str, mask: Mask) -> ActionUrl:
    """All of it but the credentials and the headers, ``key1:value1&key2:value2``."""
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
        auth=_MODES[action.auth],
    )


def _with(bare: ActionUrl, action: Action, credentials: Credentials) -> ActionUrl:
    pairs = action.sent_headers(credentials.key).items()
    made = msgspec.structs.replace(bare, headers="&".join(f"{key}:{value}" for key, value in pairs))
    if made.auth == "BEARER":
        return msgspec.structs.replace(made, token=credentials.token)
    if made.auth == "DISABLE":
        return made
    username, password = credentials.username, credentials.password
    return msgspec.structs.replace(made, username=username, password=password)
