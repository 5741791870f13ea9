"""The values of RECEIVER_JOBS."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from receiver.background import DEFAULT, open_jobs
from receiver.credentials import Secret
from receiver.errors import SettingsError
from tests.background.conftest import NOW


async def test_without_a_value_the_file_is_created_with_the_first_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    jobs = open_jobs(Secret(""))
    assert await jobs.claim(NOW, NOW, 1) == []
    assert not DEFAULT.exists()
    await jobs.accept("k", "", NOW)
    assert len(await jobs.claim(NOW, NOW, 1)) == 1
    await jobs.close()
    assert os.listdir() == [str(DEFAULT)]


async def test_a_value_that_can_never_work() -> None:
    for where in ("http://127.0.0.1/", "redis://[::1/0", "~no-such-user/x"):
        with pytest.raises(SettingsError, match=r"^RECEIVER_JOBS"):
            open_jobs(Secret(where))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    with pytest.raises(SettingsError, match=r"^RECEIVER_JOBS .*'portsip-receiver\[redis\]'"):
        open_jobs(Secret("redis://127.0.0.1"))


@pytest.mark.parametrize("name", ["store.db", "store.db.failures", "link.db"])
def test_a_queue_in_a_file_of_the_store_is_refused(tmp_path: Path, name: str) -> None:
    """The queue would be replaced together with a damaged store."""
    (tmp_path / "link.db").symlink_to(tmp_path / "store.db")
    with pytest.raises(SettingsError, match="RECEIVER_JOBS and RECEIVER_STORE name the same file"):
        open_jobs(Secret(str(tmp_path / name)), Secret(str(tmp_path / "store.db")))


def test_the_default_queue_in_a_file_of_the_store_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match="name the same file"):
        open_jobs(Secret(""), Secret("receiver-jobs.db"))
