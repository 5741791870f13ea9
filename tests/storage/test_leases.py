"""Leases by backend, and a holder that is killed, paused or cut off."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
import redis

from receiver.credentials import Secret
from receiver.errors import SettingsError
from receiver.storage.breaker import StoreError
from receiver.storage.leases import END_MARGIN, HeldLease, open_lease
from receiver.storage.memory import UnsharedLease
from receiver.storage.redis import LEASES, RedisLease
from receiver.storage.sqlite import SqliteLease
from tests.clock import Clock
from tests.storage.stage import wait_for
from tests.stores import SHORT, Server

LIFE = 20.0


async def test_services_and_pbxs_have_separate_leases(tmp_path: Path) -> None:
    where = Secret(str(tmp_path / "leases.db"))
    for of in (("https://a", ""), ("https://a", "north"), ("https://b", "")):
        assert await open_lease(where, *of).take(LIFE)


async def test_without_a_store_each_process_holds_the_lease() -> None:
    lease = open_lease(Secret(""), "https://a", "")
    assert isinstance(lease, UnsharedLease)
    assert await lease.take(LIFE)


@pytest.mark.parametrize("url", ["http://127.0.0.1", "redis://127.0.0.1:99999/0"])
def test_a_value_that_can_never_work(url: str) -> None:
    with pytest.raises(SettingsError, match="RECEIVER_STORE"):
        open_lease(Secret(url), "a")


# the clock of the holder ---------------------------------------------------------------------


async def test_a_holder_that_cannot_renew_stops_before_the_lease_ends(clock: Clock) -> None:
    class Down(UnsharedLease):
        down = False

        async def take(self, life: float) -> bool:
            if self.down:
                raise StoreError("TimeoutError")
            return True

    lease = Down()
    hold = HeldLease(lease, clock=clock, life=LIFE)
    assert not hold.held
    await hold.renew()
    lease.down = True
    clock.now = LIFE * (1 - END_MARGIN) - 0.1
    assert hold.held
    with pytest.raises(StoreError):
        await hold.renew()
    assert hold.held
    clock.now = LIFE * (1 - END_MARGIN)
    assert not hold.held


async def test_a_lease_counts_from_before_the_request(clock: Clock) -> None:
    class Slow(UnsharedLease):
        async def take(self, life: float) -> bool:
            clock.now += 14.9
            return True

    hold = HeldLease(Slow(), clock=clock, life=LIFE)
    await hold.renew()
    assert hold.held
    clock.now += 0.2
    assert not hold.held


# Redis ---------------------------------------------------------------------------------------


async def test_a_lease_in_redis_ends_by_the_clock_of_redis(redis_url: Secret) -> None:
    lease = RedisLease(redis_url, "a")
    assert await lease.take(LIFE)
    with redis.Redis.from_url(redis_url.reveal()) as client:
        life = client.pttl(LEASES + "a")
        assert isinstance(life, int)
        assert LIFE / 2 < life / 1000 <= LIFE
        client.pexpire(LEASES + "a", 5000)
        await lease.take(LIFE)
        life = client.pttl(LEASES + "a")
        assert isinstance(life, int)
        assert life > 15_000
    await lease.close()


async def test_a_redis_that_is_down_or_paused_gives_no_lease(server: Server) -> None:
    lease = RedisLease(server.url, "a", limit=SHORT)
    assert await lease.take(LIFE)
    server.send(signal.SIGSTOP)
    try:
        with pytest.raises(StoreError, match="TimeoutError"):
            await lease.take(LIFE)
    finally:
        server.send(signal.SIGCONT)
    assert await lease.take(LIFE)
    server.kill()
    with pytest.raises(StoreError, match=r"Error$"):
        await lease.take(LIFE)
    server.start()
    assert await lease.take(LIFE)
    await lease.close()


# a file --------------------------------------------------------------------------------------


async def test_a_lease_from_before_a_restart_of_the_machine_is_free(
    tmp_path: Path, clock: Clock
) -> None:
    one, other = (SqliteLease(tmp_path / "f", name="a", clock=clock) for _ in range(2))
    clock.now = 1e6
    assert await one.take(LIFE)
    clock.now = 60.0  # it counts from the start of the machine
    assert await other.take(LIFE)
    assert not await one.take(LIFE)


async def test_the_file_is_private_and_shared_with_the_store(tmp_path: Path) -> None:
    from receiver.storage.sqlite import SqliteAuth

    path = tmp_path / "store.db"
    assert await SqliteLease(path, "a").take(LIFE)
    assert path.stat().st_mode & 0o777 == 0o600
    store = SqliteAuth(path, life=300)
    assert await store.use("n", 1, 1e9, 1e9)
    assert not await SqliteLease(path, "a").take(LIFE)
    await store.close()


async def test_a_damaged_file_is_replaced_and_a_missing_folder_gives_no_lease(
    tmp_path: Path,
) -> None:
    (tmp_path / "f").write_text("no database " * 100)
    lease = SqliteLease(tmp_path / "f", "a")
    assert await lease.take(LIFE)
    await lease.close()
    lost = SqliteLease(tmp_path / "none" / "f", "a")
    with pytest.raises(StoreError, match="FileNotFoundError"):
        await lost.take(LIFE)
    (tmp_path / "none").mkdir()
    assert await lost.take(LIFE)
    await lost.close()


# other processes -----------------------------------------------------------------------------

HOLDER = """
import asyncio, sys, time
from receiver.storage.leases import HeldLease, open_lease
from receiver.credentials import Secret

async def main():
    hold = HeldLease(open_lease(Secret(sys.argv[1]), "a"), life=1.0)
    while not hold.held:  # it may be descheduled for longer
        await hold.renew()
    print("held", flush=True)
    sys.stdin.readline()
    print("held" if hold.held else "not held", flush=True)
    await hold.renew()
    print("held" if hold.held else "not held", flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["file", "redis"])
@pytest.mark.parametrize("fate", [signal.SIGKILL, signal.SIGSTOP])
async def test_the_lease_of_a_killed_or_paused_holder_is_taken(
    kind: str, fate: signal.Signals, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    file = Secret(str(tmp_path / "leases.db"))
    where = file if kind == "file" else request.getfixturevalue("redis_url")
    lease = open_lease(where, "a")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", HOLDER, where.reveal(), stdin=PIPE, stdout=PIPE
    )
    assert process.stdout is not None
    try:
        assert await process.stdout.readline() == b"held\n"
        process.send_signal(fate)
        await wait_for(lease, LIFE)
        if fate == signal.SIGSTOP:
            process.send_signal(signal.SIGCONT)
            # It knows that its lease is over, and cannot renew it.
            said, _ = await process.communicate(b"\n")
            assert said == b"not held\nnot held\n"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    await lease.close()
