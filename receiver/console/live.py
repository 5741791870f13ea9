"""The console in production: a process of its own beside the workers, on a port of its own.

Rule 1: no callback waits for it: workers tell it what was answered, and what it does not take in
        time is lost to it alone. Viewers are served by this process only.
Rule 2: it listens where RECEIVER_CONSOLE says, by default on this machine alone, and is known by
        the names of this machine and by those of the public URLs with TLS.
Rule 3: what it knows is in memory, bounded, and begins anew with each start.
"""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import urlsplit

from starlette.types import ASGIApp

from receiver.actions import Action
from receiver.app import Receiver
from receiver.auth import NONCE_LIFE
from receiver.console.destinations import Declared, declared
from receiver.console.feed import Feed, Json
from receiver.console.flowmap import Row, flow_json, public
from receiver.console.login import DOOR, Gate, Sessions
from receiver.console.security import loopback
from receiver.console.standing import Standing
from receiver.console.telling import Told, read
from receiver.console.totals import Totals
from receiver.console.traffic import Traffic, iso, ivr_of
from receiver.console.web import PAGE, make_console
from receiver.dev.places import handler_of
from receiver.operators.tokens import admission
from receiver.serving.server import Server, configure, serve_on
from receiver.serving.working import Channel
from receiver.stores import Memory
from receiver.telemetry.seldom import Seldom

TICK = 1.0
"""Seconds between two looks at what is added up."""

AT_ONCE = 50
"""Datagrams that are taken before somebody else has his turn."""


class Live:
    """What the console shows of an app's calls.

    Parameters:
        app: whose.
        title: what it is called.
        end: the socket into which the workers tell, see `receiver.console.telling.lay`.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        app: Receiver,
        title: str,
        end: socket.socket,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        end.setblocking(False)
        self._end = end
        self._now = now
        known = declared(app, app.fallbacks)
        self._rows = [_row(action, known[action.identity]) for action in app]
        self._names = {
            (ivr.pbx, ivr.number): (ivr.receptionist.fields.name or "") if ivr.receptionist else ""
            for ivr in app.ivrs
        }
        self._traffic = Traffic({row.action.identity: row.handler for row in self._rows})
        self._totals = Totals()
        self._standing = Standing(app, now=lambda: iso(now()))
        service = {"state": "running", "since": iso(now()), "text": "", "changes": []}
        parts = {"mode": "live", "title": title, "service": service}
        self.feed = Feed(parts, start=int(now() * 1000))
        self.sessions = Sessions(self.feed.release)
        self.tick()

    def hear(self) -> None:
        """Take what the workers told."""
        for _, message in zip(range(AT_ONCE), read(self._end), strict=False):
            self._totals.lost += message.lost
            for told in message.callbacks:
                self._take(told)

    def tick(self) -> None:
        """Tell what adds up, and look at what has gone by."""
        now = self._now()
        for call in self._traffic.quiet(now):
            self.feed.call(call.summary())
        self.feed.set("totals", self._totals.json(now))
        observed, menus = self._totals.observed, self._standing.menus
        self.feed.set("flow", flow_json(self._rows, self._names, menus, observed))
        self.feed.set("ivrs", self._ivrs())
        self.feed.set("registration", self._standing.json)
        self.sessions.sweep()
        if self.feed.viewers:
            self._standing.look(self.tick)

    async def run(self) -> None:
        """Do both until cancelled."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._end, self.hear)
        try:
            while True:
                await asyncio.sleep(TICK)
                self.tick()
        finally:
            loop.remove_reader(self._end)
            await self._standing.close()

    def _take(self, told: Told) -> None:
        self._totals.add(told)
        record = told.record
        key = record.pbx, record.ivr or ivr_of(record)
        if record.ivr_name and key in self._names:
            self._names[key] = record.ivr_name
        call, step = self._traffic.take(told)
        self.feed.call(call.summary())
        self.feed.step(call.key, call.callbacks - 1, step)

    def _ivrs(self) -> list[Json]:
        return [
            {
                "number": number,
                "pbx": pbx,
                "name": name,
                "prompt": {"text": None, "audio": None},
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
    """Serve the console until the parent says otherwise, or a signal does.

    Parameters:
        app, title, end: see `Live`.
        listener: where browsers come.
        channel: to the parent.

    Raises:
        SettingsError: a variable is missing or wrong.
    """
    live = Live(app, title, end)
    asgi = _behind_a_login(app, live, listener.getsockname()[1])

    async def beside(server: Server) -> None:
        beat = asyncio.create_task(channel.beat(server))
        try:
            await live.run()
        finally:
            beat.cancel()
            with suppress(asyncio.CancelledError):
                await beat

    class Shown(Server):
        async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
            live.feed.close()  # viewers would be waited for
            await super().shutdown(sockets)

    serve_on(listener, Shown(configure(asgi, "off"), beside=beside))


def _behind_a_login(app: Receiver, live: Live, port: int) -> ASGIApp:
    plain = loopback(port)
    token = secrets.token_urlsafe(24)
    who = admission(DOOR, app.settings, Memory(life=NONCE_LIFE), Seldom())
    return make_console(
        live.feed,
        hosts=plain | _public(app),
        token=token,
        within=lambda console: Gate(
            console,
            live.sessions,
            who,
            plain=plain,
            cookie=f"receiver-console-{port}",
            token=token,
            page=PAGE,
        ),
    )


def _public(app: Receiver) -> frozenset[str]:
    """The names under which a proxy may pass the console on: those with TLS."""
    urls = [urlsplit(app.settings_for(label).public_url) for label in ("", *app.pbxs)]
    return frozenset(url.netloc.lower() for url in urls if url.scheme == "https")


def _row(action: Action, known: Declared) -> Row:
    name, place = handler_of(action.handler, action.where)
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
