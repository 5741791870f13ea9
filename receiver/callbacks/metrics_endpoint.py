"""Where the metrics are served, and what is counted by the clock.

Rule 1: ``/metrics`` requires a token (`receiver.callbacks.operator_access`), which is accepted from
        any address: behind a proxy on the same machine all clients have the loopback's. The page is
        that of `receiver.callbacks.metrics_page`.
Rule 2: any worker answers for all of its machine: each leaves its counts in a `Folder` that they
        share, once in `EVERY` seconds and in a separate thread, so that no disk holds up a
        callback. What a worker that died had counted is kept.
Rule 3: the folder is empty when the service starts; then the counts restart, which Prometheus
        knows.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from receiver.callbacks.metrics_folder import Folder
from receiver.observability.metrics import COUNTS, LAG, Counts

PATH = "/metrics"
IDENTITY = "metrics"
"""What its token is derived for. That of an action has a slash in it."""

EVERY = 1.0
"""Seconds between two copies in the folder."""

BEAT = 0.5
"""Seconds between two looks at how late the event loop is."""


@asynccontextmanager
async def kept(
    folder: Folder, counts: Counts = COUNTS, *, beat: float = BEAT
) -> AsyncIterator[None]:
    """Leave copies in ``folder`` and measure the lag of the event loop meanwhile.

    Parameters:
        folder: of the workers.
        counts: those of this process.
        beat: seconds between two measurements.
    """
    stop = threading.Event()

    def copy() -> None:
        while not stop.wait(EVERY):
            folder.write()
        folder.write()

    thread = threading.Thread(target=copy, name="receiver-metrics", daemon=True)
    thread.start()
    measured = asyncio.create_task(_measure_lag(counts, beat))
    try:
        yield
    finally:
        measured.cancel()
        stop.set()
        await asyncio.to_thread(thread.join, EVERY)  # no longer: the disk may hang
        if not thread.is_alive():
            folder.close()


async def _measure_lag(counts: Counts, beat: float) -> None:
    clock = asyncio.get_running_loop().time
    while True:
        due = clock() + beat
        await asyncio.sleep(beat)
        counts.observe(LAG, (), max(0.0, clock() - due))
