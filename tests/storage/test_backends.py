"""The values of RECEIVER_STORE."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from receiver.background import open_jobs
from receiver.credentials import Secret
from receiver.dispatch.sessions import Key, open_sessions
from receiver.errors import SettingsError
from receiver.storage.backends import URL_SCHEMES, Registered, open_auth_store
from receiver.storage.leases import open_lease
from receiver.storage.memory import MemoryAuth
from receiver.storage.protocols import AuthStore
from receiver.storage.sqlite import Sqlite
from tests.storage.conftest import LIFE, NOW
from tests.stores import LONG


@pytest.fixture
async def opened() -> AsyncIterator[list[AuthStore]]:
    stores: list[AuthStore] = []
    yield stores
    for store in stores:
        await store.close()


def test_an_empty_value_is_memory() -> None:
    assert isinstance(open_auth_store(Secret(""), life=LIFE), MemoryAuth)


async def test_a_path_is_a_shared_file(opened: list[AuthStore], tmp_path: Path) -> None:
    where = Secret(str(tmp_path / "a name with spaces"))
    opened += [open_auth_store(where, life=LIFE, limit=LONG) for _ in range(2)]
    assert [await store.use("n", 1, NOW, NOW) for store in opened] == [True, False]


async def test_a_tilde_is_the_home_directory(
    opened: list[AuthStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    opened += [open_auth_store(Secret("~/s"), life=LIFE)]
    assert (tmp_path / "s").exists()


@pytest.mark.parametrize("scheme", ["unix://", "UNIX://"])
async def test_a_redis_url_is_a_shared_redis(
    opened: list[AuthStore], redis_url: Secret, scheme: str
) -> None:
    where = Secret(redis_url.reveal().replace("unix://", scheme))
    opened += [open_auth_store(where, life=LIFE, limit=LONG) for _ in range(2)]
    assert [await store.use("n", 1, NOW, NOW) for store in opened] == [True, False]


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
async def test_an_outage_falls_back_and_the_log_shows_no_password(
    opened: list[AuthStore], scheme: str, caplog: pytest.LogCaptureFixture
) -> None:
    where = Secret(f"{scheme}://user:a-long-password@127.0.0.1:1/0")
    opened += [open_auth_store(where, life=LIFE)]
    assert [await opened[0].use("n", 1, NOW, NOW) for _ in range(2)] == [True, False]
    assert "the shared store (Redis) is unavailable" in caplog.text
    for hidden in ("a-long-password", "user", "127.0.0.1"):
        assert hidden not in caplog.text


@pytest.mark.parametrize(
    "where",
    [
        "http://127.0.0.1/",
        "sqlite:///x",
        "~no-such-user/x",
        ":memory:",
        "file:x?mode=memory",
        "redis:127.0.0.1",
        "mysql:x",
    ],
)
def test_a_value_that_can_never_work(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingsError, match=r"^RECEIVER_STORE ") as caught:
        open_auth_store(Secret(where), life=LIFE)
    assert where not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    monkeypatch.delitem(sys.modules, "receiver.storage.redis", raising=False)
    with pytest.raises(SettingsError, match=r"pip install 'portsip-receiver\[redis\]'"):
        open_auth_store(Secret("redis://127.0.0.1"), life=LIFE)


class Database(Sqlite):
    """A backend that no module of the source names."""

    def __init__(self, url: Secret, setting: str, limit: float) -> None:
        super().__init__(Path(url.reveal().removeprefix("database://")), setting)


async def test_one_registration_adds_a_backend_for_all_four_needs(
    opened: list[AuthStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registered = Registered(__name__, "Database", "sqlite3", "database")
    monkeypatch.setitem(URL_SCHEMES, "database://", registered)
    store, queue = (Secret(f"database://{tmp_path}/{name}.db") for name in ("store", "jobs"))

    opened += [open_auth_store(store, life=LIFE, limit=LONG) for _ in range(2)]
    assert [await each.use("n", 1, NOW, NOW) for each in opened] == [True, False]

    both = [open_sessions(store, limit=LONG) for _ in range(2)]
    key, until = Key("a call", 60.0), asyncio.get_running_loop().time() + LONG
    async with both[0].open(key, until=until) as session:
        session["attempts"] = 1
    async with both[1].open(key, until=until) as session:
        assert session["attempts"] == 1

    leases = [open_lease(store, "a") for _ in range(2)]
    assert [await lease.take(20) for lease in leases] == [True, False]

    queues = [open_jobs(queue, store) for _ in range(2)]
    assert [await jobs.accept("k", "body", NOW) for jobs in queues] == [True, False]
    assert [job.key for job in await queues[1].claim(NOW, NOW + 30, 9)] == ["k"]
    await asyncio.gather(*(each.close() for each in both))
    await asyncio.gather(*(each.close() for each in leases))
    await asyncio.gather(*(each.close() for each in queues))
