"""The settings and resources that the endpoints of an app share."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from receiver.auth import Scheme
from receiver.auth.client_address import HostName, Sources
from receiver.auth.probe_token import check_token
from receiver.callbacks.authenticate import Authenticator
from receiver.callbacks.event_jobs import EventJobs
from receiver.callbacks.host_addresses import addresses_of
from receiver.callbacks.observer import Listener, Observer, Tracer
from receiver.callbacks.probe_answers import CheckToken
from receiver.declarations.actions import Action
from receiver.declarations.call_events import CallEvent
from receiver.dispatch.dispatcher import Dispatcher
from receiver.observability.log_throttle import LogThrottle
from receiver.settings import Settings
from receiver.storage.protocols import AuthStore


@dataclass(frozen=True, slots=True)
class EndpointContext:
    """The settings and resources that the endpoints of an app share.

    Attributes:
        settings: by the label of a PBX.
        dispatcher: runs the handlers.
        store: nonce counts and failures, which workers and machines share.
        log_throttle: limits the log lines.
        now: the time in seconds since the epoch.
        tracer: makes the tracer of an action for a public URL; None traces nothing.
        listeners: each makes an observer of the callbacks of an action, such as a recorder.
        records_requests: whether they get the requests of handlers to other services.
        events: what stores and runs the events of calls; None if no handler of any is declared.
        event_listeners: get each new event, such as the console.
    """

    settings: Mapping[str, Settings]
    dispatcher: Dispatcher
    store: AuthStore
    log_throttle: LogThrottle
    now: Callable[[], float] = time.time
    tracer: Callable[[Action, Sources, str], Tracer] | None = None
    listeners: Sequence[Callable[[Action], Listener]] = ()
    records_requests: bool = False
    events: EventJobs | None = None
    event_listeners: tuple[Callable[[CallEvent], object], ...] = ()

    def authenticator(self, pbx: str, scheme: Scheme, secret_header: str) -> Authenticator:
        """Return the authenticator of requests for a PBX's actions."""
        return Authenticator(
            scheme, self.sources(pbx), self.store, self.log_throttle, secret_header=secret_header
        )

    def prefix(self, pbx: str) -> str:
        """The path of the public URL."""
        return urlsplit(self.settings[pbx].public_url).path

    def sources(self, pbx: str) -> Sources:
        """Return the allowed client addresses of one PBX."""
        settings = self.settings[pbx]
        allowed = settings.allowed_sources
        names = tuple(one.name for one in allowed if isinstance(one, HostName))
        return Sources(allowed, settings.trusted_proxies, addresses_of(names) if names else ())

    def observer(self, action: Action) -> Observer:
        """Return the observer of the callbacks of ``action``."""
        settings = self.settings[action.pbx]
        return Observer(
            action,
            log_caller_data=settings.log_caller_data,
            counted=settings.metrics,
            tracer=self.tracer
            and self.tracer(action, self.sources(action.pbx), settings.public_url),
            listeners=[listener(action) for listener in self.listeners],
            records_requests=self.records_requests,
            history=self.events.history_of(action) if self.events else None,
        )

    def token_check(self, pbx: str, identity: str) -> CheckToken:
        """Return the function that checks the token of a probe."""
        secret = self.settings[pbx].secret
        return lambda token, now: check_token(secret, identity, token, now)
