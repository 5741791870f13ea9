"""What an app is made of, once its settings are known.

Rule: what works with another part is closed before that one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.routing import Route

from receiver.actions import Action
from receiver.after import AfterWork, open_jobs
from receiver.auth import NONCE_LIFE
from receiver.auth.sources import Sources
from receiver.callbacks.table import ActionTable, Surroundings
from receiver.console.telling import Teller
from receiver.dispatch.dispatcher import Dispatcher
from receiver.dispatch.live import Backing
from receiver.errors import SettingsError
from receiver.ladders import Fallback
from receiver.operators.health import Check, health_routes
from receiver.operators.metrics import IDENTITY, PATH, Folder, Metrics, kept
from receiver.operators.tokens import admission
from receiver.recordings.recorder import Recorder
from receiver.replies import Repeat
from receiver.sessions import open_sessions
from receiver.settings import Settings
from receiver.stores import open_store
from receiver.stores.guarded import Guarded
from receiver.telemetry.counts import COUNTS
from receiver.telemetry.observing import Tracer
from receiver.telemetry.seldom import Seldom

if TYPE_CHECKING:
    from receiver.pbx.accounts import Accounts

FINISH = 10.0
"""Seconds that work after the answers has to end when the service stops."""

MakeTracer = Callable[[Action, Sources], Tracer]
"""Makes what begins the spans of an action's callbacks."""


class Assembly:
    """The parts of an app.

    Parameters:
        actions: all that it answers.
        fallbacks: by the label of a PBX, and under ``""`` for all others.
        by_pbx: the settings by the label of a PBX; those under ``""`` count for what is common.
        seldom: keeps the log from being flooded.
        make_tracer: None traces nothing.
        teller: tells the console in production, if there is one.

    Attributes:
        table: all its actions.
        starlette: what else it answers, and its start and end.

    Raises:
        SettingsError: what they ask for cannot be had.
    """

    def __init__(
        self,
        actions: tuple[Action, ...],
        fallbacks: Mapping[str, Fallback],
        by_pbx: Mapping[str, Settings],
        seldom: Seldom,
        make_tracer: MakeTracer | None,
        teller: Teller | None,
    ) -> None:
        settings = by_pbx[""]
        self._backing = _backing(settings)
        self._dispatcher = Dispatcher(
            fallbacks.get("", Repeat()),
            fallbacks=fallbacks,
            margin=settings.margin,
            threads=settings.threads,
            log_caller_data=settings.log_caller_data,
            context=self._backing.make,
        )
        self._store = open_store(settings.store, life=NONCE_LIFE)
        self._recorder, self._teller = _recorder(settings, actions), teller
        around = Surroundings(
            by_pbx,
            self._dispatcher,
            self._store,
            seldom,
            tracer=make_tracer,
            witnesses=[one.of for one in (self._recorder, teller) if one],
        )
        self._accounts = _accounts(by_pbx) if settings.guard else None
        self.table = ActionTable(actions, around)
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


def tracer() -> MakeTracer:
    """That of OpenTelemetry.

    Raises:
        SettingsError: its packages are missing.
    """
    try:
        from receiver.telemetry import tracing  # noqa: PLC0415 - an extra, and slow to import

        tracing.provide()
    except ImportError:
        raise SettingsError(
            "RECEIVER_TRACING is set, for which packages are missing: "
            "pip install 'portsip-receiver[otel]'"
        ) from None
    return tracing.Tracer


def _recorder(settings: Settings, actions: tuple[Action, ...]) -> Recorder | None:
    if settings.record is None:
        return None
    return Recorder(
        settings.record,
        settings.secret,
        actions,
        caller_data=settings.record_caller_data,
        megabytes=settings.record_megabytes,
    )
