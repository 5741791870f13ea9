"""The actions and event URLs of an app by path.

Rule 1: there are no redirects, and a path is compared as it was sent: with its slashes, and
        decoded once.
Rule 2: the path of an action that does not exist is answered like one that exists and was sent
        wrong credentials (`receiver.callbacks.unknown_actions`).
Rule 3: the path of a renamed action's former name is answered as well, with the credentials of that
        name; logs and metrics have the new one.
Rule 4: methods that no action can have are refused at all paths in the same way.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple
from urllib.parse import quote

from receiver.auth import Scheme, make_scheme
from receiver.callbacks.asgi_messages import Answers
from receiver.callbacks.authenticate import AuthTarget
from receiver.callbacks.context import EndpointContext
from receiver.callbacks.endpoint import Endpoint
from receiver.callbacks.event_endpoint import EventAnswers
from receiver.callbacks.event_jobs import EventJobs
from receiver.callbacks.request import Answer, Request, refuse
from receiver.callbacks.unknown_actions import UnknownActions
from receiver.credentials import derive, derive_key
from receiver.declarations.actions import Action, part_path, split_path
from receiver.declarations.event_actions import EventEndpoint
from receiver.settings import Settings

METHODS = ("GET", "POST")
"""The methods of callbacks."""


class ActionTable:
    """Finds the actions of an app.

    Parameters:
        actions: the declared ones; each part of a long mask has a separate path.
        context: resources that their endpoints share.
    """

    def __init__(self, actions: tuple[Action, ...], context: EndpointContext) -> None:
        self._actions = dict(_by_path(actions))
        self._context = context
        self._unknown = UnknownActions(actions, context)
        self._made: dict[str, Answers] = {
            path: self._make(path, named, 1) for path, named in self._actions.items()
        }
        if context.events is not None:
            for endpoint in context.events.endpoints:
                self._made[endpoint.path] = _event_answers(endpoint, context.events, context)

    def find(self, request: Request) -> Answers | None:
        """Return the endpoint of a request, if its path is one that an action can have."""
        path = request.path
        if b"%" in request.target and b"%2f" in request.target.partition(b"?")[0].lower():
            return None
        endpoint = self._made.get(path) or self._find(path)
        if endpoint is not None and request.method not in METHODS:
            return _NOT_ALLOWED
        return endpoint

    def _find(self, path: str) -> Answers | None:
        """Return the endpoint of a part, made at its first request, or that of an unknown action.

        Parts that a smaller mask no longer needs are included: the PBX uses them until ``apply``.
        """
        if (target := split_path(path)) is None:
            return None
        named = self._actions.get(target.whole)
        if named is None:
            return self._unknown.endpoint(path, target)
        return self._made.setdefault(path, self._make(path, named, target.part))

    def _make(self, path: str, named: _Named, part: int) -> Endpoint:
        def match_timing(request: Request, now: float) -> None:
            if (target := split_path(path)) is None:
                return
            if (unknown := self._unknown.endpoint(path, target)) is not None:
                unknown.check_registered(request, now)

        return _endpoint(named, part, self._context, match_timing)


class _Named(NamedTuple):
    """An action, and the same under the name that a path has: of today, or the former one."""

    action: Action
    at: Action


def _by_path(actions: Iterable[Action]) -> Iterator[tuple[str, _Named]]:
    for action in actions:
        yield action.path, _Named(action, action)
        if (former := action.former) is not None:
            yield former.path, _Named(action, former)


def _event_answers(
    endpoint: EventEndpoint, jobs: EventJobs, context: EndpointContext
) -> EventAnswers:
    """Make the endpoint of an event URL."""
    pbx, identity = endpoint.pbx, endpoint.identity
    target = AuthTarget(identity, context.prefix(pbx) + endpoint.path, identity)
    return EventAnswers(
        endpoint,
        target,
        context.authenticator(pbx, _scheme(endpoint, context.settings[pbx]), ""),
        jobs,
        context.log_throttle,
        check_token=context.token_check(pbx, identity),
        listeners=context.event_listeners,
        now=context.now,
        epoch=context.settings[pbx].epoch,
    )


def _scheme(
    declared: Action | EventEndpoint, settings: Settings, secret_header: str = ""
) -> Scheme:
    """Return the scheme, with the credentials of two epochs, so a rotation refuses none."""
    identity, epochs = declared.identity, (settings.epoch, settings.epoch + 1)
    return make_scheme(
        declared.auth,
        [derive(settings.secret, identity, epoch) for epoch in epochs],
        nonce_key=derive_key(settings.secret, "nonce", identity),
        entropy=os.urandom,
        algorithms=declared.algorithms,
        uri_without_query=declared.uri_without_query,
        keyed=bool(secret_header),
    )


def _endpoint(
    named: _Named,
    part: int,
    context: EndpointContext,
    match_timing: Callable[[Request, float], object],
) -> Endpoint:
    """Make the endpoint of an action."""
    action, at = named
    settings = context.settings[action.pbx]
    scheme = _scheme(at, settings, action.secret_header)
    path = context.prefix(action.pbx) + quote(part_path(at.path, part))
    return Endpoint(
        action,
        AuthTarget(at.identity, path, action.identity),
        context.authenticator(action.pbx, scheme, action.secret_header),
        context.dispatcher,
        observer=context.observer(action),
        check_token=context.token_check(action.pbx, at.identity),
        match_timing=match_timing,
        now=context.now,
        epoch=settings.epoch,
    )


class _NotAllowed(Answers):
    """Refuses methods that no action can have."""

    def answer_blocked(self, request: Request, now: float, at_once: bool) -> Answer | None:
        return None

    def may_wait(self, request: Request) -> bool:
        return request.body is None

    async def answer(self, request: Request) -> Answer | None:
        return await refuse(request, 405, ((b"allow", ", ".join(METHODS).encode()),))


_NOT_ALLOWED = _NotAllowed()
