"""Redis: what expires, what is bounded, what can be asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest
import redis

from receiver.auth.counters import SKEW
from receiver.auth.throttle import FORGET, Standing
from receiver.errors import SettingsError
from receiver.secrets import Secret
from receiver.shared.server import PREFIX
from receiver.stores import StoreError
from receiver.stores.redis import Redis
from tests.shared_stage import Server
from tests.stores.conftest import LIFE, NOW


@pytest.fixture
async def store(redis_url: Secret) -> AsyncIterator[Redis]:
    store = Redis(redis_url, life=LIFE, most_sources=10)
    yield store
    await store.close()


@pytest.fixture
def client(redis_url: Secret) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(redis_url.reveal(), decode_responses=True) as client:
        yield client


async def test_all_that_is_kept_is_named_and_expires(store: Redis, client: redis.Redis) -> None:
    await store.use("n", 1, NOW, NOW)
    await store.failed("k", NOW)
    lives = {str(key): client.pttl(key) for key in client.scan_iter()}
    assert all(key.startswith(PREFIX) for key in lives)
    assert sorted(-(-int(str(life)) // 10_000) * 10 for life in lives.values()) == [
        FORGET,
        FORGET,
        LIFE + SKEW,
    ]


async def test_a_count_expires_by_itself(redis_url: Secret, client: redis.Redis) -> None:
    store = Redis(redis_url, life=LIFE)
    await store.use("n", 1, NOW, NOW)
    (key,) = client.scan_iter()
    client.pexpire(key, 0)
    assert await store.use("n", 1, NOW, NOW)
    await store.close()


async def test_a_flood_of_sources_pushes_out_the_idle_ones(
    store: Redis, client: redis.Redis
) -> None:
    for key in ("idle", "busy"):
        await store.failed(key, NOW)
    for n in range(100):
        await store.failed(f"flood {n}", NOW + n / 1000)
        await store.failed("busy", NOW + n / 1000)
    kinds = {str(client.type(key)): key for key in client.scan_iter()}
    assert client.hlen(kinds["hash"]) == client.zcard(kinds["zset"]) == 10
    assert (await store.standing("busy", NOW + 1)).failures == 101
    assert await store.standing("idle", NOW + 1) == Standing()


async def test_half_a_record_is_none(store: Redis, client: redis.Redis) -> None:
    await store.failed("k", NOW)
    await store.failed("k", NOW)
    (lasts,) = (key for key in client.scan_iter() if client.type(key) == "zset")
    client.delete(lasts)
    assert await store.standing("k", NOW) == Standing()
    assert await store.failed("k", NOW) == Standing(1, NOW)


async def test_a_password_is_used_and_a_wrong_one_not_told(server: Server) -> None:
    server.kill()
    server.start("--requirepass", "the right password")
    right = Redis(Secret(f"{server.url.reveal()}?password=the+right+password"), life=LIFE)
    wrong = Redis(Secret(f"{server.url.reveal()}?password=a+wrong+password"), life=LIFE)
    assert await right.use("n", 1, NOW, NOW)
    await right.reach()
    for question in (wrong.use("n", 2, NOW, NOW), wrong.reach()):
        with pytest.raises(StoreError) as caught:
            await question
        assert caught.value.args == ("AuthenticationError",)
    await right.close()
    await wrong.close()


async def test_nobody_there() -> None:
    store = Redis(Secret("redis://:a-long-password@127.0.0.1:1/0"), life=LIFE)
    for question in (store.use("n", 1, NOW, NOW), store.failed("k", NOW), store.standing("k", NOW)):
        with pytest.raises(StoreError, match=r"^(ConnectionRefused|Connection|OS)Error$"):
            await question
    await store.close()


async def test_a_full_redis_says_so(store: Redis, client: redis.Redis) -> None:
    client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreError, match=r"^OutOfMemoryError$"):
            await store.use("n", 1, NOW, NOW)
    finally:
        client.config_set("maxmemory", 0)


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
def test_a_url_that_cannot_be_read(url: str) -> None:
    with pytest.raises(SettingsError, match=r"^RECEIVER_STORE is not a URL that redis-py can read"):
        Redis(Secret(url), life=LIFE)
