"""``receiver dev`` as a whole: the console, the simulated PBXs, the service, until it is stopped.

Rule 1: all of it listens on this machine alone, and the console is for who started it
        (`receiver.dev.door`).
Rule 2: what has a life of its own ends with it, in an order in which nothing waits for anything.
Rule 3: a call's memory and durable work outlive a change of the code, but not this command: the
        places that the settings name are the real service's, and nothing of these calls goes there.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from receiver.console.feed import Feed
from receiver.console.security import loopback
from receiver.console.web import PAGE, make_console
from receiver.dev.calling import Calls
from receiver.dev.copying import Copied, copy
from receiver.dev.door import QUERY, Door
from receiver.dev.messages import Ready, Report
from receiver.dev.registering import Sites
from receiver.dev.reloading import Service, State
from receiver.errors import ReceiverError
from receiver.pbx.client import PbxClient
from receiver.secrets import Secret
from receiver.serving.listening import bind, url_of
from receiver.serving.server import running
from receiver.settings import PREFIX, Settings

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True)
class Told:
    """Who is told what, on the terminal.

    Attributes:
        console: the URL that opens the console, which nobody else may see, and the service's.
        state: how the service is.
        copied: what was read from the real PBX of a label.
    """

    console: Callable[[str, str], None]
    state: Callable[[State], None]
    copied: Callable[[str, Copied], None]


Real = Callable[[Settings], PbxClient]
"""Makes a client of the real PBX that settings name."""


class CopyError(ReceiverError):
    """The real PBX of a label cannot be copied; the text says which, and why."""

    def __init__(self, label: str, why: ReceiverError) -> None:
        super().__init__(f"the PBX {f'{label} ' if label else ''}cannot be copied: {why}")
        self.exit_code = why.exit_code


class _NoBeginning(Exception):
    """The command cannot begin, and a change of the code would not mend that."""

    def __init__(self, why: CopyError) -> None:
        super().__init__(str(why))
        self.why = why


async def develop(target: str, *, port: int, real: Real | None, told: Told) -> None:
    """Run until a signal says otherwise.

    Parameters:
        target: the app.
        port: of the console; 0 for a free one.
        real: None copies no PBX.
        told: the terminal.

    Raises:
        SettingsError: the settings are wrong, or the port is taken.
        LoadError: the command leads to no app.
        CopyError: the real PBX cannot be read, or no setting says where it is.
    """
    secret = Secret(secrets.token_hex(32))
    with bind("127.0.0.1", 0) as listener, _variables(secret, url_of(listener, tls=False)) as own:
        base = url_of(listener, tls=False)
        began = int(time.time() * 1000)  # the numbers of its events are above those of the last run
        feed = Feed({"mode": "dev", "title": target, "ivrs": [], "service": None}, start=began)
        async with Sites(base, secret) as sites:
            relay = _Relay(feed, sites, _Copier(real, base, told), told)
            service = Service(
                target,
                listener,
                own,
                register=relay.register,
                tell=relay.tell,
                hear=relay.hear,
            )
            relay.calls = calls = Calls(feed, sites, service)
            async with _console(feed, calls, port) as url:
                told.console(url, base)
                await _until_stopped(service, calls)


class _Relay:
    """Hands on what the service says; its ``calls`` want the service, and so come after it."""

    calls: Calls

    def __init__(self, feed: Feed, sites: Sites, copier: _Copier, told: Told) -> None:
        self._feed = feed
        self._sites = sites
        self._copier = copier
        self._told = told

    async def register(self, ready: Ready) -> tuple[str, ...]:
        await self._copier.copy_for(ready, self._sites)
        changes = await self._sites.register(ready)
        self.calls.show_ivrs()
        return changes

    def tell(self, state: State) -> None:
        self._feed.set("service", _service_json(state))
        self._told.state(state)

    def hear(self, child: int, report: Report) -> None:
        self.calls.report(child, report)


@asynccontextmanager
async def _console(feed: Feed, calls: Calls, port: int) -> AsyncIterator[str]:
    """The console on its port; gives the URL that opens it."""
    hosts: set[str] = set()
    token = Secret(secrets.token_urlsafe(24))
    app = make_console(
        feed,
        hosts=hosts,
        token=secrets.token_urlsafe(24),
        controls=calls,
        within=lambda console: Door(console, token, PAGE),
    )
    async with running(app, lifespan="off", port=port) as url:
        hosts |= loopback(urlsplit(url).port or 0)
        try:
            yield f"{url}/?{QUERY}={token.reveal()}"
        finally:
            feed.close()


async def _until_stopped(service: Service, calls: Calls) -> None:
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in _SIGNALS:
        loop.add_signal_handler(number, stopped.set)
    work = asyncio.create_task(service.run())
    wait = asyncio.create_task(stopped.wait())
    try:
        await asyncio.wait({work, wait}, return_when=asyncio.FIRST_COMPLETED)
        if work.done():
            try:
                await work
            except _NoBeginning as failed:
                raise failed.why from None
    finally:
        wait.cancel()
        work.cancel()
        await calls.close()
        await asyncio.gather(work, wait, return_exceptions=True)
        for number in _SIGNALS:
            loop.remove_signal_handler(number)


class _Copier:
    """Copies each PBX once, when its label is known."""

    def __init__(self, real: Real | None, base: str, told: Told) -> None:
        self._real = real
        self._base = base
        self._told = told
        self._done: set[str] = set()
        self._has_begun = False

    async def copy_for(self, ready: Ready, sites: Sites) -> None:
        """Copy the PBXs of these declarations that were not copied yet.

        Raises:
            CopyError: one cannot be copied; the version before goes on.
            _NoBeginning: the same, and there is none before.
        """
        labels = dict.fromkeys(label for label, _ in ready.ivrs) if self._real else {}
        for label in labels:
            if label not in self._done:
                try:
                    await self._copy(label, sites)
                except ReceiverError as error:
                    failed = CopyError(label, error)
                    raise failed if self._has_begun else _NoBeginning(failed) from None
                self._done.add(label)
        self._has_begun = True

    async def _copy(self, label: str, sites: Sites) -> None:
        assert self._real is not None  # noqa: S101 - or there are no labels
        settings = Settings.read(pbx=label)
        site = await sites.at(label)
        async with self._real(settings) as client:
            copied = await copy(client, site, theirs=settings.public_url, ours=self._base)
        self._told.copied(label, copied)


@contextlib.contextmanager
def _variables(secret: Secret, base: str) -> Iterator[dict[str, str]]:
    """What a child gets on top of our own variables."""
    Settings.read()  # what is wrong with them is said at once
    with tempfile.TemporaryDirectory(prefix="receiver-dev-") as folder:
        own = {f"{PREFIX}SECRET": secret.reveal(), f"{PREFIX}PUBLIC_URL": base}
        for name in ("store", "after"):
            own[f"{PREFIX}{name.upper()}"] = os.path.join(folder, f"{name}.db")
        yield own


def _service_json(state: State) -> dict[str, object]:
    return {
        "state": state.state,
        "since": datetime.now().astimezone().isoformat(timespec="milliseconds"),
        "text": state.text,
        "changes": list(state.changes),
        "seconds": round(state.seconds, 3),
        "serves": state.serves,
    }
