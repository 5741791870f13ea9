"""Nonce counts and failures in Redis: expiry, bounds, errors."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from receiver.auth.replay_window import SKEW
from receiver.auth.throttle import FAILURE_LIFE, FailureRecord
from receiver.credentials import Secret
from receiver.errors import SettingsError
from receiver.storage.breaker import StoreError
from receiver.storage.redis import RedisAuth
from receiver.storage.redis_client import PREFIX, answer_of, connect
from tests.storage.conftest import LIFE, NOW
from tests.stores import LONG, Server


@pytest.fixture
async def store(redis_url: Secret) -> AsyncIterator[RedisAuth]:
    store = RedisAuth(redis_url, limit=LONG, life=LIFE, max_sources=10)
    yield store
    await store.close()


@pytest.fixture
def client(redis_url: Secret) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url.reveal(), decode_responses=True) as client:
        yield client


async def test_every_key_has_the_prefix_and_expires(store: RedisAuth, client: redis.Redis) -> None:
    await store.use("n", 1, NOW, NOW)
    await store.failed("k", NOW)
    lives = {str(key): client.pttl(key) for key in client.scan_iter()}
    assert all(key.startswith(PREFIX) for key in lives)
    assert sorted(-(-int(str(life)) // 10_000) * 10 for life in lives.values()) == [
        FAILURE_LIFE,
        FAILURE_LIFE,
        LIFE + SKEW,
    ]


async def test_a_count_expires(redis_url: Secret, client: redis.Redis) -> None:
    store = RedisAuth(redis_url, limit=LONG, life=LIFE)
    await store.use("n", 1, NOW, NOW)
    (key,) = client.scan_iter()
    client.pexpire(key, 0)
    assert await store.use("n", 1, NOW, NOW)
    await store.close()


async def test_a_flood_of_addresses_evicts_the_idle_ones(
    store: RedisAuth, client: redis.Redis
) -> None:
    for key in ("idle", "busy"):
        await store.failed(key, NOW)
    for n in range(100):
        await store.failed(f"flood {n}", NOW + n / 1000)
        await store.failed("busy", NOW + n / 1000)
    kinds = {str(client.type(key)): key for key in client.scan_iter()}
    assert client.hlen(kinds["hash"]) == client.zcard(kinds["zset"]) == 10
    assert (await store.failed("busy", NOW + 1)).failures == 102
    assert await store.failed("idle", NOW + 1) == FailureRecord(1, NOW + 1)


async def test_an_invalid_count_begins_anew(store: RedisAuth, client: redis.Redis) -> None:
    await store.failed("k", NOW)
    (counts,) = (key for key in client.scan_iter() if client.type(key) == "hash")
    client.hset(counts, "k", "x")
    assert [await store.failed("k", NOW) for _ in range(2)] == [
        FailureRecord(1, NOW),
        FailureRecord(2, NOW),
    ]


async def test_half_a_record_begins_anew(store: RedisAuth, client: redis.Redis) -> None:
    await store.failed("k", NOW)
    await store.failed("k", NOW)
    (lasts,) = (key for key in client.scan_iter() if client.type(key) == "zset")
    client.delete(lasts)
    assert await store.failed("k", NOW) == FailureRecord(1, NOW)


async def test_a_wrong_password_is_an_error_that_does_not_show_it(server: Server) -> None:
    server.kill()
    server.start("--requirepass", "the right password")
    url = server.url.reveal()
    right, wrong = (
        RedisAuth(Secret(f"{url}?password={password}"), life=LIFE, limit=LONG)
        for password in ("the+right+password", "a+wrong+password")
    )
    assert await right.use("n", 1, NOW, NOW)
    await right.reach()
    for question in (wrong.use("n", 2, NOW, NOW), wrong.reach()):
        with pytest.raises(StoreError) as caught:
            await question
        assert caught.value.args == ("AuthenticationError",)
        assert caught.value.advice == "the user or the password in its URL is refused"
    await right.close()
    await wrong.close()


async def test_a_refused_connection_is_an_error() -> None:
    store = RedisAuth(Secret("redis://:a-long-password@127.0.0.1:1/0"), life=LIFE)
    for question in (store.use("n", 1, NOW, NOW), store.failed("k", NOW)):
        with pytest.raises(StoreError, match=r"^(ConnectionRefused|Connection|OS)Error$"):
            await question
    await store.close()


async def test_a_full_redis_is_an_error(store: RedisAuth, client: redis.Redis) -> None:
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreError, match=r"^OutOfMemoryError$") as caught:
            await store.use("n", 1, NOW, NOW)
        assert "raise maxmemory" in caught.value.advice
    finally:
        client.config_set("maxmemory", 0)


async def test_a_database_that_redis_does_not_have_is_an_error(redis_url: Secret) -> None:
    store = RedisAuth(Secret(f"{redis_url.reveal()}?db=99"), life=LIFE, limit=LONG)
    with pytest.raises(StoreError, match=r"^ResponseError$") as caught:
        await store.reach()
    assert caught.value.advice == "Redis has no database of the number in its URL"
    await store.close()


@pytest.mark.parametrize("path", ["x", "1/2", "0x"])
def test_a_name_instead_of_the_number_of_a_database_is_refused(path: str) -> None:
    """redis-py takes it for 0: two installations would share a database."""
    with pytest.raises(SettingsError, match=r"^RECEIVER_STORE: the path is not the number"):
        RedisAuth(Secret(f"redis://:a-long-password@127.0.0.1/{path}"), life=LIFE)


@pytest.mark.parametrize("path", ["", "/", "/2", "/2/", "//2//"])
async def test_slashes_around_the_number_of_a_database_are_ignored(path: str) -> None:
    client = connect(Secret(f"redis://127.0.0.1{path}"))
    assert client.get_connection_kwargs().get("db", 0) == (2 if "2" in path else 0)
    await client.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "redis://:a-long-password@127.0.0.1:99999/0",
        "redis://:a-long-password@[::1/0",
        "redis://:a-long-password@127.0.0.1/0?health_check_interval=soon",
        "redis://:a-long-password@127.0.0.1/0?no_such_option=1",
        "redis://:a-long-password@127.0.0.1/0?protocol=7",
        "unix://?db=x",
    ],
)
def test_an_unreadable_url_is_refused(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^RECEIVER_STORE is not a URL that redis-py can read"):
        RedisAuth(Secret(url), life=LIFE)


async def test_a_cancellation_that_redis_py_swallows_is_raised() -> None:
    reached = asyncio.Event()

    async def swallow() -> int:
        try:
            reached.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return 1
        return 0

    task = asyncio.create_task(answer_of(swallow()))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
