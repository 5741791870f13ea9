"""The console in production: a process beside the workers, with its own port.

Rule 1: no callback waits for the console: workers publish answered callbacks, and those that the
        console does not read in time are missing there only. This process serves all viewers.
Rule 2: it listens on RECEIVER_CONSOLE, by default on the loopback interface. The accepted Host
        values are the loopback names and the hosts of public URLs with TLS.
Rule 3: its state is in memory, bounded, and empty after a start.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.types import ASGIApp

from receiver.app import Receiver
from receiver.auth import NONCE_LIFE
from receiver.auth.browser_sessions import BrowserSessions
from receiver.callbacks.operator_access import Login, OperatorAccess, endpoint_authenticator
from receiver.console.feed import Feed, Json
from receiver.console.pages import page_of
from receiver.console.registration_state import RegistrationState
from receiver.console.security import TOKEN_NAME, loopback
from receiver.console.totals import Totals
from receiver.console.traffic import Call, Traffic, iso, ivr_of
from receiver.console.web import PAGE, make_console
from receiver.declarations.actions import Action
from receiver.declarations.announcement import Announcement
from receiver.declarations.call_flow import Row, flow_json, public
from receiver.declarations.introspection import Declared, declared, source_location
from receiver.declarations.speech import Speech
from receiver.observability.log_throttle import LogThrottle
from receiver.recording.publisher import PublishedCallback, read
from receiver.server.uvicorn_server import Server, configure, serve_on
from receiver.server.worker import Channel
from receiver.storage.memory import MemoryAuth

TICK_INTERVAL = 1.0
"""Seconds between two updates of the totals."""

MAX_BATCH = 50
"""Datagrams that are read before other work of the event loop runs."""


class Live:
    """The calls of an app, as the console shows them.

    Parameters:
        app: the declarations.
        title: of the page.
        end: the socket of the workers, see `receiver.recording.publisher.make_sockets`.
        now: seconds since the epoch.
        batch: datagrams that are read at once.
        tick: seconds between two updates of the totals.
    """

    def __init__(
        self,
        app: Receiver,
        title: str,
        end: socket.socket,
        *,
        now: Callable[[], float] = time.time,
        batch: int = MAX_BATCH,
        tick: float = TICK_INTERVAL,
    ) -> None:
        self._batch = batch
        self._tick = tick
        end.setblocking(False)
        self._end = end
        self._now = now
        known = declared(app, app.fallbacks)
        self._rows = [_row(action, known[action.identity]) for action in app]
        self._names = {
            (ivr.pbx, ivr.number): (ivr.desired.fields.name or "") if ivr.desired else ""
            for ivr in app.ivrs
        }
        self._texts = {
            (ivr.pbx, ivr.number): prompt.words
            for ivr in app.ivrs
            if ivr.desired and isinstance(prompt := ivr.desired.prompts.get("prompt"), Speech)
        }
        self._announcements = [ivr for ivr in app.ivrs if isinstance(ivr, Announcement)]
        self._traffic = Traffic({row.action.identity: row.handler for row in self._rows})
        self._totals = Totals()
        self._registration = RegistrationState(app, now=lambda: iso(now()))
        service = {"state": "running", "since": iso(now()), "text": "", "changes": []}
        parts = {"mode": "live", "title": title, "service": service}
        self.feed = Feed(parts, start=int(now() * 1000))
        self.sessions = BrowserSessions(self.feed.release, time.monotonic, secrets.token_bytes)
        self.tick()

    def receive(self) -> None:
        """Read the callbacks that the workers published."""
        for _, message in zip(range(self._batch), read(self._end), strict=False):
            self._totals.lost += message.lost
            for published in message.callbacks:
                self._take(published)
            for event in message.events:
                if (found := self._traffic.event(event)) is not None:
                    self._show(*found)

    def tick(self) -> None:
        """Publish the totals, end silent calls, and refresh the registration state."""
        now = self._now()
        for call in self._traffic.end_silent(now):
            self.feed.call(call.summary())
        self.feed.set("totals", self._totals.json(now))
        observed, menus = self._totals.observed, self._registration.menus
        flow = flow_json(self._rows, self._names, menus, observed, self._announcements)
        self.feed.set("flow", flow)
        self.feed.set("ivrs", self._ivrs())
        self.feed.set("registration", self._registration.json)
        self.sessions.sweep()
        if self.feed.viewers:
            self._registration.refresh(self.tick)

    async def run(self) -> None:
        """Receive and update until cancelled."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._end, self.receive)
        try:
            while True:
                await asyncio.sleep(self._tick)
                self.tick()
        finally:
            loop.remove_reader(self._end)
            await self._registration.close()

    def _take(self, published: PublishedCallback) -> None:
        self._totals.add(published)
        record = published.record
        key = record.pbx, record.ivr or ivr_of(record)
        if record.ivr_name and key in self._names:
            self._names[key] = record.ivr_name
        self._show(*self._traffic.take(published))

    def _show(self, call: Call, step: Json) -> None:
        self.feed.call(call.summary())
        self.feed.step(call.key, call.steps - 1, step)

    def _ivrs(self) -> list[Json]:
        return [
            {
                "number": number,
                "pbx": pbx,
                "name": name,
                "prompt": {"text": self._texts.get((pbx, number)), "audio": None},
                "menu": [],
                "actions": [
                    _action(row)
                    for row in self._rows
                    if (row.action.pbx, row.action.ivr) == (pbx, number)
                ],
                "night": False,
                "office": "",
            }
            for (pbx, number), name in self._names.items()
        ]


