"""The app: it *has* a Starlette app, and *is* an ASGI callable that can be mounted in another."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import cached_property, partial

from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send

from receiver.assembly import Assembly, MakeTracer, tracer
from receiver.callbacks.asgi_messages import answer, read, without_added_slash
from receiver.callbacks.request import BODY_LIMIT, Request
from receiver.callbacks.request_checks import problem_of, refuse_badly_framed
from receiver.callbacks.routes import ActionTable
from receiver.declarations.actions import Action, check_neighbours
from receiver.declarations.announcement import check_declared
from receiver.declarations.call_events import EventKind
from receiver.declarations.desired_ivr import holidays_of
from receiver.declarations.event_actions import (
    E,
    EventEndpoint,
    Events,
    PbxEvents,
    event_endpoint,
    pbx_events,
)
from receiver.declarations.fallbacks import Fallback, problem_of_fallback
from receiver.declarations.ivr import Ivr, desired_ivrs
from receiver.declarations.labels import by_label
from receiver.errors import DeclarationError, SettingsError
from receiver.execution.current_time import Clock
from receiver.observability.log_setup import hide_queries
from receiver.observability.log_throttle import LogThrottle
from receiver.phone_numbers.numbers import NumberFormat
from receiver.recording.publisher import Publisher
from receiver.replies import Repeat
from receiver.settings import OF_A_PBX, Settings

log = logging.getLogger("receiver")


class Receiver:
    """An ASGI app that answers the callbacks of the actions declared on ``ivrs``.

    ::

        app = Receiver(sales, support, fallback=Forward("0"))

    Parameters:
        parts: the IVRs whose actions are served, announcements, and `Events`, whose handlers get
            the events of calls; several modules may each export one.
        fallback: the reply of actions that declare none, when their handler exceeds its deadline,
            raises or returns no reply. A mapping gives each PBX its own, by the label that
            ``Ivr(…, pbx=…)`` names; ``""`` is for all others.
        settings: by default read from ``RECEIVER_*`` at the start or the first request. A
            mapping gives each PBX its own, as for ``fallback``; what is not about a PBX counts
            from that of ``""``, or else from the first.

    Raises:
        DeclarationError: two actions of one IVR clash, or two declarations of an IVR or of an
            event URL, or a mapping has a label of no IVR, or a handler names an announcement that
            is missing.
    """

    def __init__(
        self,
        *parts: Ivr | Events,
        fallback: Fallback | Mapping[str, Fallback] | None = None,
        settings: Settings | Mapping[str, Settings] | None = None,
    ) -> None:
        for part in parts:
            if not isinstance(part, Ivr | Events):
                kind = type(part).__name__
                raise DeclarationError(f"Receiver takes Ivr and Events objects, not {kind}")
        self.ivrs = tuple(dict.fromkeys(part for part in parts if isinstance(part, Ivr)))
        given = dict.fromkeys(part for part in parts if isinstance(part, Events))
        self._own_events = Events()
        self.events: tuple[Events, ...] = (*given, self._own_events)
        self.fallbacks: Mapping[str, Fallback] = by_label("fallback", fallback, self.pbxs)
        for problem in map(problem_of_fallback, self.fallbacks.values()):
            if problem:
                raise DeclarationError(problem)
        self.fallback: Fallback = self.fallbacks.get("", Repeat())
        self._settings = by_label("settings", settings, self.pbxs)
        self._log_throttle = LogThrottle()
        self._publisher: Publisher | None = None
        self._clock: Clock | None = None
        _check_together(self)

    def __iter__(self) -> Iterator[Action]:
        """All actions, in the order of their declaration."""
        return (action for ivr in self.ivrs for action in ivr)

    @property
    def pbxs(self) -> tuple[str, ...]:
        """The labels of the PBXs that it is for, in the order of their IVRs."""
        named = [*(ivr.pbx for ivr in self.ivrs), *(part.pbx for part in self.events)]
        return tuple(dict.fromkeys(one for one in named if one is not None)) or ("",)

    def on(self, kind: EventKind, *, name: str = "") -> Callable[[E], E]:
        """Declare the decorated function for the events of calls on all PBXs.

        ::

            @app.on("call_ended")
            async def log_call(event: CallEvent) -> None:
                print(event.session_id, event.talk_duration, event.forwarded_to)

        As `Events.on`, which explains it, for a module that sees the app.
        """
        return self._own_events.on(kind, name=name)

    def event_endpoint(self, pbx: str) -> EventEndpoint | None:
        """Return the event URL of one PBX, by its label; None if no handler is declared for it."""
        return event_endpoint(self.events, pbx)

    @cached_property
    def settings(self) -> Settings:
        """The effective settings.

        Raises:
            SettingsError: a variable is missing or wrong.
        """
        return self._read("", "secret")

    def settings_for(self, pbx: str, *needed: str) -> Settings:
        """The settings in force for the PBX with this label.

        Parameters:
            pbx: the label; empty for the only PBX.
            needed: the settings that must be set, as for `Settings.need`.

        Raises:
            SettingsError: variables are missing or wrong; the text has a line for each.
        """
        if not pbx and not needed:
            return self.settings
        own = self._read(pbx, "secret", *needed)
        return replace(self.settings, **{name: getattr(own, name) for name in OF_A_PBX})

    def number_formats(self) -> dict[str, NumberFormat]:
        """Return how the trunk of each PBX writes callers' numbers, by the PBX's label.

        A PBX whose settings are missing or wrong is left out: they are reported where they are
        needed.
        """
        found: dict[str, NumberFormat] = {}
        for label in self.pbxs:
            with suppress(SettingsError):
                found[label] = self._read(label).number_format
        return found

    def _read(self, pbx: str, *needed: str) -> Settings:
        given = self._settings
        if not given:
            return Settings.read(pbx=pbx, needed=needed)
        common = given.get("") or next(iter(given.values()))
        own = given.get(pbx, common)
        return replace(common, **{name: getattr(own, name) for name in OF_A_PBX}).need(*needed)

    def _make_tracer(self, settings: Settings) -> MakeTracer | None:
        """Return what creates the tracer of an action, if callbacks are traced."""
        return tracer() if settings.tracing else None

    def use_clock(self, clock: Clock) -> None:
        """Set the date and time that handlers get by `receiver.Call.now`, for a simulation.

        Called before the first request.

        Parameters:
            clock: called with the call's session id.
        """
        self._clock = clock

    def publish_to(self, console: socket.socket) -> None:
        """Publish the callbacks to the console in production; called before the first request.

        Parameters:
            console: the workers' end, see `receiver.recording.publisher.make_sockets`.
        """
        shown = self.settings.log_caller_data
        self._publisher = Publisher(
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

    @property
    def callbacks(self) -> ActionTable:
        """The endpoints of the actions, for a server that passes callbacks without ASGI.

        Raises as `starlette` does.
        """
        return self._inside.table

    @cached_property
    def _inside(self) -> Assembly:
        _check_together(self)
        hide_queries()
        logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it quotes what was sent
        by_pbx = {"": self.settings, **{label: self.settings_for(label) for label in self.pbxs}}
        for action in self:  # is a URL too long?
            action.url(by_pbx[action.pbx].public_url or "http://x", len(action.parts))
        make_tracer = self._make_tracer(self.settings)
        events = {label: found for label in self.pbxs if (found := self._events_of(label))}
        for label, found in events.items():
            found.endpoint.url(by_pbx[label].public_url or "http://x")
        return Assembly(
            *(tuple(self), self.fallbacks, by_pbx, self._log_throttle),
            *(make_tracer, self._publisher, self._clock),
            events=events,
        )

    def _events_of(self, pbx: str) -> PbxEvents | None:
        return pbx_events(
            self.events, pbx, frozenset(ivr.number for ivr in self.ivrs if ivr.pbx == pbx)
        )

    async def idle(self) -> None:
        """Wait until no background job of this process is due or runs; for tests."""
        await self._inside.idle()

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[None]:
        """Start and stop the app where another contains it; a mounted app gets no lifespan events.

        Without it jobs after the answer are lost when the process stops. For an app on its own the
        server does it. ::

            site = Starlette(routes=[Mount("/calls", app)], lifespan=app.lifespan)

        Inside another lifespan: ``async with app.lifespan(): yield``.

        Parameters:
            app: the containing app, which frameworks pass; not used.

        Raises:
            SettingsError: a variable is missing or wrong.
        """
        inside = self._inside
        try:
            async with inside.lifespan():
                yield
        finally:
            self._end(inside)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        inside = self._inside
        if scope["type"] == "http":
            scope = without_added_slash(scope)
            if bad := problem_of(scope):
                await refuse_badly_framed(bad, scope, send, self._log_throttle)
                return
            # Routing by Starlette would cost as much as the whole callback.
            request = Request.of_scope(
                scope, lambda: read(scope, receive), asyncio.get_running_loop()
            )
            if (endpoint := inside.table.find(request)) is not None:
                if endpoint.body_limit != BODY_LIMIT:
                    request.read = partial(read, scope, receive, endpoint.body_limit)
                await answer(endpoint, request, send)
                return
        await inside.starlette(scope, receive, send)
        if scope["type"] == "lifespan":
            self._end(inside)

    def _end(self, inside: Assembly) -> None:
        """Make the next request start again, as in tests, unless an outer lifespan still runs."""
        if not inside.is_live:
            self.__dict__.pop("_inside", None)


def _check_together(app: Receiver) -> None:
    """Two Ivr objects may stand for the same IVR of the PBX: their actions must not clash."""
    seen: list[Action] = []
    for action in app:
        check_neighbours(action, seen)
        seen.append(action)
    for label in app.pbxs:
        holidays_of(desired_ivrs(app.ivrs, label))
        app._events_of(label)
    check_declared(seen, app.ivrs)
