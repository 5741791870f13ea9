"""The service while its code changes: one child process after the other, and no callback lost.

Rule 1: a new version runs in a new process. The old process serves until the new one is loaded and
        registered; then it stops accepting, answers the callbacks in progress, and ends.
Rule 2: callbacks that are due in between are held before the PBX's timeout begins, for a bounded
        time.
Rule 3: a version that does not load, or cannot be registered, is reported; the old one continues to
        serve.
Rule 4: a spare child has loaded everything except the app, so that a reload is quick.
Rule 5: a child that ends unexpectedly is replaced once; after a second time a change is awaited.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from receiver.declarations.introspection import from_here
from receiver.dev.child_process import ChildProcess, OnReport
from receiver.dev.file_watcher import FileWatcher
from receiver.dev.messages import Load, Ready, Simulation, StartFailed
from receiver.errors import LoadError, ReceiverError


class State(NamedTuple):
    """The state of the service.

    Attributes:
        state: of the newest version; while it is ``broken`` an older one may serve.
        text: what happened; an error with its file and line.
        changes: the changes on the PBX.
        seconds: since the change of the code.
        serves: whether callbacks are answered, by the newest version or the one before it.
    """

    state: Literal["starting", "running", "broken"]
    text: str
    changes: tuple[str, ...] = ()
    seconds: float = 0.0
    serves: bool = True


@dataclass(frozen=True, slots=True)
class ServiceOptions:
    """The options of a service.

    Attributes:
        target: the app.
        listener: the socket on which it is served.
        environ: variables in addition to those of this process.
        register: registers the declarations, and returns the changes.
        on_state: called with each new state.
        on_report: called with each report of a child on a callback.
    """

    target: str
    listener: socket.socket
    environ: Mapping[str, str]
    register: Callable[[Ready], Awaitable[tuple[str, ...]]]
    on_state: Callable[[State], None]
    on_report: OnReport


class Service:
    """The service as child processes.

    Parameters:
        options: see `ServiceOptions`.
        load_timeout: seconds in which an app must be loaded.
        max_hold: the most seconds for which a callback is held.
        min_uptime: seconds after which a child that ends is started again.
    """

    def __init__(
        self,
        options: ServiceOptions,
        *,
        load_timeout: float = 30.0,
        max_hold: float = 10.0,
        min_uptime: float = 5.0,
    ) -> None:
        self._options = options
        self._load_timeout = load_timeout
        self._max_hold = max_hold
        self._min_uptime = min_uptime
        self._watcher = FileWatcher()
        self._child: ChildProcess | None = None
        self._loading: ChildProcess | None = None
        self._spare: ChildProcess | None = None
        self._launching: asyncio.Task[ChildProcess] | None = None
        self._retired: set[ChildProcess] = set()
        self._files: set[str] = set()
        self._simulation = Simulation()
        self._settled = asyncio.Event()

    async def run(self) -> None:
        """Serve, and reload on every change, until cancelled.

        Raises:
            LoadError: the command names no app: a change of the code would not help.
        """
        begun = time.monotonic()
        try:
            found = await self._reload(f"{self._options.target} is loaded", begun)
            if isinstance(found, StartFailed) and not found.file:
                raise LoadError(found.text)
            while True:
                if self._spare is None:
                    self._spare = await self._launch()
                why = await self._reason()
                await self._reload(why, time.monotonic())
        finally:
            await self._watcher.close()
            known = {self._child, self._loading, self._spare, *self._retired}
            if self._launching is not None:  # the task that awaited it may have been cancelled
                known.add(await self._launching)
            await asyncio.gather(*(child.end() for child in known if child))

    async def hold(self) -> None:
        """Wait until no reload is in progress, for a bounded time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._max_hold):
                await self._settled.wait()

    @property
    def is_settled(self) -> bool:
        """Whether no reload is in progress."""
        return self._settled.is_set()

    @property
    def _serves(self) -> bool:
        return self._child is not None and not self._child.gone.is_set()

    def simulate(self, simulation: Simulation) -> None:
        """Set the simulation of the child, and of later ones."""
        self._simulation = simulation
        if self._child is not None:
            self._child.send(simulation)

    async def _reason(self) -> str:
        """Wait for an event that requires a new child; return it as text."""
        change = asyncio.create_task(self._watcher.next())
        waits: set[asyncio.Task[object]] = {change}
        child, begun = self._child, time.monotonic()
        if child is not None:
            waits.add(asyncio.create_task(child.gone.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if change.done():
                return _changes_text(change.result())
            text = f"the service ended unexpectedly, with status {child and child.status}"
            self._child = None
            if time.monotonic() - begun < self._min_uptime:
                text = f"{text}; a change of its code starts it again"
                self._options.on_state(State("broken", text, serves=False))
                return _changes_text(await change)
            return f"{text}: it is started again"
        finally:
            for wait in waits:
                wait.cancel()

    async def _reload(self, why: str, begun: float) -> Ready | StartFailed:
        """Load the code as it is now; again, if it changes in between."""
        self._settled.clear()
        try:
            while True:
                self._options.on_state(State("starting", why, serves=self._serves))
                child, found, changed = await self._load()
                if changed:
                    await self._drop(child)
                    why = _changes_text(changed)
                    continue
                if isinstance(found, Ready):
                    found = await self._take_over(child, found, why, begun)
                if isinstance(found, StartFailed):
                    await self._drop(child)
                    took = time.monotonic() - begun
                    self._options.on_state(State("broken", found.text, (), took, self._serves))
                return found
        finally:
            self._settled.set()

    async def _load(self) -> tuple[ChildProcess, Ready | StartFailed, set[str]]:
        """Start a child; return the result, or the files that changed in between."""
        launched = time.time()
        child, self._spare = self._spare, None
        if child is None or child.gone.is_set():
            child = await self._launch()
        self._loading = child
        child.send(self._simulation)
        child.send(Load())
        if not self._files:  # the files of the first version are not known yet
            await self._watcher.watch((), launched)
        change = asyncio.create_task(self._watcher.next())
        waits: set[asyncio.Future[object]] = {child.started, change}  # type: ignore[arg-type]
        try:
            await asyncio.wait(
                waits, timeout=self._load_timeout, return_when=asyncio.FIRST_COMPLETED
            )
            if change.done():
                return child, StartFailed("", "", []), change.result()
        finally:
            change.cancel()
        if child.started.done():
            found = child.started.result()
        else:
            text = f"it was not loaded within {self._load_timeout:.0f} s"
            found = StartFailed(text, "?", [])
        self._files |= {*found.files, *_prompts(found)}
        if isinstance(found, StartFailed) and found.file not in ("", "?"):
            self._files.add(found.file)
        await self._watcher.watch(self._files, launched)
        return child, found, set()

    async def _take_over(
        self, child: ChildProcess, ready: Ready, why: str, begun: float
    ) -> Ready | StartFailed:
        """Register the declarations, and replace the old child by ``child``."""
        try:
            changes = await self._options.register(ready)
        except ReceiverError as error:
            return StartFailed(f"it cannot be registered: {error}", "?", ready.files)
        old, self._child, self._loading = self._child, child, None
        self._files = {*ready.files, *_prompts(ready)}
        if old is not None:
            await old.retire()
            self._retired = {one for one in self._retired if not one.gone.is_set()} | {old}
        self._options.on_state(State("running", why, changes, time.monotonic() - begun))
        return ready

    async def _launch(self) -> ChildProcess:
        options = self._options
        self._launching = asyncio.create_task(
            ChildProcess.launch(
                options.target, options.listener, options.environ, options.on_report
            )
        )
        return await asyncio.shield(self._launching)

    async def _drop(self, child: ChildProcess) -> None:
        self._loading = None
        await child.end()


def _changes_text(changed: Collection[str]) -> str:
    names = sorted(from_here(name) for name in changed)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more} changed"


def _prompts(found: Ready | StartFailed) -> set[str]:
    """Return the audio files that are declared as prompts."""
    if isinstance(found, StartFailed):
        return set()
    paths = (path for one in found.desired_ivrs for path in one.prompts.values())
    return {os.path.abspath(path) for path in paths}
