"""The service while its code changes: one child after the other, and no callback lost.

Rule 1: a new version gets a new process. The old one serves until the new one is loaded, and is
        registered; then it takes nothing more, answers what it has in hand, and goes.
Rule 2: callbacks that are due meanwhile are held back, before the PBX's time for them begins to
        run, but for no longer than `HOLD`.
Rule 3: a version that does not load, or cannot be registered, is said to be so, and the old one
        stays.
Rule 4: there is a spare child, which has loaded all but the app: so a change counts sooner.
Rule 5: a child that ends by itself is replaced once; if that ends too, a change is waited for.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Literal, NamedTuple

from receiver.dev.messages import Failed, Load, Mischief, Ready
from receiver.dev.places import from_here
from receiver.dev.process import START, Child, Hear
from receiver.dev.watching import Watcher
from receiver.errors import LoadError, ReceiverError

HOLD = 10.0
"""Seconds for which a callback is held back."""

STEADY = 5.0
"""Seconds after which a child that ends by itself was good."""


class State(NamedTuple):
    """How the service is.

    Attributes:
        state: of the newest version; while one is ``broken`` an older one may serve.
        text: what happened; the error with its place.
        changes: what was changed on the PBX.
        seconds: from the change to here.
        serves: whether calls are answered, by the newest version or by the one before it.
    """

    state: Literal["starting", "running", "broken"]
    text: str
    changes: tuple[str, ...] = ()
    seconds: float = 0.0
    serves: bool = True


Register = Callable[[Ready], Awaitable[tuple[str, ...]]]
"""Registers what is declared, and says what it changed."""


class Service:
    """The children.

    Parameters:
        target: the app.
        listener: where it is served.
        environ: variables that children get.
        register: see `Register`.
        tell: is told how the service is, whenever that changes.
        hear: is told what a child reports.
    """

    def __init__(
        self,
        target: str,
        listener: socket.socket,
        environ: Mapping[str, str],
        *,
        register: Register,
        tell: Callable[[State], None],
        hear: Hear,
    ) -> None:
        self._target = target
        self._listener = listener
        self._environ = environ
        self._register = register
        self._tell = tell
        self._hear = hear
        self._watcher = Watcher()
        self._child: Child | None = None
        self._loading: Child | None = None
        self._spare: Child | None = None
        self._launching: asyncio.Task[Child] | None = None
        self._leaving: set[Child] = set()
        self._files: set[str] = set()
        self._mischief = Mischief()
        self._settled = asyncio.Event()

    async def run(self) -> None:
        """Serve, and follow every change, until cancelled.

        Raises:
            LoadError: the command leads to no app at all: a change of code could not mend that.
        """
        begun = time.monotonic()
        try:
            found = await self._exchange(f"{self._target} is loaded", begun)
            if isinstance(found, Failed) and not found.file:
                raise LoadError(found.text)
            while True:
                if self._spare is None:
                    self._spare = await self._launch()
                why = await self._reason()
                await self._exchange(why, time.monotonic())
        finally:
            await self._watcher.close()
            known = {self._child, self._loading, self._spare, *self._leaving}
            if self._launching is not None:  # whoever waited for it may have been cancelled
                known.add(await self._launching)
            await asyncio.gather(*(child.end() for child in known if child))

    async def hold(self) -> None:
        """Wait until no version is being exchanged, at most for `HOLD` seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(HOLD):
                await self._settled.wait()

    @property
    def is_settled(self) -> bool:
        """Whether nothing is held back."""
        return self._settled.is_set()

    @property
    def _serves(self) -> bool:
        return self._child is not None and not self._child.gone.is_set()

    def be(self, mischief: Mischief) -> None:
        """Have the app's handlers be slow, or the CRM."""
        self._mischief = mischief
        if self._child is not None:
            self._child.tell(mischief)

    async def _reason(self) -> str:
        """Wait for something that calls for a new child; what that is."""
        change = asyncio.create_task(self._watcher.next())
        waits: set[asyncio.Task[object]] = {change}
        child, begun = self._child, time.monotonic()
        if child is not None:
            waits.add(asyncio.create_task(child.gone.wait()))
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            if change.done():
                return _named(change.result())
            text = f"the service ended by itself, with status {child and child.status}"
            self._child = None
            if time.monotonic() - begun < STEADY:
                text = f"{text}; a change of its code starts it again"
                self._tell(State("broken", text, serves=False))
                return _named(await change)
            return f"{text}: it is started again"
        finally:
            for wait in waits:
                wait.cancel()

    async def _exchange(self, why: str, begun: float) -> Ready | Failed:
        """Try the code as it is now; again, if it changes meanwhile."""
        self._settled.clear()
        try:
            while True:
                self._tell(State("starting", why, serves=self._serves))
                child, found, changed = await self._load()
                if changed:
                    await self._drop(child)
                    why = _named(changed)
                    continue
                if isinstance(found, Ready):
                    found = await self._take_over(child, found, why, begun)
                if isinstance(found, Failed):
                    await self._drop(child)
                    took = time.monotonic() - begun
                    self._tell(State("broken", found.text, (), took, self._serves))
                return found
        finally:
            self._settled.set()

    async def _load(self) -> tuple[Child, Ready | Failed, set[str]]:
        """Start a child: what it says, or what changed while it was loaded."""
        launched = time.time()
        child, self._spare = self._spare, None
        if child is None or child.gone.is_set():
            child = await self._launch()
        self._loading = child
        child.tell(self._mischief)
        child.tell(Load())
        if not self._files:  # of the first one nothing is known
            await self._watcher.watch((), launched)
        change = asyncio.create_task(self._watcher.next())
        waits: set[asyncio.Future[object]] = {child.started, change}  # type: ignore[arg-type]
        try:
            await asyncio.wait(waits, timeout=START, return_when=asyncio.FIRST_COMPLETED)
            if change.done():
                return child, Failed("", "", []), change.result()
        finally:
            change.cancel()
        if not child.started.done():
            found: Ready | Failed = Failed(f"it was not loaded within {START:.0f} s", "?", [])
        else:
            found = child.started.result()
        self._files |= {*found.files, *_recordings(found)}
        if isinstance(found, Failed) and found.file not in ("", "?"):
            self._files.add(found.file)
        await self._watcher.watch(self._files, launched)
        return child, found, set()

    async def _take_over(
        self, child: Child, ready: Ready, why: str, begun: float
    ) -> Ready | Failed:
        """Register what is declared, and have ``child`` serve in place of the old one."""
        try:
            changes = await self._register(ready)
        except ReceiverError as error:
            return Failed(f"it cannot be registered: {error}", "?", ready.files)
        old, self._child, self._loading = self._child, child, None
        self._files = {*ready.files, *_recordings(ready)}
        if old is not None:
            await old.retire()
            self._leaving = {one for one in self._leaving if not one.gone.is_set()} | {old}
        self._tell(State("running", why, changes, time.monotonic() - begun))
        return ready

    async def _launch(self) -> Child:
        self._launching = asyncio.create_task(
            Child.launch(self._target, self._listener, self._environ, self._hear)
        )
        return await asyncio.shield(self._launching)

    async def _drop(self, child: Child) -> None:
        self._loading = None
        await child.end()


def _named(changed: Collection[str]) -> str:
    """What changed, in words."""
    names = sorted(from_here(name) for name in changed)
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return f"{', '.join(names[:3])}{more} changed"


def _recordings(found: Ready | Failed) -> set[str]:
    if isinstance(found, Failed):
        return set()
    return {os.path.abspath(one.prompt) for one in found.receptionists if one.prompt}
