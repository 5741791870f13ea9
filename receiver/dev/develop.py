"""``receiver dev``: the console, the simulated PBXs and the service, until it is stopped.

Rule 1: everything listens on the loopback interface, and the console requires a token
        (`receiver.callbacks.operator_access`).
Rule 2: tasks and processes end with the command, in the order of their dependencies.
Rule 3: sessions and background jobs survive a reload, but not the command: they are kept in a
        temporary folder, and never in the stores that the settings name.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import secrets
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from starlette.types import ASGIApp

from receiver.auth import NONCE_LIFE
from receiver.auth.browser_sessions import BrowserSessions
from receiver.callbacks.operator_access import Login, OperatorAccess, token_authenticator
from receiver.console.feed import Feed
from receiver.console.guide_page import guide_route
from receiver.console.pages import page_of
from receiver.console.security import loopback
from receiver.console.web import PAGE, make_console
from receiver.credentials import Secret
from receiver.dev.messages import Ready, Report
from receiver.dev.pbx_copy import CopyResult, copy
from receiver.dev.phone_calls import OnMissing, PhoneCalls
from receiver.dev.service import Service, ServiceOptions, State
from receiver.dev.simulated_pbxs import SimulatedPbxs
from receiver.dev.single_process import SingleProcessService
from receiver.errors import ReceiverError
from receiver.execution.signals import on_stop
from receiver.observability.log_throttle import LogThrottle
from receiver.pbx.pbx_client import PbxClient
from receiver.registration.voices import Voices
from receiver.server.sockets import IS_POSIX, bind, url_of
from receiver.server.uvicorn_server import running
from receiver.settings import PREFIX, Settings
from receiver.storage.memory import MemoryAuth


@dataclass(frozen=True, slots=True)
class Terminal:
    """Callbacks that print on the terminal.

    Attributes:
        console: called with the console's URL, which has the token, and the service's URL.
        state: called with each state of the service.
        copied: called with a PBX's label and the result of the copy.
        missing: called with an IVR, and the declaration for keys that match nothing there.
    """

    console: Callable[[str, str], None]
    state: Callable[[State], None]
    copied: Callable[[str, CopyResult], None]
    missing: OnMissing


QUERY_PARAMETER = "token"
"""The query parameter of the console's URL with the token."""

MakeClient = Callable[[Settings], PbxClient]
"""Makes a client of the real PBX that settings name."""


class CopyError(ReceiverError):
    """The real PBX of a label cannot be copied; the text says which, and why."""

    def __init__(self, label: str, why: ReceiverError) -> None:
        super().__init__(f"the PBX {f'{label} ' if label else ''}cannot be copied: {why}")
        self.exit_code = why.exit_code


class _StartError(Exception):
    """The command cannot start, and a change of the code would not help."""

    def __init__(self, why: CopyError) -> None:
        super().__init__(str(why))
        self.why = why


async def develop(target: str, *, port: int, real: MakeClient | None, terminal: Terminal) -> None:
    """Run until a signal stops it.

    Parameters:
        target: the app.
        port: of the console; 0 for a free one.
        real: None copies no PBX.
        terminal: prints the events.

    Raises:
        SettingsError: the settings are wrong, or the port is in use.
        LoadError: the command names no app.
        CopyError: the real PBX cannot be read, or no setting has its URL.
    """
    secret = Secret(secrets.token_hex(32))
    with bind("127.0.0.1", 0) as listener, _environ(secret, url_of(listener, tls=False)) as environ:
        base = url_of(listener, tls=False)
        start = int(time.time() * 1000)  # event numbers continue above those of the last run
        feed = Feed({"mode": "dev", "title": target, "ivrs": [], "service": None}, start=start)
        speak = Voices(Settings.read()).speak
        async with SimulatedPbxs(base, secret, speak) as sites:
            events = _ServiceEvents(feed, sites, _Copier(real, base, terminal), terminal)
            service = (Service if IS_POSIX else SingleProcessService)(
                ServiceOptions(
                    target, listener, environ, events.register, events.on_state, events.on_report
                )
            )
            events.calls = calls = PhoneCalls(feed, sites, service, terminal.missing)
            async with _console(feed, calls, port) as url:
                terminal.console(url, base)
                await _until_stopped(service, calls)


