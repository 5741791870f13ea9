"""The child process with the app: loads it, serves it on the parent's socket, and reports.

Rule 1: the process ends when the parent has closed the channel, even if the app's code blocks: a
        thread waits for the end of the channel.
Rule 2: one process runs one version of the code: a change is a new process.
Rule 3: the app is served as it is declared, with the credentials, log and allowed sources of a PBX
        on this machine, and handlers that report what they do.
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

from receiver.app import Receiver
from receiver.auth.client_address import Sources
from receiver.config.load_app import load_app
from receiver.declarations.actions import Action
from receiver.declarations.event_actions import Events
from receiver.declarations.introspection import source_location
from receiver.declarations.ivr import Ivr, desired_ivrs
from receiver.dev import error_details
from receiver.dev.callback_reports import LogCapture, Reporter, Tracer, hiding
from receiver.dev.declaration_messages import declared_action, declared_ivrs
from receiver.dev.messages import (
    Load,
    MessageFromChild,
    MessageToChild,
    Ready,
    Retire,
    Retired,
    Simulation,
    StartFailed,
    decode_to_child,
    encode,
)
from receiver.execution.kinds import code_of
from receiver.observability import log_setup
from receiver.server import uvicorn_server as serving
from receiver.server.watchdog import Watchdog
from receiver.server.worker import inherited
from receiver.settings import Settings
from receiver.upstream.interception import intercepted

DRAIN_TIMEOUT = 35
"""Seconds in which a replaced child must answer its callbacks: more than any deadline."""

EXIT_TIMEOUT = 2.0
"""Seconds in which the child must end after the parent has closed the channel."""

_VERBOSE = ("httpx", "httpcore", "urllib3", "asyncio", "uvicorn.error")
"""Libraries that log each request or each start."""


class Channel:
    """The child's end of the channel.

    Parameters:
        descriptor: inherited from the parent.
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._socket.set_inheritable(False)
        self._lock = threading.Lock()

    def start(self, receive: Callable[[MessageToChild | None], None]) -> None:
        """Call ``receive`` with each message, in a thread; with None at the end."""
        args = (receive,)
        threading.Thread(target=self._read, args=args, name="receiver-dev", daemon=True).start()

    def send(self, message: MessageFromChild) -> None:
        """Send a message to the parent; from any thread."""
        with self._lock, suppress(OSError):  # the parent has ended, and this process will
            self._socket.sendall(encode(message))

    def _read(self, receive: Callable[[MessageToChild | None], None]) -> None:
        with suppress(OSError), self._socket.makefile("rb") as lines:
            for line in lines:
                receive(decode_to_child(line))
        receive(None)
        threading.Event().wait(EXIT_TIMEOUT)
        os._exit(0)  # the event loop is blocked, or the app is still being loaded


class ReportingReceiver(Receiver):
    """The declarations of ``declared``, with handlers that report to ``reporter``."""

    def __init__(self, declared: Receiver, reporter: Reporter, settings: Settings) -> None:
        self._reporter = reporter
        self._known: dict[int, Action] = {}
        self._declared = declared
        parts: tuple[Ivr | Events, ...] = (*declared.ivrs, *declared.events)
        super().__init__(*parts, fallback=declared.fallbacks, settings=settings)
        self.use_clock(lambda session_id: reporter.simulation.now())

    def __iter__(self) -> Iterator[Action]:
        for one in super().__iter__():
            if id(one) not in self._known:
                handler = self._reporter.reporting(one.handler)
                self._known[id(one)] = replace(one, handler=handler)
            yield self._known[id(one)]

    def _make_tracer(self, settings: Settings) -> Callable[[Action, Sources, str], Tracer]:
        names = {one.identity: _handler(one) for one in self._declared}
        return lambda action, sources, url: Tracer(
            self._reporter, action, names[action.identity].partition(" ")[0]
        )


class Child:
    """The service in the child process."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._reporter = Reporter(channel.send)
        self._may_load = threading.Event()
        self._server: serving.Server | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listener: socket.socket | None = None

    def run(self, target: str, listener: socket.socket) -> None:
        """Load and serve the app after `Load`, until `Retire` or the end of the channel.

        Raises:
            ReceiverError: the app does not load.
        """
        self._listener = listener
        self._channel.start(self._receive)
        self._may_load.wait()
        declared = load_app(target)
        app = ReportingReceiver(declared, self._reporter, settings_for(declared))
        _ = app.starlette  # raises errors of the declarations before it serves
        watchdog = Watchdog({code: a.identity for a in declared if (code := code_of(a.handler))})
        config = serving.configure(app)
        config.timeout_graceful_shutdown = DRAIN_TIMEOUT
        ready = declarations(declared, target)

        async def beside(server: serving.Server) -> None:
            self._loop = asyncio.get_running_loop()
            self._channel.send(ready)

        self._server = serving.Server(config, watchdog=watchdog, beside=beside)
        with intercepted(self._reporter):
            serving.serve_on(listener, self._server)
        self._reporter.flush()

    def _receive(self, message: MessageToChild | None) -> None:
        """Called in the channel's thread."""
        if isinstance(message, Load):
            self._may_load.set()
        elif isinstance(message, Simulation):
            self._reporter.simulation = message
        elif self._loop is not None:
            with suppress(RuntimeError):  # the event loop is closed
                self._loop.call_soon_threadsafe(self._stop, message)

    def _stop(self, message: MessageToChild | None) -> None:
        assert self._server is not None  # noqa: S101 - the loop runs
        assert self._listener is not None  # noqa: S101
        self._server.stop_accepting()
        if isinstance(message, Retire):
            self._listener.close()  # its successor accepts the connections in the queue
            self._channel.send(Retired())
        self._server.should_exit = True


def settings_for(declared: Receiver) -> Settings:
    """Return the app's settings, without those that fit only the real PBX."""
    ours = Settings.read()  # the parent's variables override those of the developer
    return replace(
        declared.settings,
        secret=ours.secret,
        epoch=1,
        public_url=ours.public_url,
        store=ours.store,
        jobs=ours.jobs,
        allowed_sources=(),
        trusted_proxies=(),
        log_caller_data=True,
        record=None,
    )


def declarations(declared: Receiver, target: str) -> Ready:
    """Return the declarations of an app as data."""
    return Ready(
        ivrs=list(dict.fromkeys((ivr.pbx, ivr.number) for ivr in declared.ivrs)),
        actions=[declared_action(one, _handler(one)) for one in declared],
        desired_ivrs=declared_ivrs(
            {label: desired_ivrs(declared.ivrs, label) for label in declared.pbxs}
        ),
        files=error_details.own_files(target),
        number_formats=declared.number_formats(),
        events=[
            (label, endpoint.auth)
            for label in declared.pbxs
            if (endpoint := declared.event_endpoint(label)) is not None
        ],
    )


def _handler(action: Action) -> str:
    name, place = source_location(action.handler, action.where)
    return f"{name} ({place})"


def main(target: str, listening: int, channel_descriptor: int) -> NoReturn:
    """Run the child; ``listening`` and ``channel_descriptor`` are inherited from the parent."""
    logging.basicConfig(level=logging.INFO)
    for name in _VERBOSE:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger().addHandler(LogCapture())
    logging.setLogRecordFactory(hiding(logging.getLogRecordFactory()))
    channel = Channel(channel_descriptor)
    status = 0
    with inherited(listening) as listener, log_setup.written("text", True):
        try:
            Child(channel).run(target, listener)
        except Exception as error:
            text, file = error_details.load_problem(error)
            channel.send(StartFailed(text, file, error_details.own_files(target)))
            status = 1
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)  # do not wait for threads of the app


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
