"""Responses for paths of actions that do not exist.

Rule 1: the response is the one that an existing action gives to wrong credentials, so a client
        without valid credentials cannot find out which actions exist. Only a client that can
        make a token (`receiver.auth.probe_token`) gets another answer.
Rule 2: it takes as long as at the path of an action, because both do the same work. A difference of
        45 µs could be measured from outside.
Rule 3: the credentials of a path are derived from its name, so those of an action that was renamed
        or removed can be checked as long as the PBX has it: a caller is on the line, and gets the
        fallback of the IVR or the app. They must be of the current epoch, and of a scheme that
        another action of the PBX has.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from typing import NamedTuple, TypeVar
from urllib.parse import quote

from receiver.auth import Accepted, Auth, Scheme, make_scheme
from receiver.callbacks.asgi_messages import Answers
from receiver.callbacks.authenticate import Authenticated, Authenticator, AuthTarget, Refusal
from receiver.callbacks.context import EndpointContext
from receiver.callbacks.http_limits import Header
from receiver.callbacks.observer import refused
from receiver.callbacks.probe_answers import NO_ACTION, CheckToken, explain, has_valid_token
from receiver.callbacks.request import (
    BODY_LIMIT,
    CLOSE,
    Answer,
    Request,
    read_callback,
    read_decoded,
    refuse,
)
from receiver.calls import Call
from receiver.credentials import Credentials, derive, derive_key, draw
from receiver.declarations.actions import Action, Target
from receiver.errors import CallbackError
from receiver.replies import encode

SHOWN = "an action that does not exist"
"""The name of such a path in the log."""

READ_TIME = 1.0
"""Seconds for the body of a callback of an undeclared action; its own timeout is not known."""

log = logging.getLogger("receiver")

T = TypeVar("T")


class UnknownActions:
    """The endpoints for paths of actions that do not exist.

    Each path is answered like one of the declared actions, always the same one. Nothing is stored
    for a path.
    """

    def __init__(self, actions: tuple[Action, ...], context: EndpointContext) -> None:
        self.context = context
        labels = dict.fromkeys(action.pbx for action in actions)
        self._actions = actions
        self._models = {label: _models(label, actions, context) for label in labels}
        self._labels = tuple(labels)
        secrets = [context.settings[label].secret for label in labels]
        key = derive_key(secrets[0], "unknown", SHOWN) if secrets else b""
        self._choosing = blake2b(key=key, digest_size=8)

    def endpoint(self, path: str, target: Target) -> UnknownAction | None:
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
        check_token = self.context.token_check(model.pbx, target.identity)
        return UnknownAction(model, models, auth_target, check_token, self)

    def fallback(self, identity: str, pbx: str, call: Call) -> Answer:
        """Return the fallback of the IVR or the app, for a callback of an undeclared action."""
        ivr, name = identity.split("/")[-2:]
        mine = [one for one in self._actions if one.pbx == pbx]
        of_ivr = next((one.ivr_fallback for one in mine if one.ivr == ivr), None)
        action = replace(mine[0], ivr=ivr, name=name, fallback=None, ivr_fallback=of_ivr, was="")
        reply = self.context.dispatcher.fallback(action, "invalid", call).reply
        return Answer(200, encode(reply))

    def _choose(self, things: Sequence[T], name: str) -> T:
        """Return one by a keyed hash of the name: the same in every worker, and not predictable."""
        if len(things) == 1:
            return things[0]
        choosing = self._choosing.copy()
        choosing.update(name.encode("utf-8", "surrogatepass"))
        return things[int.from_bytes(choosing.digest(), "big") % len(things)]


class UnknownAction(Answers):
    """The endpoint of one path without an action.

    Parameters:
        model: the kind of authentication whose refusals the path has.
        models: the kinds of all actions of the PBX.
        target: the identity and the path.
        check_token: as for an action.
        owner: the endpoints of all such paths, with the fallbacks.
    """

    def __init__(
        self,
        model: _Model,
        models: Sequence[_Model],
        target: AuthTarget,
        check_token: CheckToken,
        owner: UnknownActions,
    ) -> None:
        self._model = model
        self._models = models
        self._target = target
        self._check_token = check_token
        self._owner = owner
        self._now = owner.context.now

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
        is_probe = has_valid_token(request, self._check_token, now)
        known = None if is_probe else self.check_registered(request, now)
        if known and await self._model.authenticator.use_nonce(known, request, now):
            return await self._fall_back(request, now)
        outcome = await self._model.authenticator.authenticate(request, self._target, now)
        more: tuple[Header, ...] = ()
        if isinstance(outcome, Refusal):
            more = explain(outcome, request, self._check_token, now)
        # Without credentials only a client from an allowed source is accepted here, and only where
        # the actions of the PBX ask for no more.
        if isinstance(outcome, Authenticated) or (is_probe and not more):
            refused("unknown")
            return await refuse(request, 404, (NO_ACTION,) if is_probe else ())
        refused(outcome.cause)
        return await refuse(request, outcome.status, (*outcome.headers, *more))

    def check_registered(self, request: Request, now: float) -> Accepted | None:
        """Check for the credentials that an action of this path has on the PBX."""
        guarded = [model for model in self._models if model.has_credentials(request)]
        if not guarded or not self._model.authenticator.is_allowed(request):
            return None
        settings = self._owner.context.settings[self._model.pbx]
        # Of the current epoch only: each HMAC makes a flood of wrong credentials more expensive.
        known = derive(settings.secret, self._target.identity, settings.epoch)
        checks = (model.check(known, request, self._target, now) for model in guarded)
        return next(filter(None, checks), None)

    async def _fall_back(self, request: Request, now: float) -> Answer | None:
        """Return the fallback to the PBX, and log what to do."""
        identity, context, call = self._target.identity, self._owner.context, Call()
        refused("undeclared")
        if (more := context.log_throttle.due(f"undeclared {identity}", now)) is not None:
            log.error(
                "%s is registered on the PBX but not declared: the caller gets the fallback; if it "
                'was renamed, declare was="%s", otherwise run: receiver apply --allow-deletes%s',
                identity,
                identity.rpartition("/")[2],
                more,
            )
        answer = partial(self._owner.fallback, identity, self._model.pbx)
        try:
            due = request.arrived + READ_TIME
            body = await read_decoded(request, identity, BODY_LIMIT, due)
            if not isinstance(body, bytes):
                return body
            call = read_callback(request, body).call
        except TimeoutError:
            late = answer(call)
            late.headers = (CLOSE,)
            return late
        except CallbackError:
            pass
        return answer(call)


class _Model(NamedTuple):
    """The parts of a declared action that its refusals depend on."""

    pbx: str
    prefix: str
    authenticator: Authenticator
    make_scheme: Callable[[Sequence[Credentials]], Scheme]
    auth: Auth | None
    header: str

    def has_credentials(self, request: Request) -> bool:
        """Return whether the request has any credentials of this kind, valid or not."""
        if self.auth is None:
            return self.header.lower().encode() in request.fields
        scheme = request.fields.get(b"authorization", b"").partition(b" ")[0]
        return scheme.lower() == self.auth.encode()

    def check(
        self, known: Credentials, request: Request, target: AuthTarget, now: float
    ) -> Accepted | None:
        """Check the request for these credentials."""
        return self.authenticator.check(self.make_scheme([known]), request, target, now)


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
    made = []
    nonce_key = derive_key(context.settings[pbx].secret, "nonce", SHOWN)  # the same in all workers
    for auth, algorithms, bare, header in kinds:
        scheme = partial(
            make_scheme,
            auth,
            nonce_key=nonce_key,
            entropy=os.urandom,
            algorithms=algorithms,
            uri_without_query=bare,
            keyed=bool(header),
        )
        # Credentials that no client knows.
        authenticator = context.authenticator(
            pbx, scheme([draw(os.urandom) for _ in (1, 2)]), header
        )
        made.append(_Model(pbx, context.prefix(pbx), authenticator, scheme, auth, header))
    return tuple(made)
