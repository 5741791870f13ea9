"""The process with the app: loads it, serves it on the parent's socket, and reports.

Rule 1: it lives as long as the parent has an end of the channel, and not a moment longer, whatever
        its code does: a thread of its own waits for that.
Rule 2: it never runs two versions of the code: a change is a new process.
Rule 3: what is declared is served as it is; only the credentials, the log and the sources are those
        of a PBX on this machine, and each handler tells of itself.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import NoReturn

from receiver.actions import Action
from receiver.app import Receiver
from receiver.apps import load_app
from receiver.auth.sources import Sources
from receiver.dev import places
from receiver.dev.messages import (
    Down,
    Failed,
    Load,
    Mischief,
    Ready,
    Retire,
    Retired,
    Up,
    declared_action,
    declared_receptionists,
    decode_down,
    encode,
)
from receiver.dev.reporting import Listener, Reporter, Tracer
from receiver.functions.manners import code_of
from receiver.serving import server as serving
from receiver.serving.watchdog import Watchdog
from receiver.serving.working import inherited
from receiver.settings import Settings
from receiver.telemetry import logs

FINISH = 35
"""Seconds for the callbacks in hand of a child that is replaced: more than any deadline."""

LAST = 2.0
"""Seconds to end by itself once the parent is gone."""

_LOUD = ("httpx", "httpcore", "urllib3", "asyncio", "uvicorn.error")
"""Libraries that tell of each request, or of each start."""


class Channel:
    """The child's end of the channel.

    Parameters:
        descriptor: as it came from the parent.
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)
        self._lock = threading.Lock()

    def begin(self, hear: Callable[[Down | None], None]) -> None:
        """Listen, in a thread of its own; ``hear`` gets None at the end."""
        args = (hear,)
        threading.Thread(target=self._listen, args=args, name="receiver-dev", daemon=True).start()

    def send(self, message: Up) -> None:
        """Tell the parent; from any thread."""
        with self._lock, suppress(OSError):  # it is gone, and so are we, soon
            self._socket.sendall(encode(message))

    def _listen(self, hear: Callable[[Down | None], None]) -> None:
        with suppress(OSError), self._socket.makefile("rb") as lines:
            for line in lines:
                hear(decode_down(line))
        hear(None)
        threading.Event().wait(LAST)
        os._exit(0)  # it is stuck, or was not even loaded


class Observed(Receiver):
    """What ``declared`` declares, for a PBX on this machine, each handler with a story."""

    def __init__(self, declared: Receiver, reporter: Reporter, settings: Settings) -> None:
        self._reporter = reporter
        self._known: dict[int, Action] = {}
        self._declared = declared
        super().__init__(*declared.ivrs, fallback=declared.fallbacks, settings=settings)

    def __iter__(self) -> Iterator[Action]:
        # Not sensitive: the callers are invented, and the story needs the session.
        for one in super().__iter__():
            if id(one) not in self._known:
                handler = self._reporter.observed(one.handler)
                self._known[id(one)] = replace(one, handler=handler, sensitive=False)
            yield self._known[id(one)]

    def _make_tracer(self, settings: Settings) -> Callable[[Action, Sources], Tracer]:
        named = {one.identity: _handler(one) for one in self._declared}
        return lambda action, sources: Tracer(
            self._reporter, action, named[action.identity].partition(" ")[0]
        )


class Child:
    """The service, as the parent sees it."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._reporter = Reporter(channel.send)
        self._told_to_load = threading.Event()
        self._server: serving.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, target: str, listener: socket.socket) -> None:
        """Serve, once the parent says so, until it says otherwise or is gone.

        Raises:
            ReceiverError: the app does not load.
        """
        self._channel.begin(self._hear)
        self._told_to_load.wait()
        declared = load_app(target)
        app = Observed(declared, self._reporter, _settings(declared))
        _ = app.starlette  # what is wrong is said before it serves
        watchdog = Watchdog({code: a.identity for a in declared if (code := code_of(a.handler))})
        config = serving.configure(app)
        config.timeout_graceful_shutdown = FINISH
        ready = _ready(declared, target)

        async def beside(server: serving.Server) -> None:
            self._loop = asyncio.get_running_loop()
            self._channel.send(ready)

        self._server = serving.Server(config, watchdog=watchdog, beside=beside)
        serving.serve_on(listener, self._server)
        self._reporter.flush()

    def _hear(self, message: Down | None) -> None:
        """In the channel's thread."""
        if isinstance(message, Load):
            self._told_to_load.set()
        elif isinstance(message, Mischief):
            self._reporter.mischief = message
        elif self._loop is not None:
            with suppress(RuntimeError):  # it is closed
                self._loop.call_soon_threadsafe(self._leave, message)

    def _leave(self, message: Down | None) -> None:
        assert self._server is not None  # noqa: S101 - the loop runs
        for one in self._server.servers:
            one.close()
        if isinstance(message, Retire):
            self._channel.send(Retired())
        self._server.should_exit = True


def _settings(declared: Receiver) -> Settings:
    """The app's own, but for what makes sense with the real PBX alone."""
    ours = Settings.read()  # the parent's variables stand above the developer's
    return replace(
        declared.settings,
        secret=ours.secret,
        epoch=1,
        public_url=ours.public_url,
        store=ours.store,
        after=ours.after,
        allowed_sources=(),
        trusted_proxies=(),
        log_caller_data=True,
        record=None,
    )


def _ready(declared: Receiver, target: str) -> Ready:
    return Ready(
        ivrs=list(dict.fromkeys((ivr.pbx, ivr.number) for ivr in declared.ivrs)),
        actions=[declared_action(one, _handler(one)) for one in declared],
        receptionists=declared_receptionists(
            {label: declared.receptionists(label) for label in declared.pbxs}
        ),
        files=places.own_files(target),
    )


def _handler(action: Action) -> str:
    name, place = places.handler_of(action.handler, action.where)
    return f"{name} ({place})"


def main(target: str, listening: int, channel: int) -> NoReturn:
    """Be the child: ``listening`` and ``channel`` are descriptors that came from the parent."""
    logging.basicConfig(level=logging.INFO)
    for name in _LOUD:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger().addHandler(Listener())
    talk = Channel(channel)
    status = 0
    with inherited(listening) as listener, logs.written("people", True):
        try:
            Child(talk).run(target, listener)
        except Exception as error:
            text, file = places.why_not(error)
            talk.send(Failed(text, file, places.own_files(target)))
            status = 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)  # threads of the app's own must not keep it


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