class _ServiceEvents:
    """Callbacks of the service; ``calls`` is set later, since calls need the service."""

    calls: PhoneCalls

    def __init__(
        self, feed: Feed, sites: SimulatedPbxs, copier: _Copier, terminal: Terminal
    ) -> None:
        self._feed = feed
        self._sites = sites
        self._copier = copier
        self._terminal = terminal

    async def register(self, ready: Ready) -> tuple[str, ...]:
        await self._copier.copy_for(ready, self._sites)
        changes = await self._sites.register(ready)
        self.calls.show_ivrs()
        return changes

    def on_state(self, state: State) -> None:
        self._feed.set("service", _service_json(state))
        self._terminal.state(state)

    def on_report(self, child: int, report: Report) -> None:
        self.calls.report(child, report)


@asynccontextmanager
async def _console(feed: Feed, calls: PhoneCalls, port: int) -> AsyncIterator[str]:
    """Serve the console; yield the URL that opens it."""
    hosts: set[str] = set()
    token = Secret(secrets.token_urlsafe(24))
    app = make_console(
        feed,
        hosts=hosts,
        token=secrets.token_urlsafe(24),
        controls=calls,
        within=lambda console: with_url_token(console, token, hosts),
        more=[guide_route(PAGE)],
    )
    async with running(app, lifespan="off", port=port) as url:
        hosts |= loopback(urlsplit(url).port or 0)
        try:
            yield f"{url}/?{QUERY_PARAMETER}={token.reveal()}"
        finally:
            feed.close()


def with_url_token(console: ASGIApp, token: Secret, hosts: Collection[str]) -> ASGIApp:
    """Return the console behind a login by the URL with ``token``: the machine may have more users.

    Parameters:
        hosts: the values of Host of the console.
    """
    login = Login(
        BrowserSessions(  # sessions do not expire
            lambda: None, time.monotonic, secrets.token_bytes, lifetime=math.inf
        ),
        lambda scope: f"receiver-dev-{scope['server'][1]}",
        hosts,
        page=lambda: page_of(PAGE, "token.html"),
        page_status=401,
        hint="no session: open the URL that receiver dev printed, with the token in it",
        query=QUERY_PARAMETER,
    )
    checker = token_authenticator(token, MemoryAuth(life=NONCE_LIFE), LogThrottle())
    return OperatorAccess(console, "dev", checker, login)


async def _until_stopped(service: Service | SingleProcessService, calls: PhoneCalls) -> None:
    stopped = asyncio.Event()
    on_stop(stopped.set)
    work = asyncio.create_task(service.run())
    wait = asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait({work, wait}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            try:
                await work
            except _StartError as failed:
                raise failed.why from None
    finally:
        wait.cancel()
        work.cancel()
        await calls.close()
        await asyncio.gather(work, wait, return_exceptions=True)


class _Copier:
    """Copies each PBX once, when its label is known."""

    def __init__(self, real: MakeClient | None, base: str, terminal: Terminal) -> None:
        self._real = real
        self._base = base
        self._terminal = terminal
        self._done: set[str] = set()
        self._has_started = False

    async def copy_for(self, ready: Ready, sites: SimulatedPbxs) -> None:
        """Copy the PBXs of these declarations that were not copied yet.

        Raises:
            CopyError: a PBX cannot be copied; the previous version continues to serve.
            _StartError: a PBX cannot be copied for the first version.
        """
        labels = dict.fromkeys(label for label, _ in ready.ivrs) if self._real else {}
        for label in labels:
            if label not in self._done:
                try:
                    await self._copy(label, sites)
                except ReceiverError as error:
                    failed = CopyError(label, error)
                    raise failed if self._has_started else _StartError(failed) from None
                self._done.add(label)
        self._has_started = True

    async def _copy(self, label: str, sites: SimulatedPbxs) -> None:
        assert self._real is not None  # noqa: S101 - or there are no labels
        settings = Settings.read(pbx=label)
        site = await sites.at(label)
        async with self._real(settings) as client:
            copied = await copy(client, site, public_url=settings.public_url, base=self._base)
        self._terminal.copied(label, copied)


@contextlib.contextmanager
def _environ(secret: Secret, base: str) -> Iterator[dict[str, str]]:
    """Yield the variables of a child in addition to those of this process."""
    Settings.read()  # raises the errors in them at once
    with tempfile.TemporaryDirectory(prefix="receiver-dev-") as folder:
        environ = {f"{PREFIX}SECRET": secret.reveal(), f"{PREFIX}PUBLIC_URL": base}
        for name in ("store", "jobs"):
            environ[f"{PREFIX}{name.upper()}"] = os.path.join(folder, f"{name}.db")
        yield environ


def _service_json(state: State) -> dict[str, object]:
    return {
        "state": state.state,
        "since": datetime.now().astimezone().isoformat(timespec="milliseconds"),
        "text": state.text,
        "changes": list(state.changes),
        "seconds": round(state.seconds, 3),
        "serves": state.serves,
    }
