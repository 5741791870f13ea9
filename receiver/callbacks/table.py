"""All actions of an app, found by exact path in one look-up.

Rule 1: there are no redirects, and a path is compared as it stands: no slash more or less, nothing
        decoded twice.
Rule 2: the path of an action that there is not is answered like one that there is, asked with wrong
        credentials: who does not know them does not learn which actions there are. Only who can
        make a mark (`receiver.callbacks.marks`) is told.
Rule 3: nor by the time that it takes: what is done to refuse at a path of nobody is done at that of
        an action too. It was 45 µs, and could be measured from outside.
Rule 4: methods that no action can have are refused everywhere alike.
"""

from __future__ import annotations

import hmac
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar
from urllib.parse import quote, urlsplit

from starlette.types import ASGIApp, Receive, Scope, Send

from receiver.actions import Action, Target, part_path, split_path
from receiver.auth import Algorithm, Auth, Scheme, make_scheme
from receiver.auth.sources import Sources
from receiver.callbacks.admission import Admission, Admitted, Place
from receiver.callbacks.endpoint import Endpoint, Judge, explain, is_ours
from receiver.callbacks.exchange import refuse
from receiver.callbacks.marks import judge
from receiver.dispatch.dispatcher import Dispatcher
from receiver.secrets import Secret, derive, derive_key
from receiver.settings import Settings
from receiver.stores import Store
from receiver.telemetry.observing import Observer, Tracer, Witness, refused
from receiver.telemetry.seldom import Seldom

METHODS = ("GET", "POST")
"""What an action may be asked with."""

NOBODY = "an action that there is not"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the endpoints of an app share.

    Attributes:
        settings: by the label of a PBX.
        dispatcher: runs the handlers.
        store: what workers and machines share.
        seldom: keeps the log from being flooded.
        now: the time in seconds since the epoch.
        tracer: makes the tracer of an action; None traces nothing.
        witnesses: each makes what is given the callbacks of an action, such as a recorder.
    """

    settings: Mapping[str, Settings]
    dispatcher: Dispatcher
    store: Store
    seldom: Seldom
    now: Callable[[], float] = time.time
    tracer: Callable[[Action, Sources], Tracer] | None = None
    witnesses: Sequence[Callable[[Action], Witness]] = ()

    def admission(self, pbx: str, scheme: Scheme, secret_header: str) -> Admission:
        """Who may ask at a PBX's actions."""
        return Admission(
            scheme, self.sources(pbx), self.store, self.seldom, secret_header=secret_header
        )

    def prefix(self, pbx: str) -> str:
        """The path of the public URL."""
        return urlsplit(self.settings[pbx].public_url).path

    def sources(self, pbx: str) -> Sources:
        """Whence callbacks of one PBX may come."""
        settings = self.settings[pbx]
        return Sources(settings.allowed_sources, settings.trusted_proxies)

    def observer(self, action: Action) -> Observer:
        """Who tells of the callbacks of ``action``."""
        settings = self.settings[action.pbx]
        return Observer(
            action,
            log_caller_data=settings.log_caller_data,
            counted=settings.metrics,
            tracer=self.tracer and self.tracer(action, self.sources(action.pbx)),
            witnesses=[witness(action) for witness in self.witnesses],
        )

    def judge(self, pbx: str, identity: str) -> Judge:
        """What a mark is worth there."""
        secret = self.settings[pbx].secret
        return lambda mark, now: judge(secret, identity, mark, now)


class ActionTable:
    """Finds the actions of an app.

    Parameters:
        actions: what there is; each part of a long mask has a path of its own.
        around: what their endpoints share.
    """

    def __init__(self, actions: tuple[Action, ...], around: Surroundings) -> None:
        self._actions = {action.path: action for action in actions}
        self._around = around
        self._nobody = _Nobody(actions, around)
        self._made: dict[str, ASGIApp] = {
            path: self._make(path, action, 1) for path, action in self._actions.items()
        }

    def find(self, scope: Scope) -> ASGIApp | None:
        """What answers a request of HTTP, if its path is one that an action can have."""
        path: str = scope["path"]
        if root := scope.get("root_path", "").rstrip("/"):
            path = path[len(root) :] if path.startswith(root + "/") else path
        raw: bytes = scope.get("raw_path") or b""
        if b"%" in raw and b"%2f" in raw.lower():
            return None
        endpoint = self._made.get(path) or self._find(path)
        if endpoint is not None and scope["method"] not in METHODS:
            return _not_allowed
        return endpoint

    def _find(self, path: str) -> ASGIApp | None:
        """The endpoint of a part, made when it is first asked for, or one for nobody.

        Also of a part that a smaller mask no longer needs: the PBX may ask for it until ``apply``.
        """
        if (target := split_path(path)) is None:
            return None
        action = self._actions.get(target.whole)
        if action is None:
            return self._nobody.endpoint(path, target)
        return self._made.setdefault(path, self._make(path, action, target.part))

    def _make(self, path: str, action: Action, part: int) -> Endpoint:
        def even_out() -> None:
            if (target := split_path(path)) is not None:
                self._nobody.endpoint(path, target)

        return _endpoint(action, part, self._around, even_out)


