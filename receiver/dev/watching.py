"""Which files are watched, and when one of them changed.

Rule 1: watched are the folders of the code that is loaded, not what lies below them, and in them
        Python files, ``.env`` and the recordings that are declared. What an app writes beside its
        code (a log, a database) starts nothing.
Rule 2: what changed while nobody watched, because the folders are others now, is found by its time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path

from receiver.errors import SettingsError

try:
    from watchfiles import Change, awatch
except ImportError:  # it comes with the extra "dev"
    raise SettingsError(
        "receiver dev needs a further package: pip install 'portsip-receiver[dev]'"
    ) from None

STEP = 50
"""Milliseconds without a change after which what changed is told."""


class Watcher:
    """Tells of changes of files."""

    def __init__(self) -> None:
        self._folders: frozenset[str] = frozenset()
        self._files: frozenset[str] = frozenset()
        self._changed: set[str] = set()
        self._came = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None

    async def watch(self, files: Iterable[str], since: float) -> None:
        """Watch these files, and those beside them.

        Parameters:
            files: all that belongs to the app.
            since: seconds since the epoch; a file that changed after that has changed.
        """
        self._files = frozenset(map(os.path.realpath, files))
        folders = {Path(file).parent for file in self._files} | {Path.cwd()}
        there = frozenset(str(folder) for folder in folders if folder.is_dir())
        if there == self._folders and self._pump is not None:
            return
        await self.close()
        self._folders = there
        self._pump = asyncio.create_task(self._run(there))
        self._pump.add_done_callback(lambda _: self._came.set())
        await asyncio.sleep(0)  # from here on it watches
        self._tell({file for file in self._files if _changed(file) > since})

    async def next(self) -> set[str]:
        """The next change: the files, by their paths.

        Raises:
            SettingsError: this system lets nobody watch, or nobody watch more.
        """
        await self._came.wait()
        if self._pump is not None and self._pump.done():
            why = self._pump.exception() or "the watching ended"
            raise SettingsError(f"changes of the code cannot be seen: {why}")
        self._came.clear()
        changed, self._changed = self._changed, set()
        return changed

    async def close(self) -> None:
        """Watch no more."""
        if self._pump is not None:
            pump, self._pump = self._pump, None
            pump.cancel()
            await asyncio.wait({pump})
            self._came.clear()
            if self._changed:
                self._came.set()

    async def _run(self, folders: Iterable[str]) -> None:
        async for changes in awatch(
            *sorted(folders),
            watch_filter=self._counts,
            recursive=False,
            step=STEP,
        ):
            self._tell({path for _, path in changes})

    def _tell(self, changed: set[str]) -> None:
        if changed:
            self._changed |= changed
            self._came.set()

    def _counts(self, change: Change, path: str) -> bool:
        name = Path(path)
        if name.suffix == ".py" or name.name == ".env":
            return not name.name.startswith(".#")
        return os.path.realpath(path) in self._files


def _changed(file: str) -> float:
    try:
        return os.stat(file).st_mtime
    except OSError:
        return 0.0
