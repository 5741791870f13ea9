"""``/metrics`` for Prometheus, and what is counted by the clock.

Rule 1: only who has the token is answered, from wherever he asks: behind a proxy on the same
        machine everybody comes from the loopback. The token is derived from the service secret;
        who keeps guessing is slowed down as anybody else.
Rule 2: any worker answers for all of its machine: each leaves its counts in a folder that they
        share, once in `EVERY` seconds and from a thread of its own, so that no disk holds up a
        callback. What a worker that died had counted stays there.
Rule 3: the folder is empty when the service starts; then the counts begin anew, which Prometheus
        knows.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from starlette.types import Receive, Scope, Send

from receiver.callbacks.admission import Admission, Place, Turned
from receiver.callbacks.exchange import refuse, respond
from receiver.telemetry.counts import COUNTS, LAG, Counts, Snapshot, render
from receiver.telemetry.observing import refused

PATH = "/metrics"
IDENTITY = "metrics"
"""What its token is derived for. That of an action has a slash in it."""

EVERY = 1.0
"""Seconds between two copies in the folder."""

BEAT = 0.5
"""Seconds between two looks at how late the event loop is."""

log = logging.getLogger("receiver")


_PLACE = Place(IDENTITY, PATH, IDENTITY)


class Folder:
    """The counts of all workers of a machine.

    Parameters:
        counts: those of this process.
        path: the folder; None if there are no other workers.
    """

    def __init__(self, counts: Counts, path: Path | None) -> None:
        self._counts = counts
        self._path = path
        self._own = ""
        self._failed = False

    def read(self) -> str:
        """The sum, for Prometheus. Blocks."""
        return render([self._counts.snapshot(), *self._others()])

    def write(self) -> None:
        """Leave a copy for the others. Blocks."""
        if self._path is None:
            return
        self._own = self._own or f"{os.getpid()}-{secrets.token_hex(8)}.json"
        new = self._path / f"{self._own}.new"
        try:
            new.write_bytes(msgspec.json.encode(self._counts.snapshot()))
            new.replace(self._path / self._own)
        except OSError as error:
            if not self._failed:
                log.warning("the metrics cannot be shared: %s", error.strerror)
            self._failed = True
        else:
            self._failed = False

    def _others(self) -> Iterator[Snapshot]:
        for path in () if self._path is None else self._path.glob("*.json"):
            if path.name == self._own:
                continue
            try:
                yield msgspec.json.decode(path.read_bytes(), type=Snapshot)
            except (OSError, msgspec.DecodeError):
                log.warning("a file in RECEIVER_METRICS_FOLDER cannot be read")


class Metrics:
    """Answers at `PATH`.

    Parameters:
        admission: who may ask.
        folder: what is answered.
        now: the time in seconds since the epoch.
    """

    def __init__(
        self, admission: Admission, folder: Folder, now: Callable[[], float] = time.time
    ) -> None:
        self._admission = admission
        self._folder = folder
        self._now = now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        judged = await self._admission.judge(scope, _PLACE, self._now())
        if isinstance(judged, Turned):
            refused(judged.cause)
            await refuse(scope, receive, send, judged.status, judged.headers)
            return
        if scope["method"] != "GET":
            await refuse(scope, receive, send, 405, ((b"allow", b"GET"),))
            return
        text = (await asyncio.to_thread(self._folder.read)).encode()
        await respond(send, 200, text, kind=b"text/plain; version=0.0.4; charset=utf-8")


@asynccontextmanager
async def kept(folder: Folder) -> AsyncIterator[None]:
    """Look at the event loop and leave copies in ``folder`` meanwhile."""
    stop = threading.Event()

    def copy() -> None:
        while not stop.wait(EVERY):
            folder.write()
        folder.write()

    thread = threading.Thread(target=copy, name="receiver-metrics", daemon=True)
    thread.start()
    beat = asyncio.create_task(_beat())
    try:
        yield
    finally:
        beat.cancel()
        stop.set()
        await asyncio.to_thread(thread.join, EVERY)  # a disk that is stuck keeps nobody from ending


async def _beat() -> None:
    clock = asyncio.get_running_loop().time
    while True:
        due = clock() + BEAT
        await asyncio.sleep(BEAT)
        COUNTS.observe(LAG, (), max(0.0, clock() - due))
