"""The actions of an app by path.

Rule 1: there are no redirects, and a path is compared as it was sent: with its slashes, and
        decoded once.
Rule 2: the path of an action that does not exist is answered like one that exists and was sent
        wrong credentials (`receiver.callbacks.unknown_actions`).
Rule 3: methods that no action can have are refused at all paths in the same way.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from urllib.parse import quote

from receiver.auth import make_scheme
from receiver.callbacks.asgi_messages import Answers
from receiver.callbacks.authenticate import AuthTarget
from receiver.callbacks.context import EndpointContext
from receiver.callbacks.endpoint import Endpoint
from receiver.callbacks.request import Answer, Request, refuse
from receiver.callbacks.unknown_actions import UnknownActions
from receiver.credentials import derive, derive_key
from receiver.declarations.actions import Action, part_path, split_path

METHODS = ("GET", "POST")
"""The methods of callbacks."""


class ActionTable:
    """Finds the actions of an app.

    Parameters:
        actions: the declared ones; each part of a long mask has a separate path.
        context: resources that their endpoints share.
    """

    def __init__(self, actions: tuple[Action, ...], context: EndpointContext) -> None:
        self._actions = {action.path: action for action in actions}
        self._context = context
        self._unknown = UnknownActions(actions, context)
        self._made: dict[str, Answers] = {
            path: self._make(path, action, 1) for path, action in self._actions.items()
        }

    def find(self, request: Request) -> Answers | None:
        """Return the endpoint of a request, if its path is one that an action can have."""
        path = request.path
        if b"%" in request.target and b"%2f" in request.target.partition(b"?")[0].lower():
            return None
        there = self._made.get(path) or self._find(path)
        if there is not None and request.method not in METHODS:
            return _NOT_ALLOWED
        return there

    def _find(self, path: str) -> Answers | None:
        """Return the endpoint of a part, made at its first request, or that of an unknown action.

        Parts that a smaller mask no longer needs are included: the PBX uses them until ``apply``.
        """
        if (target := split_path(path)) is None:
            return None
        action = self._actions.get(target.whole)
        if action is None:
            return self._unknown.endpoint(path, target)
        return self._made.setdefault(path, self._make(path, action, target.part))

    def _make(self, path: str, action: Action, part: int) -> Endpoint:
        def match_timing() -> None:
            if (target := split_path(path)) is not None:
                self._unknown.endpoint(path, target)

        return _endpoint(action, part, self._context, match_timing)


def _endpoint(
    action: Action, part: int, context: EndpointContext, match_timing: Callable[[], object]
) -> Endpoint:
    """Make the endpoint of an action: credentials of two epochs, so a rotation refuses none."""
    settings = context.settings[action.pbx]
    epochs = (settings.epoch, settings.epoch + 1)
    scheme = make_scheme(
        action.auth,
        [derive(settings.secret, action.identity, epoch) for epoch in epochs],
        nonce_key=derive_key(settings.secret, "nonce", action.identity),
        entropy=os.urandom,
        algorithms=action.algorithms,
        uri_without_query=action.uri_without_query,
        keyed=bool(action.secret_header),
    )
    path = context.prefix(action.pbx) + quote(part_path(action.path, part))
    return Endpoint(
        action,
        AuthTarget(action.identity, path, action.identity),
        context.authenticator(action.pbx, scheme, action.secret_header),
        context.dispatcher,
        observer=context.observer(action),
        check_token=context.token_check(action.pbx, action.identity),
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
