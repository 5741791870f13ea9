"""The files of a project are watched: which changes are reported, and how watching may fail."""

from __future__ import annotations

import asyncio
import importlib
import math
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from receiver.dev import file_watcher
from receiver.dev.file_watcher import FileWatcher
from receiver.errors import SettingsError


@pytest.fixture
async def watcher(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FileWatcher]:
    """A watcher of a project whose working directory is a folder of the test."""
    monkeypatch.chdir(tmp_path)
    one = FileWatcher()
    yield one
    await one.close()


async def names_until(watcher: FileWatcher, last: str) -> set[str]:
    """Return the names of the files that are reported, up to ``last``."""
    names = set[str]()
    async with asyncio.timeout(240):
        while last not in names:
            names |= {Path(path).name for path in await watcher.next()}
    return names


async def test_code_and_declared_files_are_reported_and_no_others(
    watcher: FileWatcher, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    await watcher.watch([str(tmp_path / "hello.wav")], math.inf)
    for ignored in ("calls.log", ".#app.py", "other.wav", "folder/deep.py"):
        (tmp_path / ignored).touch()
    names = set[str]()
    for reported in (".env", "hello.wav", "app.py"):
        (tmp_path / reported).touch()
        names |= await names_until(watcher, reported)
    assert names == {".env", "hello.wav", "app.py"}


async def test_a_file_that_was_changed_before_its_folder_was_watched_is_reported(
    watcher: FileWatcher, tmp_path: Path
) -> None:
    code = tmp_path / "lib" / "code.py"
    code.parent.mkdir()
    code.touch()
    files = [str(code), str(tmp_path / "gone" / "gone.py")]
    await watcher.watch(files, code.stat().st_mtime - 1)
    assert await names_until(watcher, "code.py") == {"code.py"}


async def test_a_file_that_was_changed_before_it_was_known_is_reported(
    watcher: FileWatcher, tmp_path: Path
) -> None:
    """Its folder is watched, but the app's files are known only when it is loaded."""
    app = tmp_path / "receiver.toml"
    app.touch()
    await watcher.watch((), math.inf)
    await watcher.watch([str(app)], app.stat().st_mtime - 1)
    assert await names_until(watcher, "receiver.toml") == {"receiver.toml"}


async def test_a_change_is_reported_although_other_folders_are_watched_since(
    watcher: FileWatcher, tmp_path: Path
) -> None:
    code = tmp_path / "app.py"
    code.touch()
    await watcher.watch([str(code)], code.stat().st_mtime - 1)
    (tmp_path / "lib").mkdir()
    for _ in range(2):  # the second time nothing changes
        await watcher.watch([str(tmp_path / "lib" / "code.py")], math.inf)
    assert "app.py" in await names_until(watcher, "app.py")
    (tmp_path / "lib" / "more.py").touch()
    assert "more.py" in await names_until(watcher, "more.py")


async def test_a_limit_of_the_system_is_an_error(
    watcher: FileWatcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object, **__: object) -> AsyncIterator[object]:
        raise OSError("OS file watch limit reached")
        yield

    monkeypatch.setattr(file_watcher, "awatch", fail)
    await watcher.watch((), math.inf)
    with pytest.raises(SettingsError, match=r"^cannot watch the code for changes: OS file watch"):
        await watcher.next()


def test_without_the_extra_the_error_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchfiles", None)
    with pytest.raises(SettingsError, match=r"pip install 'portsip-receiver\[dev\]'"):
        importlib.reload(file_watcher)
