"""What RECEIVER_STORE may say."""

from __future__ import annotations

import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from receiver.errors import SettingsError
from receiver.secrets import Secret
from receiver.stores import Memory, Store, open_store
from tests.stores.conftest import LIFE, NOW


@pytest.fixture
async def opened() -> AsyncIterator[list[Store]]:
    stores: list[Store] = []
    yield stores
    for store in stores:
        await store.close()


def test_nothing_is_memory() -> None:
    assert isinstance(open_store(Secret(""), life=LIFE), Memory)


async def test_a_path_is_shared(opened: list[Store], tmp_path: Path) -> None:
    where = Secret(str(tmp_path / "a name with spaces"))
    opened += [open_store(where, life=LIFE) for _ in range(2)]
    assert [await store.use("n", 1, NOW, NOW) for store in opened] == [True, False]


async def test_a_path_at_home(
    opened: list[Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    opened += [open_store(Secret("~/s"), life=LIFE)]
    assert (tmp_path / "s").exists()


@pytest.mark.parametrize("scheme", ["unix://", "UNIX://"])
async def test_a_redis_is_shared(opened: list[Store], redis_url: Secret, scheme: str) -> None:
    where = Secret(redis_url.reveal().replace("unix://", scheme))
    opened += [open_store(where, life=LIFE) for _ in range(2)]
    assert [await store.use("n", 1, NOW, NOW) for store in opened] == [True, False]


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
async def test_a_redis_that_is_down_costs_no_call_and_shows_no_password(
    opened: list[Store], scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    where = Secret(f"{scheme}://user:a-long-password@127.0.0.1:1/0")
    opened += [open_store(where, life=LIFE)]
    assert [await opened[0].use("n", 1, NOW, NOW) for _ in range(2)] == [True, False]
    assert "the shared store (Redis) is out of order" in caplog.text
    for hidden in ("a-long-password", "user", "127.0.0.1"):
        assert hidden not in caplog.text


@pytest.mark.parametrize(
    "where",
    [
        "http://127.0.0.1/",
        "sqlite:///x",
        "~nobody-of-this-name/x",
        ":memory:",
        "file:x?mode=memory",
        "redis:127.0.0.1",
        "mysql:x",
    ],
)
def test_what_is_neither(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"^RECEIVER_STORE ") as caught:
        open_store(Secret(where), life=LIFE)
    assert where not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", [".", "/dev/null", "fifo"])
def test_what_is_no_file(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(SettingsError, match=r"^RECEIVER_STORE names something that is no file$"):
        open_store(Secret(str(tmp_path / name)), life=LIFE)


@pytest.mark.parametrize("name", ["x" * 300, "file/x"])
def test_what_cannot_be_looked_at(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"^RECEIVER_STORE: no file can be made there"):
        open_store(Secret(str(tmp_path / name)), life=LIFE)


def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    monkeypatch.delitem(sys.modules, "receiver.stores.redis", raising=False)
    with pytest.raises(SettingsError, match=r"pip install 'portsip-receiver\[redis\]'"):
        open_store(Secret("redis://127.0.0.1"), life=LIFE)
