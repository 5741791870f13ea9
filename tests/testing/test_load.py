"""Many calls at once: what is counted, what is measured, and what is not loaded by mistake."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from receiver import Call, Forward, Ivr, Receiver, Reply
from receiver.errors import SettingsError
from receiver.simulator.line import LineError, PhoneCall
from receiver.testing import Faults, Phone
from receiver.testing.load import Load, check_target, load, percentile


def make() -> Receiver:
    async def pick(call: Call) -> Reply:
        return Forward("222")

    ivr = Ivr("8000")
    ivr.add("DTMF", "1", pick)
    return Receiver(ivr)


async def test_every_call_is_counted() -> None:
    async with Phone(make()) as phone:
        done = await load(lambda: phone.dial("8000"), ["9", "1", "1"], rate=1000, seconds=0.05)
    assert (done.calls, done.callbacks, done.in_time) == (50, 50, 1.0)
    assert done.decisions == Counter({"forwarded to 222": 50})
    assert list(done.took) == sorted(done.took)
    assert len(done.took) == len(done.shares) == 50
    assert done.seconds > 0.049


async def test_what_fails_is_not_in_time() -> None:
    async with Phone(make()) as phone:
        phone.faults = Faults(refused=True)
        done = await load(lambda: phone.dial("8000"), ["1"], rate=1000, seconds=0.01)
    assert (done.callbacks, done.in_time, done.took) == (10, 0.0, ())
    assert [line for line in done.lines() if "is overloaded" not in line] == [
        f"10 calls in {done.seconds:.1f} s, 10 callbacks",
        "answered in time: 0, 0.00%",
        "     10  failed: the connection was refused",
    ]


async def test_calls_do_not_wait_for_those_before_them() -> None:
    begun, all_begun = 0, asyncio.Event()

    async def dial() -> PhoneCall:
        nonlocal begun
        begun += 1
        if begun == 5:
            all_begun.set()
        await all_begun.wait()  # sequential calls would never end
        return await phone.dial("8000")

    async with Phone(make()) as phone:
        done = await asyncio.wait_for(load(dial, ["1"], rate=100, seconds=0.05), 60)
    assert done.callbacks == 5


async def test_an_ivr_that_is_not_there_ends_it() -> None:
    async def dial() -> PhoneCall:
        raise LineError("no such IVR")

    with pytest.raises(LineError, match="no such IVR"):
        await load(dial, [], rate=10, seconds=1)


def test_the_report() -> None:
    took = tuple(n / 1000 for n in range(1, 101))
    shares = tuple(one / 2 for one in took)
    done = Load(120, 2.0, took, shares, Counter({"hung up": 100, "failed: x": 20}), 120, 0.2)
    assert done.lines() == [
        "120 calls in 2.0 s, 120 callbacks",
        "answered in time: 100, 83.33%",
        "50 % within 50 ms, 95 % within 95 ms, 99 % within 99 ms, the slowest 100 ms; at most 5% "
        "of the deadline",
        "calls began up to 200 ms late: this machine is overloaded",
        "    100  hung up",
        "     20  failed: x",
    ]
    idle = Load(3, 1.0, (), (), Counter(), 0, 0.0)
    assert idle.in_time == 1
    assert idle.lines() == ["3 calls without a callback: do the keys match a mask?"]


@pytest.mark.parametrize(("percent", "wanted"), [(0, 1), (50, 2), (75, 3), (100, 4)])
def test_percentiles(percent: float, wanted: float) -> None:
    assert percentile((0.001, 0.002, 0.003, 0.004), percent) == pytest.approx(wanted)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000", "https://localhost", "http://[::1]:1/x", "http://127.9.9.9"]
)
def test_this_machine_may_be_loaded(url: str) -> None:
    check_target(url, remote=False)


@pytest.mark.parametrize(
    "url", ["http://ivr.example.com", "http://10.0.0.1:8000", "http://127.0.0.1.example.com"]
)
def test_another_machine_needs_remote(url: str) -> None:
    with pytest.raises(SettingsError, match="is another machine: add --remote"):
        check_target(url, remote=False)
    check_target(url, remote=True)


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000", "ftp://127.0.0.1", "http://", "http://[", "http://a:b"]
)
@pytest.mark.parametrize("remote", [True, False])
def test_what_is_no_url(url: str, remote: bool) -> None:
    with pytest.raises(SettingsError, match="--http needs a URL"):
        check_target(url, remote=remote)