def show(
    app: Receiver, title: str, listener: socket.socket, end: socket.socket, channel: Channel
) -> None:
    """Serve the console until the parent or a signal stops it.

    Parameters:
        app, title, end: see `Live`.
        listener: the socket for browsers.
        channel: to the parent.

    Raises:
        SettingsError: a variable is missing or wrong.
    """
    live = Live(app, title, end)
    asgi = _with_login(app, live, listener.getsockname()[1])

    async def beside(server: Server) -> None:
        beat = asyncio.create_task(channel.beat(server))
        try:
            await live.run()
        finally:
            beat.cancel()
            with suppress(asyncio.CancelledError):
                await beat

    class ConsoleServer(Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            live.feed.close()  # or the server would wait for the viewers
            await super().shutdown(sockets)

    serve_on(listener, ConsoleServer(configure(asgi, "off"), beside=beside))


def _with_login(app: Receiver, live: Live, port: int) -> ASGIApp:
    plain = loopback(port)
    token = secrets.token_urlsafe(24)
    store = MemoryAuth(life=NONCE_LIFE)
    checker = endpoint_authenticator(TOKEN_NAME, app.settings, store, LogThrottle())
    login = password_login(live.sessions, plain, f"receiver-console-{port}", token)
    return make_console(
        live.feed,
        hosts=plain | _public(app),
        token=token,
        within=lambda console: OperatorAccess(console, TOKEN_NAME, checker, login),
    )


def password_login(
    sessions: BrowserSessions, plain: Collection[str], cookie: str, token: str
) -> Login:
    """Return the login of the production console.

    Parameters:
        sessions, plain: see `Login`.
        cookie: its name.
        token: of the pages, see `receiver.console.security`.
    """
    return Login(
        sessions,
        lambda _: cookie,
        plain,
        page=lambda: page_of(PAGE, "login.html", token=token),
        page_status=200,
        hint="you are not signed in: reload the page",
        wrong="wrong password: receiver console prints it",
    )


def _public(app: Receiver) -> frozenset[str]:
    """Return the hosts of public URLs with TLS, where a proxy may serve the console."""
    urls = [urlsplit(app.settings_for(label).public_url) for label in ("", *app.pbxs)]
    return frozenset(url.netloc.lower() for url in urls if url.scheme == "https")


def _row(action: Action, known: Declared) -> Row:
    name, place = source_location(action.handler, action.where)
    return Row(action, f"{name} ({place})", *known)


def _action(row: Row) -> Json:
    action = row.action
    return {
        "name": action.name,
        "identity": action.identity,
        "kind": action.kind,
        "mask": str(public(action)),
        "method": action.method,
        "auth": action.auth or "none",
        "enabled": action.enabled,
        "handler": row.handler,
        "fallback": ", ".join(row.fallback),
    }
