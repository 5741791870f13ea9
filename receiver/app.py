"""The app: it *has* a Starlette app, and *is* an ASGI callable that can be mounted in another."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from receiver.actions import Action, check_neighbours
from receiver.after import AfterWork, open_jobs
from receiver.auth import NONCE_LIFE
from receiver.callbacks.intake import problem_of, turn_away
from receiver.callbacks.sources import Sources
from receiver.callbacks.table import ActionTable, Surroundings
from receiver.console.telling import Teller
from receiver.dispatch.dispatcher import Dispatcher
from receiver.dispatch.ladders import Fallback, problem_of_fallback
from receiver.dispatch.live import Backing
from receiver.errors import DeclarationError, SettingsError
from receiver.ivrs import Ivr
from receiver.operators.doors import admission
from receiver.operators.health import Check, health_routes
from receiver.operators.metrics import IDENTITY, PATH, Folder, Metrics, kept
from receiver.receptionists import Receptionist, check_together
from receiver.recordings.recorder import Recorder
from receiver.replies import Repeat
from receiver.sessions import open_sessions
from receiver.settings import OF_A_PBX, Settings
from receiver.stores import open_store
from receiver.stores.guarded import Guarded
from receiver.telemetry.counts import COUNTS
from receiver.telemetry.logs import hide_queries
from receiver.telemetry.observing import Tracer
from receiver.telemetry.seldom import Seldom

if TYPE_CHECKING:
    from receiver.pbx.accounts import Accounts

log = logging.getLogger("receiver")

FINISH = 10.0
"""Seconds that work after the answers has to end when the service stops."""

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

    def _make_tracer(self, settings: Settings) -> Callable[[Action, Sources], Tracer] | None:
        """What makes the tracer of an action, if callbacks are traced; ``receiver dev`` does."""
        return _tracer() if settings.tracing else None

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
    def _inside(self) -> _Inside:
        _check_together(self)
        hide_queries()
        logging.getLogger("python_multipart").setLevel(logging.CRITICAL)  # it quotes what was sent
        by_pbx = {"": self.settings, **{label: self.settings_for(label) for label in self.pbxs}}
        for action in self:  # is a URL too long?
            action.url(by_pbx[action.pbx].public_url or "http://x", len(action.parts))
        return _Inside(self, by_pbx, self._seldom, self._teller)

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


class _Inside:
    """What an app is made of, once its settings are known.

    Attributes:
        table: all its actions.
        starlette: what else it answers, and its start and end.
    """

    def __init__(
        self,
        app: Receiver,
        by_pbx: Mapping[str, Settings],
        seldom: Seldom,
        teller: Teller | None,
    ) -> None:
        settings = by_pbx[""]
        self._backing = _backing(settings)
        self._dispatcher = Dispatcher(
            app.fallback,
            fallbacks=app.fallbacks,
            margin=settings.margin,
            threads=settings.threads,
            log_caller_data=settings.log_caller_data,
            context=self._backing.make,
        )
        self._store = open_store(settings.store, life=NONCE_LIFE)
        self._recorder, self._teller = _recorder(settings, app), teller
        around = Surroundings(
            by_pbx,
            self._dispatcher,
            self._store,
            seldom,
            tracer=app._make_tracer(settings),
            witnesses=[one.of for one in (self._recorder, teller) if one],
        )
        self._accounts = _accounts(by_pbx) if settings.guard else None
        self.table = ActionTable(tuple(app), around)
        self._folder = Folder(COUNTS, settings.metrics_folder) if settings.metrics else None
        routes = health_routes(self._checks())
        if self._folder:
            door = admission(IDENTITY, settings, self._store, seldom)
            routes.append(Route(PATH, Metrics(door, self._folder)))
        self.starlette = Starlette(routes=routes, lifespan=self._live)
        # A redirect would go to the Host that the sender names.
        self.starlette.router.redirect_slashes = False

    @asynccontextmanager
    async def _live(self, _: Starlette) -> AsyncIterator[None]:
        self._backing.start()
        await self._store.reach()
        async with kept(self._folder) if self._folder else nullcontext():
            yield
        # The calls in hand were answered. What is closed now, each before what it works with:
        await self._dispatcher.close()
        await self._backing.close(FINISH)
        await self._store.close()
        if self._accounts:
            await self._accounts.close()
        if self._recorder:
            await asyncio.to_thread(self._recorder.close)
        if self._teller:
            await asyncio.to_thread(self._teller.close)

    def _checks(self) -> dict[str, Check]:
        """What ``/ready`` asks."""
        checks: dict[str, Check] = {}
        if isinstance(self._store, Guarded):
            checks["store"] = self._store.reachable
        if self._accounts:
            checks["pbx"] = self._accounts.good
        return checks


def _backing(settings: Settings) -> Backing:
    """What stands behind the calls."""
    after = AfterWork(
        open_jobs(settings.after),
        settings.secret,
        running=settings.threads,
        log_caller_data=settings.log_caller_data,
    )
    return Backing(open_sessions(settings.store), after, settings.secret)


def _accounts(by_pbx: Mapping[str, Settings]) -> Accounts:
    from receiver.pbx.accounts import Accounts  # noqa: PLC0415 - slow to import

    return Accounts(by_pbx.values())


def _tracer() -> Callable[[Action, Sources], Tracer]:
    try:
        from receiver.telemetry import tracing  # noqa: PLC0415 - an extra, and slow to import

        tracing.provide()
    except ImportError:
        raise SettingsError(
            "RECEIVER_TRACING is set, for which packages are missing: "
            "pip install 'portsip-receiver[otel]'"
        ) from None
    return tracing.Tracer


def _recorder(settings: Settings, actions: Iterable[Action]) -> Recorder | None:
    if settings.record is None:
        return None
    return Recorder(
        settings.record,
        settings.secret,
        actions,
        caller_data=settings.record_caller_data,
        megabytes=settings.record_megabytes,
    )


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
