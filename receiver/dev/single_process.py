"""The service in the process of ``receiver dev``, without reload.

For systems where processes cannot share a socket, such as Windows.
"""

from __future__ import annotations

import asyncio
import logging
import os

from receiver.config.load_app import load_app
from receiver.dev.callback_reports import Reporter, hiding
from receiver.dev.child import ReportingReceiver, declarations, settings_for
from receiver.dev.messages import Report, Simulation
from receiver.dev.service import ServiceOptions, State
from receiver.server.uvicorn_server import running
from receiver.upstream.interception import intercepted


class SingleProcessService:
    """Serves one version of the app; methods as of `receiver.dev.service.Service`.

    Parameters:
        options: as of `receiver.dev.service.Service`; ``environ`` changes this process.
    """

    is_settled = True

    def __init__(self, options: ServiceOptions) -> None:
        self._options = options
        self._loop = asyncio.get_running_loop()
        self._reporter = Reporter(self._report)

    def _report(self, report: Report) -> None:
        """Pass a report to the event loop; any thread may call this."""
        self._loop.call_soon_threadsafe(self._options.on_report, os.getpid(), report)

    async def run(self) -> None:
        """Serve until cancelled.

        Raises:
            ReceiverError: the app does not load, or cannot be registered.
        """
        target = self._options.target
        os.environ.update(self._options.environ)
        logging.setLogRecordFactory(hiding(logging.getLogRecordFactory()))
        declared = load_app(target)
        app = ReportingReceiver(declared, self._reporter, settings_for(declared))
        with intercepted():  # without an observer of the process, which includes the console
            async with running(app, listener=self._options.listener):
                changes = await self._options.register(declarations(declared, target))
                text = f"{target} is loaded; on this system, restart the command after a change"
                self._options.on_state(State("running", text, changes))
                await asyncio.Event().wait()

    async def hold(self) -> None:
        """Return at once: there is no reload."""

    def simulate(self, simulation: Simulation) -> None:
        """Set the simulation of the app."""
        self._reporter.simulation = simulation
