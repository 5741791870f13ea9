"""Jobs of this process: tried again, bounded, and run to their end or logged at shutdown."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from receiver.background.in_process import IN_PROCESS
from receiver.background.runner import backoff
from tests.background.conftest import NOW, Make, lines, soon
from tests.clock import Clock

TRIES = IN_PROCESS.tries


class Claims(Clock):
    """A clock that counts the claims: each asks it for the time."""

    count = 0

    def __call__(self) -> float:
        self.count += 1
        return self.now


async def test_a_failure_is_tried_again_after_a_backoff(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Claims(NOW)
    owner = make(monotonic=clock, in_process=replace(IN_PROCESS, poll=0.001))
    tries: list[int] = []

    async def third_time_lucky() -> None:
        tries.append(1)
        if len(tries) < 3:
            raise OSError("777")

    after = owner.of_call()
    after(third_time_lucky)
    after.release()
    for number, longest in ((1, 0.5), (2, 1.0)):
        await soon(lambda number=number: len(tries) == number)  # type: ignore[misc]
        count = clock.count
        await soon(lambda count=count: clock.count > count + 5)  # type: ignore[misc]
        assert len(tries) == number
        clock.now += longest
    await owner.close(60)
    assert len(tries) == 3
    assert lines(caplog) == []


def test_a_backoff_doubles_up_to_a_limit_with_jitter() -> None:
    found = [backoff(tries, 0.5, 30.0) for tries in (1, 2, 6, 7, 99) for _ in range(20)]
    expected = [0.5, 1.0, 16.0, 30.0, 30.0]
    assert all(
        expected[place // 20] / 2 <= pause <= expected[place // 20]
        for place, pause in enumerate(found)
    )


class _Odd(BaseException):
    pass


@pytest.mark.parametrize("error", [OSError, SystemExit, StopIteration, _Odd, TimeoutError])
@pytest.mark.parametrize("plain", [True, False])
async def test_the_last_failure_is_logged_without_its_text(
    make: Make, caplog: pytest.LogCaptureFixture, error: type[BaseException], plain: bool
) -> None:
    owner = make()
    tries: list[int] = []

    def fails(number: str) -> None:
        tries.append(1)
        raise error(number)

    async def fails_too(number: str) -> None:
        fails(number)

    after = owner.of_call()
    after(fails if plain else fails_too, "777")
    after.release()
    await owner.close(60)
    assert len(tries) == TRIES
    (line,) = lines(caplog)
    assert f"failed after {TRIES} tries: " in line
    assert "777" not in caplog.text
    assert "in fails" in caplog.text or error is StopIteration  # which a coroutine cannot raise


async def test_a_cancelled_error_of_the_job_is_a_failure(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    owner = make()

    async def cancels() -> None:
        raise asyncio.CancelledError

    after = owner.of_call()
    after(cancels)
    after.release()
    await owner.close(60)
    assert "CancelledError" in lines(caplog)[0]


async def test_a_timeout_is_a_failure(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    owner = make(limit=0.01)
    after = owner.of_call()
    after(asyncio.Event().wait)
    after.release()
    await owner.close(60)
    assert f"after {TRIES} tries: TimeoutError" in lines(caplog)[0]


async def test_max_concurrency_does_not_count_jobs_between_two_tries(
    make: Make,
) -> None:
    owner = make(max_concurrency=2, monotonic=Clock(NOW), in_process=IN_PROCESS)
    go = asyncio.Event()
    running: list[int] = []
    failed: list[int] = []

    async def work(number: int) -> None:
        running.append(number)
        await go.wait()

    async def fails() -> None:
        failed.append(1)
        raise OSError

    after = owner.of_call()
    for _ in range(5):
        after(fails)
    after.release()
    await soon(lambda: len(failed) == 5)
    for number in range(4):
        after(work, number)
    await soon(lambda: len(running) == 2)
    await asyncio.sleep(0)
    assert running == [0, 1]
    go.set()
    await soon(lambda: len(running) == 4)


async def test_jobs_past_the_bound_are_dropped_with_a_log_line(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    owner = make(waiting=3)
    go = asyncio.Event()
    after = owner.of_call()
    for _ in range(5):
        after(go.wait)
    after.release()
    said = "ERROR asyncio.locks:Event.wait is dropped: 3 others wait already"
    assert lines(caplog) == [said] * 2
    go.set()
    await owner.close(60)
    assert lines(caplog) == [said] * 2


async def test_closing_waits_within_its_limit_and_logs_unfinished_jobs(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    owner = make()
    ended: list[str] = []

    async def stuck() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async def quick() -> None:
        await asyncio.sleep(0)
        ended.append("quick")

    after = owner.of_call()
    after(stuck)
    after(quick)
    after.release()
    await owner.close(0.1)
    assert ended == ["quick", "cancelled"]
    (line,) = lines(caplog)
    assert line.startswith("ERROR ")
    assert line.endswith(".stuck is left undone: the service ends")
    after(quick)
    await asyncio.sleep(0)
    assert lines(caplog)[1].endswith("is dropped: the service ends")


async def test_closing_runs_the_jobs_that_wait(make: Make) -> None:
    owner = make(max_concurrency=1, in_process=replace(IN_PROCESS, first=0.01))
    done: list[int] = []

    async def fails_once(number: int) -> None:
        done.append(number)
        if done.count(number) == 1:
            raise OSError

    after = owner.of_call()
    for number in range(3):
        after(fails_once, number)
    after.release()
    await owner.close(60)
    assert sorted(done) == [0, 0, 1, 1, 2, 2]


async def test_closing_logs_each_job_that_waits_or_is_between_two_tries(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    owner = make(max_concurrency=1, in_process=IN_PROCESS, monotonic=Clock(NOW))
    failed = asyncio.Event()

    async def fails() -> None:
        failed.set()
        raise OSError

    after = owner.of_call()
    after(fails)
    after.release()
    await failed.wait()
    for _ in range(2):
        after(asyncio.Event().wait)
    await owner.close(0.05)
    said = [line.partition(":")[2].rpartition(".")[2] for line in lines(caplog)]
    assert (
        said
        == ["fails is left undone: the service ends"]
        + ["wait is left undone: the service ends"] * 2
    )


@pytest.mark.parametrize("sensitive", [False, True])
async def test_an_exception_of_a_sensitive_action_has_no_text(
    make: Make, caplog: pytest.LogCaptureFixture, sensitive: bool
) -> None:
    owner = make(log_caller_data=True)

    def bill(digits: str) -> None:
        raise ValueError(f"no account {digits}")

    after = owner.of_call(sensitive=sensitive)
    after(bill, "472193")
    after.release()
    await owner.close(60)
    assert f"failed after {IN_PROCESS.tries} tries: ValueError" in caplog.text
    assert ("472193" in caplog.text) is not sensitive
