"""Responses for paths of actions that do not exist.

Rule 1: the response is the one that an existing action gives to wrong credentials, so a client
        without valid credentials cannot find out which actions exist. Only a client that can
        make a token (`receiver.auth.probe_token`) gets another answer.
Rule 2: it takes as long as at the path of an action, because both do the same work. A difference of
        45 µs could be measured from outside.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple, TypeVar
from urllib.parse import quote

from receiver.auth import Algorithm, Auth, Scheme, make_scheme
from receiver.callbacks.asgi_messages import Answers
from receiver.callbacks.authenticate import Authenticated, Authenticator, AuthTarget, Refusal
from receiver.callbacks.context import EndpointContext
from receiver.callbacks.http_limits import Header
from receiver.callbacks.observer import refused
from receiver.callbacks.probe_answers import NO_ACTION, CheckToken, explain, has_valid_token
from receiver.callbacks.request import Answer, Request, refuse
from receiver.credentials import derive_key, draw
from receiver.declarations.actions import Action, Target

SHOWN = "an action that does not exist"
"""The name of such a path in the log."""

T = TypeVar("T")


class UnknownActions:
    """The endpoints for paths of actions that do not exist.

    Each path is answered like one of the declared actions, always the same one. Nothing is stored
    for a path.
    """

    def __init__(self, actions: tuple[Action, ...], context: EndpointContext) -> None:
        self._context = context
        labels = dict.fromkeys(action.pbx for action in actions)
        self._models = {label: _models(label, actions, context) for label in labels}
        self._labels = tuple(labels)
        secrets = [context.settings[label].secret for label in labels]
        key = derive_key(secrets[0], "unknown", SHOWN) if secrets else b""
        self._choosing = blake2b(key=key, digest_size=8)

    def endpoint(self, path: str, target: Target) -> Answers | None:
        """Return None if no action requires credentials or an allowed source: nothing is hidden."""
        if not self._labels:
            return None
        # An unknown PBX is answered like one of the known ones.
        label = target.pbx if target.pbx in self._models else self._choose(self._labels, target.pbx)
        models = self._models[label]
        if not models:
            return None
        model = self._choose(models, target.identity)
        auth_target = AuthTarget(target.identity, model.prefix + quote(path), SHOWN)
        check_token = self._context.token_check(model.pbx, target.identity)
        return _Unknown(model, auth_target, check_token, self._context)

    def _choose(self, things: Sequence[T], name: str) -> T:
        """Return one by a keyed hash of the name: the same in every worker, and not predictable."""
        if len(things) == 1:
            return things[0]
        choosing = self._choosing.copy()
        choosing.update(name.encode("utf-8", "surrogatepass"))
        return things[int.from_bytes(choosing.digest(), "big") % len(things)]


class _Unknown(Answers):
    """The endpoint of one path without an action."""

    def __init__(
        self, model: _Model, target: AuthTarget, check_token: CheckToken, context: EndpointContext
    ) -> None:
        self._model = model
        self._target = target
        self._check_token = check_token
        self._now = context.now

    def may_wait(self, request: Request) -> bool:
        return request.body is None or self._model.authenticator.may_wait(request)

    def answer_blocked(self, request: Request, now: float, at_once: bool) -> Answer | None:
        wall = self._now()
        arrived = wall - (now - request.arrived)
        authenticator = self._model.authenticator
        outcome = authenticator.authenticate_blocked(
            request, self._target, arrived, wall, lambda spent: False
        )
        return (
            Answer(outcome.status, b"", outcome.headers) if isinstance(outcome, Refusal) else None
        )

    async def answer(self, request: Request) -> Answer | None:
        now = self._now()
        outcome = await self._model.authenticator.authenticate(request, self._target, now)
        more: tuple[Header, ...] = ()
        if isinstance(outcome, Refusal):
            more = explain(outcome, request, self._check_token, now)
        # Without credentials only a client from an allowed source is accepted here, and only where
        # the actions of the PBX ask for no more.
        is_probe = not more and has_valid_token(request, self._check_token, now)
        if isinstance(outcome, Authenticated) or is_probe:
            refused("unknown")
            return await refuse(request, 404, (NO_ACTION,) if is_probe else ())
        refused(outcome.cause)
        return await refuse(request, outcome.status, (*outcome.headers, *more))


class _Model(NamedTuple):
    """The parts of a declared action that its refusals depend on."""

    pbx: str
    prefix: str
    authenticator: Authenticator


def _models(pbx: str, actions: tuple[Action, ...], context: EndpointContext) -> tuple[_Model, ...]:
    """Return one model for each kind of authentication of a PBX's actions."""
    mine = [action for action in actions if action.pbx == pbx]
    kinds = dict.fromkeys(
        (one.auth, one.algorithms, one.uri_without_query, one.secret_header)
        for one in mine
        if one.auth or one.secret_header
    )
    if not kinds and context.settings[pbx].allowed_sources:
        kinds = {(None, ("MD5",), False, ""): None}
    return tuple(
        _Model(
            pbx,
            context.prefix(pbx),
            context.authenticator(
                pbx, _unknown_scheme(auth, algorithms, bare, bool(header)), header
            ),
        )
        for auth, algorithms, bare, header in kinds
    )


def _unknown_scheme(
    auth: Auth | None, algorithms: tuple[Algorithm, ...], uri_without_query: bool, keyed: bool
) -> Scheme:
    """Return a scheme whose credentials are unknown to every client."""
    return make_scheme(
        auth,
        [draw(os.urandom) for _ in (1, 2)],
        nonce_key=os.urandom(32),
        entropy=os.urandom,
        algorithms=algorithms,
        uri_without_query=uri_without_query,
        keyed=keyed,
    )
