"""Watch the files of a project for changes.

Rule 1: the folders of the loaded code are watched, without their subfolders: Python files, ``.env``
        and declared prompts. Other files that an app writes there (a log, a database) are ignored.
Rule 2: a change that was missed while the set of folders changed, or before a file was known, is
        found by the file's time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable
from pathlib import Path

from receiver.errors import SettingsError

try:
    from watchfiles import Change, awatch
except ImportError:  # part of the extra "dev"
    raise SettingsError(
        "receiver dev needs a further package: pip install 'portsip-receiver[dev]'"
    ) from None

DEBOUNCE = 50
"""Milliseconds without a change after which changes are reported."""


class FileWatcher:
    """Reports changes of files."""

    def __init__(self) -> None:
        self._folders: frozenset[str] = frozenset()
        self._files: frozenset[str] = frozenset()
        self._changed: set[str] = set()
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def watch(self, files: Iterable[str], since: float) -> None:
        """Watch these files, and Python files beside them.

        Parameters:
            files: all files of the app.
            since: seconds since the epoch; a file with a later time counts as changed.
        """
        known, self._files = self._files, frozenset(map(os.path.realpath, files))
        folders = {Path(file).parent for file in self._files} | {Path.cwd()}
        existing = frozenset(str(folder) for folder in folders if folder.is_dir())
        if existing == self._folders and self._task is not None:
            self._add({file for file in self._files - known if _modified(file) > since})
            return
        await self.close()
        self._folders = existing
        self._task = asyncio.create_task(self._run(existing))
        self._task.add_done_callback(lambda _: self._wake.set())
        await asyncio.sleep(0)  # the task starts to watch
        self._add({file for file in self._files if _modified(file) > since})

    async def next(self) -> set[str]:
        """Wait for a change; return the paths of the changed files.

        Raises:
            SettingsError: the system does not support this, or its limit of watches is reached.
        """
        await self._wake.wait()
        if self._task is not None and self._task.done():
            why = self._task.exception() or "watching ended"
            raise SettingsError(f"cannot watch the code for changes: {why}")
        self._wake.clear()
        changed, self._changed = self._changed, set()
        return changed

    async def close(self) -> None:
        """Stop watching."""
        if self._task is not None:
            task, self._task = self._task, None
            task.cancel()
            await asyncio.wait({task})
            self._wake.clear()
            if self._changed:
                self._wake.set()

    async def _run(self, folders: Iterable[str]) -> None:
        async for changes in awatch(
            *sorted(folders), watch_filter=self._is_watched, recursive=False, step=DEBOUNCE
        ):
            self._add({path for _, path in changes})

    def _add(self, changed: set[str]) -> None:
        if changed:
            self._changed |= changed
            self._wake.set()

    def _is_watched(self, change: Change, path: str) -> bool:
        name = Path(path)
        if name.suffix == ".py" or name.name == ".env":
            return not name.name.startswith(".#")  # a lock file of Emacs
        return os.path.realpath(path) in self._files


def _modified(file: str) -> float:
    try:
        return os.stat(file).st_mtime
    except OSError:
        return 0.0
