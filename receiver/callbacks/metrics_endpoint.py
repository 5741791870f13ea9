"""The endpoint of the metrics, and the periodic measurements.

Rule 1: ``/metrics`` requires a token (`receiver.callbacks.operator_access`), which is accepted from
        any address: behind a proxy on the same machine all clients have the loopback's. The page is
        that of `receiver.callbacks.metrics_page`.
Rule 2: any worker answers for all workers of its machine: each writes its counts to a shared
        `Folder`, every `WRITE_INTERVAL` seconds and in a separate thread, so that no disk delays a
        callback. The counts of a dead worker are kept.
Rule 3: the folder is empty when the service starts; then the counts restart, which Prometheus
        detects.
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
"""The name from which its token is derived. The identity of an action has a slash."""

WRITE_INTERVAL = 1.0
"""Seconds between two copies in the folder."""

LAG_INTERVAL = 0.5
"""Seconds between two measurements of the event loop's lag."""


@asynccontextmanager
async def kept(
    folder: Folder, counts: Counts = COUNTS, *, beat: float = LAG_INTERVAL
) -> AsyncIterator[None]:
    """Write copies to ``folder``, and measure the lag of the event loop.

    Parameters:
        folder: of the workers.
        counts: of this process.
        beat: seconds between two measurements.
    """
    stop = threading.Event()

    def copy() -> None:
        while not stop.wait(WRITE_INTERVAL):
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
        await asyncio.to_thread(thread.join, WRITE_INTERVAL)  # no longer: the disk may hang
        if not thread.is_alive():
            folder.close()


async def _measure_lag(counts: Counts, beat: float) -> None:
    clock = asyncio.get_running_loop().time
    while True:
        due = clock() + beat
        await asyncio.sleep(beat)
        counts.observe(LAG, (), max(0.0, clock() - due))
