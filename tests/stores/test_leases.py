"""Who holds a lease: in a file, in a real Redis; its holder killed, paused, cut off."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import redis

from receiver.errors import SettingsError
from receiver.guard.leases import (
    PREFIX,
    REST,
    Alone,
    FileLease,
    Hold,
    Lease,
    RedisLease,
    open_lease,
)
from receiver.secrets import Secret
from receiver.stores import StoreError
from tests.shared_stage import Clock, Server

LIFE = 20.0
Open = Callable[[], Lease]


@pytest.fixture(params=["file", "redis"])
async def open_one(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Open]:
    """One more who wants the same lease."""
    opened: list[Lease] = []
    file = Secret(str(tmp_path / "leases.db"))
    where = file if request.param == "file" else request.getfixturevalue("redis_url")

    def one_more() -> Lease:
        opened.append(open_lease(where, "https://ivr.example.com", ""))
        return opened[-1]

    yield one_more
    for lease in opened:
        await lease.close()


async def wait_for(lease: Lease) -> None:
    """Until the time of whoever has it is over, by a clock that is not ours."""
    while not await lease.take(LIFE):  # noqa: ASYNC110
        await asyncio.sleep(0.02)


async def test_one_of_many_has_it(open_one: Open) -> None:
    many = [open_one() for _ in range(8)]
    for _ in range(3):  # and keeps it
        taken = await asyncio.gather(*(lease.take(LIFE) for lease in many))
        assert taken.count(True) == 1
    holder = many[taken.index(True)]
    others = [lease for lease in many if lease is not holder]
    for lease in others:
        await lease.leave()  # what is not theirs
    assert not await others[0].take(LIFE)
    await holder.leave()
    assert await others[0].take(LIFE)
    assert not await holder.take(LIFE)


async def test_it_ends_by_itself(open_one: Open) -> None:
    one, other = open_one(), open_one()
    assert await one.take(0.2)
    assert not await other.take(LIFE)
    await wait_for(other)
    assert not await one.take(LIFE)


async def test_services_and_pbxs_do_not_share_one(tmp_path: Path) -> None:
    where = Secret(str(tmp_path / "leases.db"))
    for of in (("https://a", ""), ("https://a", "north"), ("https://b", "")):
        assert await open_lease(where, *of).take(LIFE)


async def test_without_a_store_everybody_has_it() -> None:
    lease = open_lease(Secret(""), "https://a", "")
    assert isinstance(lease, Alone)
    assert await lease.take(LIFE)


@pytest.mark.parametrize("url", ["http://127.0.0.1", "redis://127.0.0.1:99999/0"])
def test_a_place_that_cannot_be(url: str) -> None:
    with pytest.raises(SettingsError, match="RECEIVER_STORE"):
        open_lease(Secret(url), "a")


# the clock of the holder ---------------------------------------------------------------------


async def test_a_holder_that_cannot_prolong_it_stops_before_it_ends(clock: Clock) -> None:
    class Down(Alone):
        down = False

        async def take(self, life: float) -> bool:
            if self.down:
                raise StoreError("TimeoutError")
            return True

    lease = Down()
    hold = Hold(lease, clock=clock, life=LIFE)
    assert not hold.held
    await hold.renew()
    lease.down = True
    clock.time = LIFE * (1 - REST) - 0.1
    assert hold.held
    with pytest.raises(StoreError):
        await hold.renew()
    assert hold.held
    clock.time = LIFE * (1 - REST)
    assert not hold.held


async def test_the_time_counts_from_before_the_question(clock: Clock) -> None:
    class Slow(Alone):
        async def take(self, life: float) -> bool:
            clock.time += 14.9
            return True

    hold = Hold(Slow(), clock=clock, life=LIFE)
    await hold.renew()
    assert hold.held
    clock.time += 0.2
    assert not hold.held


async def test_who_does_not_get_it_does_not_hold_it(open_one: Open) -> None:
    one, other = Hold(open_one()), Hold(open_one())
    await one.renew()
    await other.renew()
    assert (one.held, other.held) == (True, False)
    await one.end()
    await other.renew()
    assert (one.held, other.held) == (False, True)


# Redis ---------------------------------------------------------------------------------------


async def test_redis_s_own_clock_counts(redis_url: Secret) -> None:
    lease = RedisLease(redis_url, "a")
    assert await lease.take(LIFE)
    with redis.Redis.from_url(redis_url.reveal()) as client:
        life = client.pttl(PREFIX + "a")
        assert isinstance(life, int)
        assert LIFE - 2 < life / 1000 <= LIFE
        client.pexpire(PREFIX + "a", 5000)
        await lease.take(LIFE)
        life = client.pttl(PREFIX + "a")
        assert isinstance(life, int)
        assert life > 15_000
    await lease.close()


async def test_a_redis_that_is_down_or_stopped_gives_none(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("receiver.guard.leases._TIMEOUT", 0.2)
    lease = open_lease(server.url, "a")
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


async def test_what_is_from_before_a_restart_of_the_machine_is_free(
    tmp_path: Path, clock: Clock
) -> None:
    one, other = (FileLease(tmp_path / "f", name="a", clock=clock) for _ in range(2))
    clock.time = 1e6
    assert await one.take(LIFE)
    clock.time = 60.0  # it counts from the start of the machine
    assert await other.take(LIFE)
    assert not await one.take(LIFE)


async def test_the_file_is_its_owner_s_and_one_with_the_store(tmp_path: Path) -> None:
    from receiver.stores.sqlite import Sqlite

    path = tmp_path / "store.db"
    assert await FileLease(path, "a").take(LIFE)
    assert path.stat().st_mode & 0o777 == 0o600
    store = Sqlite(path, life=300)
    assert await store.use("n", 1, 1e9, 1e9)
    assert not await FileLease(path, "a").take(LIFE)
    await store.close()


async def test_a_file_that_is_something_else(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("no database " * 100)
    with pytest.raises(StoreError, match="SQLITE_NOTADB"):
        await FileLease(tmp_path / "f", "a").take(LIFE)
    with pytest.raises(StoreError, match="FileNotFoundError"):
        await FileLease(tmp_path / "none" / "f", "a").take(LIFE)


# other processes -----------------------------------------------------------------------------

HOLDER = """
import asyncio, sys, time
from receiver.guard.leases import Hold, open_lease
from receiver.secrets import Secret

async def main():
    hold = Hold(open_lease(Secret(sys.argv[1]), "a"), life=1.0)
    await hold.renew()
    print("held" if hold.held else "not held", flush=True)
    sys.stdin.readline()
    print("held" if hold.held else "not held", flush=True)
    await hold.renew()
    print("held" if hold.held else "not held", flush=True)

asyncio.run(main())
"""


@pytest.mark.parametrize("kind", ["file", "redis"])
@pytest.mark.parametrize("fate", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_holder_that_is_killed_or_paused_is_followed(
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
        await wait_for(lease)
        if fate == signal.SIGSTOP:
            process.send_signal(signal.SIGCONT)
            # It knows by itself that its time is over, and does not get it back.
            said, _ = await process.communicate(b"\n")
            assert said == b"not held\nnot held\n"
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    await lease.close()