class _Nobody:
    """Answers at paths of actions that there are not.

    It looks like one of those that there are, always the same at the same path. Nothing is kept of
    a path.
    """

    def __init__(self, actions: tuple[Action, ...], around: Surroundings) -> None:
        self._around = around
        labels = dict.fromkeys(action.pbx for action in actions)
        self._models = {label: _models(label, actions, around) for label in labels}
        self._labels = tuple(labels)
        secrets = (around.settings[label].secret for label in labels)
        self._key = derive_key(next(secrets, Secret("")), "nobody", NOBODY)

    def endpoint(self, path: str, target: Target) -> ASGIApp | None:
        """None where no action asks who comes, or whence: there is nothing to hide behind."""
        if not self._labels:
            return None
        # A PBX that there is not looks like one that there is.
        label = target.pbx if target.pbx in self._models else self._choose(self._labels, target.pbx)
        models = self._models[label]
        if not models:
            return None
        model = self._choose(models, target.identity)
        place = Place(target.identity, model.prefix + quote(path), NOBODY)

        async def turn_away(scope: Scope, receive: Receive, send: Send) -> None:
            now = self._around.now()
            turned = await model.admission.judge(scope, place, now)
            worth = self._around.judge(model.pbx, target.identity)
            told = () if isinstance(turned, Admitted) else explain(turned, scope, worth, now)
            # Let in is only who comes from where he may to a PBX whose actions ask for no more.
            if isinstance(turned, Admitted) or (not told and is_ours(scope, worth, now)):
                refused("nobody")
                await refuse(scope, receive, send, 404)
                return
            refused(turned.cause)
            await refuse(scope, receive, send, turned.status, (*turned.headers, *told))

        return turn_away

    def _choose(self, things: Sequence[T], name: str) -> T:
        """Always the same for a name, also at another worker, and not to be guessed."""
        if len(things) == 1:
            return things[0]
        mac = hmac.digest(self._key, name.encode("utf-8", "surrogatepass"), "sha256")
        return things[int.from_bytes(mac[:8], "big") % len(things)]


class _Model(NamedTuple):
    """What an action that there is not looks like."""

    pbx: str
    prefix: str
    admission: Admission


def _models(pbx: str, actions: tuple[Action, ...], around: Surroundings) -> tuple[_Model, ...]:
    """One of each kind that a PBX has."""
    mine = [action for action in actions if action.pbx == pbx]
    kinds = dict.fromkeys(
        (one.auth, one.algorithms, one.secret_header)
        for one in mine
        if one.auth or one.secret_header
    )
    if not kinds and around.settings[pbx].allowed_sources:
        kinds = {(None, ("MD5",), ""): None}
    return tuple(
        _Model(
            pbx,
            around.prefix(pbx),
            around.admission(pbx, _lock(auth, algorithms, bool(header)), header),
        )
        for auth, algorithms, header in kinds
    )


def _lock(auth: Auth | None, algorithms: tuple[Algorithm, ...], keyed: bool) -> Scheme:
    """A scheme whose key nobody has."""
    secret = Secret(os.urandom(32).hex())
    return make_scheme(
        auth,
        [derive(secret, NOBODY, epoch) for epoch in (1, 2)],
        nonce_key=derive_key(secret, "nonce", NOBODY),
        entropy=os.urandom,
        algorithms=algorithms,
        keyed=keyed,
    )


def _endpoint(
    action: Action, part: int, around: Surroundings, even_out: Callable[[], object]
) -> Endpoint:
    """Two epochs are let in, so that a rotation refuses nobody; nonces are good in both."""
    settings = around.settings[action.pbx]
    epochs = (settings.epoch, settings.epoch + 1)
    scheme = make_scheme(
        action.auth,
        [derive(settings.secret, action.identity, epoch) for epoch in epochs],
        nonce_key=derive_key(settings.secret, "nonce", action.identity),
        entropy=os.urandom,
        algorithms=action.algorithms,
        keyed=bool(action.secret_header),
    )
    path = around.prefix(action.pbx) + quote(part_path(action.path, part))
    return Endpoint(
        action,
        Place(action.identity, path, action.identity),
        around.admission(action.pbx, scheme, action.secret_header),
        around.dispatcher,
        observer=around.observer(action),
        judge=around.judge(action.pbx, action.identity),
        even_out=even_out,
        now=around.now,
    )


async def _not_allowed(scope: Scope, receive: Receive, send: Send) -> None:
    allowed = (b"allow", ", ".join(METHODS).encode())
    await refuse(scope, receive, send, 405, (allowed,))
