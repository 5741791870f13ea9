"""A child with the app, as the parent sees it.

Rule 1: it inherits the listener and one end of a channel. The parent keeps both open, so that what
        comes while a child is exchanged waits and is not refused, and a child ends with its parent.
Rule 2: it has a process group of its own: a Ctrl-C is the parent's alone.
Rule 3: nothing that it says or does raises here.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Self

import msgspec

from receiver.dev.messages import Down, Failed, Ready, Report, Retire, Retired, decode_up, encode

START = 30.0
"""Seconds until an app must be loaded."""

STOP = 1.0
"""Seconds that a child has to take no more callbacks; one that is stuck takes none anyway."""

FINISH = 40.0
"""Seconds that it then has for those in hand."""

_LONGEST = 16 * 1024 * 1024  # octets of a line

Hear = Callable[[int, Report], None]
"""Is told what a child reports of a callback, and the child's process id."""


class Child:
    """One process. Make it with `launch`.

    Attributes:
        gone: is set at its end.
    """

    def __init__(
        self,
        process: Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        hear: Hear,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._hear = hear
        self.started: asyncio.Future[Ready | Failed] = asyncio.get_running_loop().create_future()
        self._retired = asyncio.Event()
        self.gone = asyncio.Event()
        self._listening = asyncio.create_task(self._listen())
        self._ending: asyncio.Task[None] | None = None

    @classmethod
    async def launch(
        cls, target: str, listener: socket.socket, environ: Mapping[str, str], hear: Hear
    ) -> Self:
        """Start one; it waits for `Load`.

        Parameters:
            target: the app.
            listener: where it shall serve.
            environ: variables that it gets on top of ours.
            hear: is told what it reports.
        """
        ours, theirs = socket.socketpair()
        descriptors = listener.fileno(), theirs.fileno()
        # What was found beside this command must not hide this package; see ``python -P``.
        here = sys.path[:1] in ([""], [os.getcwd()])
        command = (*(() if here else ("-P",)), "-m", "receiver.dev.child", target)
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    sys.executable,
                    *command,
                    *map(str, descriptors),
                    pass_fds=descriptors,
                    process_group=0,
                    stdin=DEVNULL,
                    # A file changed twice in a second may have the old compiled one taken for its.
                    env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environ},
                )
            except BaseException:
                ours.close()
                raise
        return cls(process, *await asyncio.open_connection(sock=ours, limit=_LONGEST), hear)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """How it ended, as `subprocess` says it."""
        return self._process.returncode

    def tell(self, message: Down) -> None:
        """Say something to it."""
        if not self._writer.is_closing():
            self._writer.write(encode(message))

    async def retire(self) -> None:
        """Have it take no more callbacks; it answers those in hand and goes, later."""
        self.tell(Retire())
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP):
                await self._retired.wait()
        self._ending = asyncio.create_task(self._end(FINISH))

    async def end(self) -> None:
        """Have it end now."""
        self._writer.close()
        await self._end(STOP)

    async def _end(self, within: float) -> None:
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(within):
                    await self.gone.wait()
        finally:
            if not self.gone.is_set():
                with suppress(ProcessLookupError):
                    self._process.kill()
        await self.gone.wait()

    async def _listen(self) -> None:
        try:
            while line := await self._reader.readline():
                self._take(line)
        except (OSError, ValueError):  # cut off, or no line at all
            pass
        finally:
            self._writer.close()
            status = await self._process.wait()
            self.gone.set()
            self._retired.set()
            if not self.started.done():
                text = f"the app ended its process with status {status} while it was loaded"
                self.started.set_result(Failed(text, "", []))

    def _take(self, line: bytes) -> None:
        try:
            message = decode_up(line)
        except msgspec.MsgspecError:
            return
        match message:
            case Ready() | Failed():
                if not self.started.done():
                    self.started.set_result(message)
            case Report():
                self._hear(self.pid, message)
            case Retired():
                self._retired.set()
