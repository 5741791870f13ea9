"""receiver/upstream/lookup.py"""

import asyncio
import logging

import pytest

from handlers.table import Table
from receiver import Call, DeclarationError, Forward, Reply
from receiver.errors import UpstreamError, UpstreamLate
from receiver.upstream import Client, Lookup
from tests.upstream.stage import BROKEN, HANG, OK, Clock, Crm, Timed, answer

NUMBER = "+4930555123987"


class Source:
    """A fetch function whose results the test sets: a task waits for ``ends[n]``."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.ends: list[asyncio.Future[str]] = []
        self.cancelled = 0
        self._more = asyncio.Condition()

    async def __call__(self, key: str) -> str:
        self.keys.append(key)
        end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.ends.append(end)
        async with self._more:
            self._more.notify_all()
        try:
            return await end
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    async def received(self, count: int) -> None:
        async with self._more, asyncio.timeout(60):
            await self._more.wait_for(lambda: len(self.ends) >= count)

    async def settled(self) -> None:
        """Wait until the tasks with results have ended."""
        for _ in range(5):
            await asyncio.sleep(0)


@pytest.fixture
def source() -> Source:
    return Source()


async def first(lookup: Lookup[str, str], source: Source, text: str = "Ada") -> None:
    task = asyncio.create_task(lookup("k"))
    await source.received(1)
    source.ends[0].set_result(text)
    assert await task == text


async def test_ten_calls_cause_one_request(crm: Crm) -> None:
    client = Client(crm.url)

    async def find(number: str) -> object:
        return (await client.get("/c", params={"phone": number})).json()

    lookup = Lookup(find, fresh=60, stale=60)
    found = await asyncio.gather(*(lookup(NUMBER) for _ in range(10)))
    assert found == [{"name": "Ada"}] * 10
    assert await lookup(NUMBER) == {"name": "Ada"}
    assert crm.count == 1
    await lookup("other")
    assert crm.count == 2


async def test_fresh_then_refreshed_then_expired(source: Source, clock: Clock) -> None:
    lookup = Lookup(source, fresh=60, stale=600)
    await first(lookup, source)
    clock.advance(59)
    assert await lookup("k") == "Ada"
    await source.settled()
    assert len(source.keys) == 1
    clock.advance(2)
    assert [await lookup("k") for _ in range(3)] == ["Ada"] * 3  # does not wait
    await source.received(2)
    source.ends[1].set_result("Grace")
    await source.settled()
    assert await lookup("k") == "Grace"
    assert len(source.keys) == 2
    clock.advance(601)
    with pytest.raises(UpstreamLate):
        await lookup("k", Timed(left=0.0))


async def test_a_failed_refresh_keeps_the_result(
    source: Source, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    lookup = Lookup(source, fresh=60, stale=600)
    await first(lookup, source)
    clock.advance(61)
    for count in (2, 3):
        assert await lookup("k") == "Ada"
        await source.received(count)
        source.ends[-1].set_exception(UpstreamError("down, says " + NUMBER))
        await source.settled()
        assert await lookup("k") == "Ada"
        await source.settled()
        assert len(source.keys) == count  # not fetched again at once
        clock.advance(1.01)
    assert caplog.messages == ["Source raised UpstreamError in the background"]


async def test_failures_are_raised_and_not_cached(
    crm: Crm, caplog: pytest.LogCaptureFixture
) -> None:
    crm.script = [BROKEN, OK]
    client = Client(crm.url)

    async def find(number: str) -> int:
        return (await client.get("/c")).status

    lookup = Lookup(find, fresh=60, stale=60)
    results = await asyncio.gather(*(lookup("k") for _ in range(3)), return_exceptions=True)
    assert {type(result).__name__ for result in results} == {"UpstreamRefused"}
    assert crm.count == 1
    assert await lookup("k") == 200
    assert caplog.messages == []  # the waiting caller gets the error


async def test_none_is_a_result(clock: Clock) -> None:
    keys = []

    async def find(number: str) -> str | None:
        keys.append(number)
        return None

    lookup = Lookup(find, fresh=60, stale=60)
    assert [await lookup("k"), await lookup("k")] == [None, None]
    assert keys == ["k"]


async def test_a_fetch_started_ahead_is_used_by_the_next_callback(crm: Crm) -> None:
    crm.script = [HANG]
    client = Client(crm.url)

    async def find(number: str) -> str:
        return str((await client.get("/c", params={"phone": number})).json()["name"])

    lookup = Lookup(find, fresh=60, stale=60)
    caller, dtmf = (Timed(caller=NUMBER, digits=digits, left=1.5) for digits in ("", "1"))
    for _ in range(2):
        lookup.ahead(caller.caller)
    await crm.received(1)
    taken = asyncio.create_task(lookup(dtmf.caller, dtmf))
    crm.released.set()
    assert await taken == "Ada"
    lookup.ahead(NUMBER)
    assert crm.count == 1


async def test_a_fetch_outlives_the_deadline_of_a_call(source: Source, clock: Clock) -> None:
    lookup = Lookup(source, fresh=60, stale=60)
    early = asyncio.create_task(lookup("k", Timed(left=1.0)))
    cut = asyncio.create_task(lookup("k"))
    await source.received(1)
    cut.cancel()
    clock.advance(0.96)
    with pytest.raises(UpstreamLate, match=r"^Source has no result"):
        await early
    again = asyncio.create_task(lookup("k", Timed(left=1.0)))
    await source.settled()
    source.ends[0].set_result("Ada")
    assert await again == "Ada"
    assert source.keys == ["k"]


async def test_a_fetch_times_out(source: Source, clock: Clock) -> None:
    lookup = Lookup(source, fresh=60, stale=60, timeout=10)
    task = asyncio.create_task(lookup("k"))
    await source.received(1)
    clock.advance(10)
    with pytest.raises(UpstreamLate, match=r"^Source took longer than 10 s$"):
        await task
    assert source.cancelled == 1


async def test_limits(source: Source) -> None:
    lookup = Lookup(source, fresh=60, stale=60, max_size=2)
    for key in "abc":
        lookup.ahead(key)
    await source.received(2)
    with pytest.raises(UpstreamError, match=r"^Source is already fetching 2 keys, the limit$"):
        await lookup("c")
    assert source.keys == ["a", "b"]
    for end in source.ends:
        end.set_result("x")
    await source.settled()
    assert await lookup("a") == "x"
    task = asyncio.create_task(lookup("c"))
    await source.received(3)
    source.ends[2].set_result("y")
    await task
    lookup.ahead("a")  # used last, so kept
    lookup.ahead("b")
    await source.received(4)
    assert source.keys == ["a", "b", "c", "b"]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
async def test_a_fetch_that_raises_system_exit(kind: type[BaseException]) -> None:
    async def find(key: str) -> str:
        raise kind

    with pytest.raises(UpstreamError, match=f"raised {kind.__name__}$"):
        await Lookup(find, fresh=1, stale=1)("k")


async def test_aclose_cancels_all_tasks(source: Source) -> None:
    lookup = Lookup(source, fresh=60, stale=60)
    lookup.ahead("a")
    waiting = asyncio.create_task(lookup("b"))
    await source.received(2)
    await lookup.aclose()
    assert source.cancelled == 2
    with pytest.raises(UpstreamError, match="being closed"):
        await waiting
    assert len(asyncio.all_tasks()) == 1


def test_tasks_end_with_their_loop(source: Source) -> None:
    lookup = Lookup(source, fresh=60, stale=60)

    async def use() -> None:
        lookup.ahead("a")
        await source.received(1)

    asyncio.run(use())
    assert source.cancelled == 1
    assert lookup._states._lives == {}


async def test_keys_results_and_errors_are_never_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)

    async def find(number: str) -> str:
        raise ValueError(f"no {number}")

    lookup = Lookup(find, fresh=1, stale=1)
    lookup.ahead(NUMBER)
    with pytest.raises(ValueError, match="no"):
        await lookup(NUMBER)
    await asyncio.sleep(0)
    assert "raised ValueError in the background" in caplog.text
    assert NUMBER not in caplog.text


@pytest.mark.parametrize(("fresh", "stale"), [(-1, 1), (2, 1)])
def test_invalid_times(fresh: float, stale: float, source: Source) -> None:
    with pytest.raises(DeclarationError, match=r"^Lookup: "):
        Lookup(source, fresh=fresh, stale=stale)


async def test_a_lookup_works_with_table(crm: Crm) -> None:
    crm.script = [answer(b'"222"')]
    client = Client(crm.url)

    async def find(number: str) -> Reply | None:
        return Forward((await client.get("/c")).json())

    handler = Table(Lookup(find, fresh=60, stale=60))
    assert [await handler(Call(caller=NUMBER)) for _ in range(2)] == [Forward("222")] * 2
    assert crm.count == 1
