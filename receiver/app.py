"""The app: it *has* a Starlette app, and *is* an ASGI callable that can be mounted in another."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from typing import TypeVar

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from receiver.actions import Action, check_neighbours
from receiver.assembly import Assembly, MakeTracer, tracer
from receiver.callbacks.intake import problem_of, turn_away
from receiver.console.telling import Teller
from receiver.errors import DeclarationError
from receiver.ivrs import Ivr
from receiver.ladders import Fallback, problem_of_fallback
from receiver.receptionists import Receptionist, check_together
from receiver.replies import Repeat
from receiver.settings import OF_A_PBX, Settings
from receiver.telemetry.logs import hide_queries
from receiver.telemetry.seldom import Seldom

log = logging.getLogger("receiver")

T = TypeVar("T")


class Receiver:
    """An ASGI app that answers the callbacks of the actions declared on ``ivrs``.

    Parameters:
        ivrs: the IVRs whose actions are served; several modules may each export one.
        fallback: the reply of actions that have none of their own, when their handler is late,
            raises or returns nonsense. A mapping gives each PBX its own, by the label that
            ``Ivr(…, pbx=…)`` names; ``""`` is for all others.
        settings: by default read from ``RECEIVER_*`` when the app starts or is first asked. A
            mapping gives each PBX its own, as for ``fallback``; what is not about a PBX counts
            from that of ``""``, or else from the first.

    Raises:
        DeclarationError: two actions of one IVR clash, or two declarations of a receptionist, or a
            mapping has a label of no IVR.
    """

    def __init__(
        self,
        *ivrs: Ivr,
        fallback: Fallback | Mapping[str, Fallback] | None = None,
        settings: Settings | Mapping[str, Settings] | None = None,
    ) -> None:
        for ivr in ivrs:
            if not isinstance(ivr, Ivr):
                raise DeclarationError(f"Receiver takes Ivr objects, not {type(ivr).__name__}")
        self.ivrs = tuple(dict.fromkeys(ivrs))
        self.fallbacks: Mapping[str, Fallback] = _by_label("fallback", fallback, self.pbxs)
        for problem in map(problem_of_fallback, self.fallbacks.values()):
            if problem:
                raise DeclarationError(problem)
        self.fallback: Fallback = self.fallbacks.get("", Repeat())
        self._settings = _by_label("settings", settings, self.pbxs)
        self._seldom = Seldom()
        self._teller: Teller | None = None
        _check_together(self)

    def __iter__(self) -> Iterator[Action]:
        """All actions, in the order of their declaration."""
        return (action for ivr in self.ivrs for action in ivr)

    @property
    def pbxs(self) -> tuple[str, ...]:
        """The labels of the PBXs that it is for, in the order of their IVRs."""
        return tuple(dict.fromkeys(ivr.pbx for ivr in self.ivrs)) or ("",)

    def receptionists(self, pbx: str = "") -> tuple[Receptionist, ...]:
        """Those that the IVRs of one PBX declare.

        Raises:
            DeclarationError: two of them are for one IVR and differ.
        """
        there = (ivr.receptionist for ivr in self.ivrs if ivr.pbx == pbx)
        return check_together(found for found in there if found)

    @cached_property
    def settings(self) -> Settings:
        """The settings in force; without a secret there are none.

        Raises:
            SettingsError: a variable is missing or wrong.
        """
        return self._read("").need("secret")

    def settings_for(self, pbx: str) -> Settings:
        """The settings in force for the PBX with this label.

        Raises:
            SettingsError: a variable is missing or wrong.
        """
        if not pbx:
            return self.settings
        own = self._read(pbx)
        return replace(self.settings, **{name: getattr(own, name) for name in OF_A_PBX})

    def _read(self, pbx: str) -> Settings:
        given = self._settings
        if not given:
            return Settings.read(pbx=pbx)
        return given.get(pbx) or given.get("") or next(iter(given.values()))

    def _make_tracer(self, settings: Settings) -> MakeTracer | None:
        """What makes the tracer of an action, if callbacks are traced; ``receiver dev`` does."""
        return tracer() if settings.tracing else None

    def tell(self, console: socket.socket) -> None:
        """Have the console in production told of the callbacks, before the app is first asked.

        Parameters:
            console: the workers' end, see `receiver.console.telling.lay`.
        """
        shown = self.settings.log_caller_data
        self._teller = Teller(
            console, self.settings.secret, self, self.fallbacks, caller_data=shown
        )

    @property
    def starlette(self) -> Starlette:
        """The Starlette app inside, made when it is first needed.

        Raises:
            SettingsError: a variable is missing or wrong.
            DeclarationError: two actions clash, or a URL is longer than the PBX takes.
        """
        return self._inside.starlette

    @cached_property
    def _inside(self) -> Assembly:
        _check_together(self)
        hide_queries()
        logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it quotes what was sent
        by_pbx = {"": self.settings, **{label: self.settings_for(label) for label in self.pbxs}}
        for action in self:  # is a URL too long?
            action.url(by_pbx[action.pbx].public_url or "http://x", len(action.parts))
        make_tracer = self._make_tracer(self.settings)
        return Assembly(
            tuple(self), self.fallbacks, by_pbx, self._seldom, make_tracer, self._teller
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        inside = self._inside
        if scope["type"] == "http":
            if bad := problem_of(scope):
                await turn_away(bad, scope, send, self._seldom)
                return
            # Starlette on the way to an action would cost as much as all that is done there.
            if (endpoint := inside.table.find(scope)) is not None:
                await endpoint(scope, receive, send)
                return
        await inside.starlette(scope, receive, send)


def _by_label(
    option: str, given: T | Mapping[str, T] | None, labels: tuple[str, ...]
) -> Mapping[str, T]:
    """What was given for each PBX; what was given for all has no label."""
    if not isinstance(given, Mapping):
        return {} if given is None else {"": given}
    if strangers := given.keys() - {"", *labels}:
        raise DeclarationError(
            f"{option} has {min(strangers)!r}, which is the pbx= of no Ivr: there are "
            f"{', '.join(map(repr, labels))}"
        )
    return dict(given)


def _check_together(app: Receiver) -> None:
    """Two Ivr objects may stand for the same IVR of the PBX: their actions must not clash."""
    seen: list[Action] = []
    for action in app:
        check_neighbours(action, seen)
        seen.append(action)
    for label in app.pbxs:
        app.receptionists(label)
