"""A child process with the app, as the parent sees it.

Rule 1: the child inherits the listening socket and one end of a channel. The parent keeps both
        open: connections wait while a child is replaced, and a child ends with its parent.
Rule 2: the child has its own process group: Ctrl-C reaches the parent only.
Rule 3: nothing that the child sends or does raises here.
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

from receiver.dev.messages import (
    MessageToChild,
    Ready,
    Report,
    Retire,
    Retired,
    StartFailed,
    decode_from_child,
    encode,
)

RETIRE_TIMEOUT = 1.0
"""Seconds in which a child must stop accepting callbacks; a blocked event loop accepts none."""

DRAIN_TIMEOUT = 40.0
"""Seconds in which it must then answer the accepted ones."""

_MAX_LINE = 16 * 1024 * 1024  # bytes

OnReport = Callable[[int, Report], None]
"""Called with the child's process id and its report on a callback."""


class ChildProcess:
    """One process. Make it with `launch`.

    Attributes:
        started: the result of the start.
        gone: set when the process has ended.
    """

    def __init__(
        self,
        process: Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        on_report: OnReport,
    ) -> None:
        self._process = process
        self._reader = reader
        self._writer = writer
        self._on_report = on_report
        self.started: asyncio.Future[Ready | StartFailed] = (
            asyncio.get_running_loop().create_future()
        )
        self._retired = asyncio.Event()
        self.gone = asyncio.Event()
        self._reading = asyncio.create_task(self._read())
        self._ending: asyncio.Task[None] | None = None

    @classmethod
    async def launch(
        cls,
        target: str,
        listener: socket.socket,
        environ: Mapping[str, str],
        on_report: OnReport,
    ) -> Self:
        """Start a process; it waits for `receiver.dev.messages.Load`.

        Parameters:
            target: the app.
            listener: the socket on which the app is served.
            environ: variables in addition to those of this process.
            on_report: called with each report of the child.
        """
        ours, theirs = socket.socketpair()
        descriptors = listener.fileno(), theirs.fileno()
        # A file beside this command must not hide this package; see ``python -P``.
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
                    # Python compares compiled files by the second: a second change would be lost.
                    env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **environ},
                )
            except BaseException:
                ours.close()
                raise
        return cls(process, *await asyncio.open_connection(sock=ours, limit=_MAX_LINE), on_report)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status, as in `subprocess`."""
        return self._process.returncode

    def send(self, message: MessageToChild) -> None:
        """Send a message to the child."""
        if not self._writer.is_closing():
            self._writer.write(encode(message))

    async def retire(self) -> None:
        """Stop the child: it accepts no callbacks, answers those in progress, and ends."""
        self.send(Retire())
        with suppress(TimeoutError):
            async with asyncio.timeout(RETIRE_TIMEOUT):
                await self._retired.wait()
        self._ending = asyncio.create_task(self._end(DRAIN_TIMEOUT))

    async def end(self) -> None:
        """End the child now."""
        self._writer.close()
        await self._end(RETIRE_TIMEOUT)

    async def _end(self, seconds: float) -> None:
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self.gone.wait()
        finally:
            if not self.gone.is_set():
                with suppress(ProcessLookupError):
                    self._process.kill()
        await self.gone.wait()

    async def _read(self) -> None:
        try:
            while line := await self._reader.readline():
                self._take(line)
        except (OSError, ValueError):  # the channel broke, or the line is too long
            pass
        finally:
            self._writer.close()
            status = await self._process.wait()
            self.gone.set()
            self._retired.set()
            if not self.started.done():
                text = f"the app ended its process with status {status} while it was loaded"
                self.started.set_result(StartFailed(text, "", []))

    def _take(self, line: bytes) -> None:
        try:
            message = decode_from_child(line)
        except msgspec.MsgspecError:
            return
        match message:
            case Ready() | StartFailed():
                if not self.started.done():
                    self.started.set_result(message)
            case Report():
                self._on_report(self.pid, message)
            case Retired():
                self._retired.set()
