"""The parts of an app, built once its settings are known.

Rule: what works with another part is closed before that one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext
from types import MappingProxyType
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.routing import Route

from receiver.auth import NONCE_LIFE
from receiver.auth.client_address import Sources
from receiver.background import BackgroundJobs, open_jobs
from receiver.callbacks.call_history import CallHistory
from receiver.callbacks.context import EndpointContext
from receiver.callbacks.event_jobs import EventJobs
from receiver.callbacks.health import Check, health_routes
from receiver.callbacks.metrics_endpoint import IDENTITY, PATH, kept
from receiver.callbacks.observer import Tracer
from receiver.callbacks.operator_access import OperatorAccess, endpoint_authenticator
from receiver.callbacks.routes import ActionTable
from receiver.declarations.actions import Action
from receiver.declarations.event_actions import PbxEvents
from receiver.declarations.fallbacks import Fallback
from receiver.dispatch.dispatcher import Dispatcher
from receiver.dispatch.live_context import Backing
from receiver.dispatch.session_key import LIFE, LONG_LIFE
from receiver.dispatch.sessions import open_sessions
from receiver.errors import SettingsError
from receiver.execution.current_time import Clock
from receiver.observability.log_throttle import LogThrottle
from receiver.observability.metrics import COUNTS
from receiver.recording.publisher import Publisher
from receiver.recording.recorder import Recorder
from receiver.replies import Repeat
from receiver.settings import Settings
from receiver.storage.auth_fallback import AuthFallback
from receiver.storage.backends import open_auth_store

if TYPE_CHECKING:
    from pathlib import Path

    from receiver.callbacks.metrics_folder import Folder
    from receiver.callbacks.metrics_page import MetricsPage
    from receiver.pbx.accounts import Accounts


FINISH = 10.0
"""Seconds that work after the answers has to end when the service stops."""

MakeTracer = Callable[[Action, Sources, str], Tracer]
"""Makes what begins the spans of an action's callbacks, for a public URL."""


class Assembly:
    """The parts of an app.

    Parameters:
        actions: all that it answers.
        fallbacks: by the label of a PBX, and under ``""`` for all others.
        by_pbx: the settings by the label of a PBX; those under ``""`` count for what is common.
        log_throttle: keeps the log from being flooded.
        make_tracer: None traces nothing.
        publisher: publishes callbacks to the console in production; None for no console.
        clock: the date and time of handlers in a simulation; None for the system's.
        events: what is declared for the events of calls, by the label of a PBX.

    Attributes:
        table: all its actions.
        starlette: what else it answers, and its start and end.

    Raises:
        SettingsError: a setting cannot be fulfilled.
    """

    _folder: Folder | None = None

    def __init__(
        self,
        actions: tuple[Action, ...],
        fallbacks: Mapping[str, Fallback],
        by_pbx: Mapping[str, Settings],
        log_throttle: LogThrottle,
        make_tracer: MakeTracer | None,
        publisher: Publisher | None,
        clock: Clock | None = None,
        *,
        events: Mapping[str, PbxEvents] = MappingProxyType({}),
    ) -> None:
        settings = by_pbx[""]
        self._backing = _backing(by_pbx, clock, LONG_LIFE if events else LIFE)
        self._dispatcher = Dispatcher(
            fallbacks.get("", Repeat()),
            fallbacks=fallbacks,
            margin=settings.margin,
            threads=settings.threads,
            log_caller_data=settings.log_caller_data,
            context=self._backing.make,
        )
        self._store = open_auth_store(settings.store, life=NONCE_LIFE)
        self._recorder, self._publisher = _recorder(settings, actions), publisher
        self._is_traced, self.is_live = make_tracer is not None, False
        jobs = self._backing.jobs
        self._events = EventJobs(events, jobs, CallHistory(self._backing)) if events else None
        context = EndpointContext(
            *(by_pbx, self._dispatcher, self._store, log_throttle),
            tracer=make_tracer,
            listeners=[one.of for one in (self._recorder, publisher) if one],
            records_requests=self._recorder is not None,
            events=self._events,
            event_listeners=(publisher.event,) if publisher else (),
        )
        self._accounts = _accounts(by_pbx) if settings.guard else None
        self.table = ActionTable(actions, context)
        routes = health_routes(self._checks())
        if settings.metrics:
            page = _metrics_page(settings.metrics_folder)
            self._folder = page.folder
            checker = endpoint_authenticator(IDENTITY, settings, self._store, log_throttle)
            routes.append(Route(PATH, OperatorAccess(page, IDENTITY, checker)))
        self.starlette = Starlette(routes=routes, lifespan=self.lifespan)
        self.starlette.router.redirect_slashes = False  # to the Host that the sender names

    async def idle(self) -> None:
        """Wait until no background job of this process is due or runs."""
        await self._backing.jobs.idle()

    @asynccontextmanager
    async def lifespan(self, _: object = None) -> AsyncIterator[None]:
        """Start all parts and stop them, also after an error; once, if several apps contain it."""
        if self.is_live:
            yield
            return
        self.is_live = True
        try:
            self._backing.start()
            await self._store.reach()
            async with kept(self._folder) if self._folder else nullcontext():
                yield
        finally:
            self.is_live = False
            await self._close()

    async def _close(self) -> None:
        # The calls in progress were answered. Parts are closed before the parts that they use:
        await self._dispatcher.close()
        await self._backing.close(FINISH)
        await self._store.close()
        if self._accounts:
            await self._accounts.close()
        if self._recorder:
            await asyncio.to_thread(self._recorder.close)
        if self._publisher:
            await asyncio.to_thread(self._publisher.close)
        if self._is_traced:
            from receiver.callbacks import span_export  # noqa: PLC0415 - an extra

            await span_export.export_rest()

    def _checks(self) -> dict[str, Check]:
        """Return the checks of ``/ready``."""
        checks: dict[str, Check] = {}
        if isinstance(self._store, AuthFallback):
            checks["store"] = self._store.reachable
        if self._accounts:
            checks["pbx"] = self._accounts.good
        return checks


def _backing(by_pbx: Mapping[str, Settings], clock: Clock | None, life: float) -> Backing:
    """Return the sessions and background jobs of the calls."""
    settings = by_pbx[""]
    after = BackgroundJobs(
        open_jobs(settings.jobs, settings.store),
        settings.secret,
        max_concurrency=settings.threads,
        log_caller_data=settings.log_caller_data,
    )
    formats = {label: of_pbx.number_format for label, of_pbx in by_pbx.items()}
    sessions = open_sessions(settings.store)
    return Backing(sessions, after, settings.secret, formats, clock, life=life)


def _metrics_page(folder: Path | None) -> MetricsPage:
    from receiver.callbacks.metrics_page import MetricsPage  # noqa: PLC0415 - slow to import

    return MetricsPage(COUNTS, folder)


def _accounts(by_pbx: Mapping[str, Settings]) -> Accounts:
    from receiver.pbx.accounts import Accounts  # noqa: PLC0415 - slow to import

    return Accounts(by_pbx.values())


def tracer() -> MakeTracer:
    """Return the tracer of OpenTelemetry.

    Raises:
        SettingsError: its packages are missing.
    """
    try:
        from receiver.callbacks import span_export, tracing  # noqa: PLC0415 - slow to import

        span_export.provide()
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
        fields=settings.record_fields,
        megabytes=settings.record_megabytes,
    )
