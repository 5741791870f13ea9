"""The guard against a simulated PBX and a real app, with a clock that is moved by hand."""

from __future__ import annotations

import asyncio
import logging
import ssl

import httpx
import pytest

from receiver import Call, Ivr, Receiver, Reply, Secret, Settings
from receiver.errors import RegistrationError
from receiver.pbx.access_tokens import GivenToken
from receiver.pbx.models import write
from receiver.pbx.pbx_client import PbxClient
from receiver.registration.desired import desired_action_urls
from receiver.registration.failover_drain import OFF, ON, switch
from receiver.registration.failover_guard import Guard, GuardConfig
from receiver.registration.failover_rules import Rules
from receiver.registration.failover_switch import mark_of
from receiver.registration.probe import make_callback_client
from receiver.storage.breaker import StoreError
from receiver.storage.leases import HeldLease
from receiver.storage.memory import UnsharedLease
from tests.simulated_pbx import TOKEN, Killed, Stage

BASE = "https://ivr.example.com"
SECRET = Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")
ROUND = 3.0


async def handler(call: Call) -> Reply:
    raise AssertionError("a guard runs no handler")


sales = Ivr("8000")
sales.add("DTMF", "1;2", handler, name="pick")
sales.add("DTMF", "3", handler, name="keyed", auth="digest")
sales.add("CALLER", "100-199", handler, name="known", method="GET", auth="basic")
sales.add("DTMF", "9", handler, name="rests", enabled=False)
NAMES = {"pick", "keyed", "known"}
WANTED = desired_action_urls(sales, BASE, SECRET)


class Network(httpx.AsyncBaseTransport):
    """The network of a guard; it can be disconnected."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.inner = inner
        self.cut = False
        self.asked = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked += 1
        if self.cut:
            raise httpx.ConnectError("refused", request=request)
        return await self.inner.handle_async_request(request)


class Shared:
    """A lease, held by one of many."""

    owner: object = None
    down = False


class One(UnsharedLease):
    """A guard that requests the lease."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    async def take(self, life: float) -> bool:
        if self._shared.down:
            raise StoreError("ConnectionRefusedError")
        self._shared.owner = self._shared.owner or self
        return self._shared.owner is self

    async def leave(self) -> None:
        if self._shared.owner is self:
            self._shared.owner = None


def serve(secret: Secret = SECRET, epoch: int = 1) -> httpx.ASGITransport:
    settings = Settings(secret=secret, public_url=BASE, epoch=epoch)
    return httpx.ASGITransport(Receiver(sales, settings=settings))


class World:
    """A PBX, the service, and guards of it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.stage = Stage("8000")
        for want in WANTED:
            self.stage.pbx.action_urls(self.stage.ivr("8000").id).create(write(want.action))
        self.stage.add("8000", name="crm", url="https://crm.example.com/hook", dtmf_mask="77")
        self.service = Network(serve())
        self.pbx = Network(self.stage.transport)

    def client(self) -> PbxClient:
        async def no_sleep(seconds: float) -> None: ...

        token = GivenToken(Secret(TOKEN))
        return PbxClient("http://localhost", token, transport=self.pbx, sleep=no_sleep)

    def guard(self, lease: UnsharedLease | None = None) -> Guard:
        hold = HeldLease(lease or UnsharedLease(), clock=self.clock)
        callbacks = make_callback_client(self.service)
        config = GuardConfig(WANTED, BASE, SECRET, rules=Rules(), epoch=1)
        return Guard(config, self.client(), callbacks, hold, clock=self.clock)

    def clock(self) -> float:
        return self.now

    async def rounds(self, count: int, *guards: Guard) -> None:
        for _ in range(count):
            for guard in guards:
                await guard.renew()
                await guard.round()
            self.now += ROUND

    def enabled(self) -> set[str]:
        return {item.name for item in self.stage.action_urls("8000") if item.enabled}

    @property
    def menu(self) -> bool:
        """Whether the IVR's own menu handles the keys."""
        return self.stage.pbx.fires("8000", "DTMF", "1") is None

    def writes(self) -> int:
        return sum(line.startswith("POST") for line in self.stage.transport.sent)


def texts(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "receiver"]


async def test_down_and_up_again(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    world = World()
    guard = world.guard()
    await world.rounds(10, guard)
    assert world.writes() == 0
    world.service.cut = True
    await world.rounds(4, guard)
    assert not world.menu  # nine seconds
    await world.rounds(1, guard)
    assert world.menu
    assert world.enabled() == {"crm"}
    world.service.cut = False
    await world.rounds(9, guard)
    assert world.menu  # 30 seconds have not passed since
    await world.rounds(1, guard)
    assert world.enabled() == {"crm"} | NAMES
    assert {mark_of(item) for item in world.stage.action_urls("8000")} == {""}
    said = [line for line in texts(caplog) if "switched" in line]
    assert said == [
        f"3 action URLs of {BASE} on the PBX switched off, it does not answer as it should",
        f"3 action URLs of {BASE} on the PBX switched on, it is healthy",
    ]


async def test_a_new_guard_switches_on_what_the_previous_one_switched_off() -> None:
    world = World()
    world.service.cut = True
    await world.rounds(5, world.guard())
    world.service.cut = False
    await world.rounds(3, world.guard())
    assert world.enabled() == {"crm"} | NAMES


async def test_drained_action_urls_stay_off() -> None:
    world = World()
    guard = world.guard()
    await world.rounds(3, guard)
    async with world.client() as client:
        await switch(client, WANTED, BASE, OFF, "drain")
    await world.rounds(50, guard, world.guard())
    assert world.enabled() == {"crm"}
    world.service.cut = True
    await world.rounds(10, guard)
    world.service.cut = False
    await world.rounds(30, guard)
    assert world.enabled() == {"crm"}
    async with world.client() as client:
        await switch(client, WANTED, BASE, ON, "drain")
    await world.rounds(30, guard)
    assert world.enabled() == {"crm"} | NAMES


async def test_an_action_url_enabled_while_the_service_is_down_is_disabled_again() -> None:
    world = World()
    guard = world.guard()
    world.service.cut = True
    await world.rounds(5, guard)
    async with world.client() as client:
        await switch(client, WANTED, BASE, ON, "drain")
    await world.rounds(21, guard)
    assert world.menu


# the guard's own troubles --------------------------------------------------------------------


async def test_a_disconnected_guard_counts_no_failures(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    guard = world.guard()
    await world.rounds(3, guard)
    world.service.cut = world.pbx.cut = True
    await world.rounds(40, guard)
    world.pbx.cut = False  # the PBX is reachable a moment before the service
    world.now += 60
    await world.rounds(4, guard)
    world.service.cut = False
    await world.rounds(30, guard)
    assert world.writes() == 0
    assert texts(caplog).count("the PBX is within reach again") == 1
    assert 2 <= len([line for line in texts(caplog) if "cannot be switched" in line]) <= 4


async def test_a_pbx_that_is_down_is_tried_later_and_later() -> None:
    world = World()
    guard = world.guard()
    world.service.cut = world.pbx.cut = True
    await world.rounds(20, guard)
    early, world.pbx.asked = world.pbx.asked, 0
    await world.rounds(20, guard)
    assert 0 < world.pbx.asked < early
    world.pbx.cut = False
    await world.rounds(15, guard)
    assert world.menu


async def test_a_pbx_that_refuses_is_retried_until_it_accepts(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = World()
    guard = world.guard()
    inner, refused = world.pbx.inner, 0

    async def refuse(request: httpx.Request) -> httpx.Response:
        nonlocal refused
        if request.method == "POST" and refused < 4:
            refused += 1
            if refused > 1:  # the first one succeeds
                return httpx.Response(403)
        return await inner.handle_async_request(request)

    world.pbx.inner = httpx.MockTransport(refuse)
    world.service.cut = True
    await world.rounds(60, guard)
    assert world.enabled() == {"crm"}
    said = [line for line in texts(caplog) if "switched off" in line]
    assert len(said) == 2
    assert said[0].startswith("1 action URL of")
    assert said[0].endswith("; not all of them yet")
    assert said[1].startswith("2 action URLs")
    assert len([line for line in texts(caplog) if "may not do this" in line]) <= 3
    assert texts(caplog).count("the PBX is within reach again") == 1


@pytest.mark.parametrize(
    ("secret", "epoch"), [("e81b5c3f70a94d26b3f7091ac5d64e28", 1), (SECRET.reveal(), 3)]
)
async def test_a_service_that_refuses_this_guard_is_alive(
    secret: str, epoch: int, caplog: pytest.LogCaptureFixture
) -> None:
    world = World()
    world.service.inner = serve(Secret(secret), epoch)
    guard = world.guard()
    await world.rounds(100, guard)
    assert world.service.asked == 1  # more would block this address, which the PBX may share
    world.service.inner = serve()
    await world.rounds(4, guard)
    assert world.service.asked == 5  # digest asks twice
    assert world.writes() == 0
    assert any("says nothing about the PBX's callbacks" in line for line in texts(caplog))


async def test_an_authority_that_only_the_pbx_may_know_is_no_failure() -> None:
    """A guard without the file of a private authority must not disable a working service."""

    def refuse(request: httpx.Request) -> httpx.Response:
        error = ssl.SSLCertVerificationError(1, "certificate verify failed")
        error.verify_message = "unable to get local issuer certificate"
        raise httpx.ConnectError("certificate verify failed") from error

    world = World()
    guard = world.guard()
    healthy, world.service.inner = world.service.inner, httpx.MockTransport(refuse)
    await world.rounds(10, guard)
    assert world.writes() == 0
    world.service.inner = healthy
    await world.rounds(1, guard)
    world.service.inner = httpx.MockTransport(refuse)  # this machine knew the authority of before
    await world.rounds(5, guard)
    assert world.menu


async def test_a_service_of_another_epoch_is_named(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.service.inner = serve(epoch=3)
    await world.rounds(2, world.guard())
    assert any("the service has RECEIVER_EPOCH=3, this command has 1" in x for x in texts(caplog))


async def test_a_service_of_the_next_epoch_is_healthy() -> None:
    world = World()
    guard = world.guard()
    world.service.inner = serve(epoch=2)
    async with world.client() as client:
        await switch(client, WANTED, BASE, OFF, "guard")
    await world.rounds(3, guard)
    assert world.enabled() == {"crm"} | NAMES


async def test_one_broken_action_url_switches_nothing_off() -> None:
    world = World()
    inner = serve()

    async def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("keyed"):
            return httpx.Response(404)
        return await inner.handle_async_request(request)

    world.service.inner = httpx.MockTransport(answer)
    await world.rounds(40, world.guard())
    assert world.writes() == 0


def test_nothing_to_guard() -> None:
    with pytest.raises(RegistrationError, match="nothing to guard"):
        GuardConfig(WANTED[-1:], BASE, SECRET)


# killed, and followed ------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("off", [True, False], ids=["off", "on"])
async def test_killed_at_every_request_the_next_guard_goes_on(off: bool, after: bool) -> None:
    async def make() -> World:
        world = World()
        if not off:
            async with world.client() as client:
                await switch(client, WANTED, BASE, OFF, "guard")
        world.service.cut = off
        world.stage.transport.sent.clear()
        return world

    whole = await make()
    await whole.rounds(5, whole.guard())
    assert whole.enabled() == {"crm"} | (set() if off else NAMES)
    for number in range(1, len(whole.stage.transport.sent) + 1):
        world = await make()
        world.stage.transport.kill, world.stage.transport.after = number, after
        with pytest.raises(Killed):
            await world.rounds(5, world.guard())
        await world.rounds(5, world.guard())
        assert world.enabled() == whole.enabled(), f"request {number}"
        world.service.cut = False  # no leftover may keep calls from the service
        await world.rounds(3, world.guard())
        assert world.enabled() == {"crm"} | NAMES


async def test_only_the_holder_asks_and_the_next_one_begins_anew(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    world, shared = World(), Shared()
    leases = One(shared), One(shared)
    first, second = map(world.guard, leases)
    world.service.cut = True
    await world.rounds(3, first, second)
    assert world.service.asked == 3
    assert texts(caplog).count("the lease on the PBX is not held: guard on standby") == 1
    await leases[0].leave()
    await world.rounds(4, second, first)
    assert not world.menu  # what the first one saw does not count
    await leases[1].leave()
    await world.rounds(4, first, second)
    assert not world.menu  # nor what it saw long ago
    await world.rounds(1, first, second)
    assert world.menu
    assert world.service.asked == 12


async def test_a_lost_lease_ends_it_in_the_middle(caplog: pytest.LogCaptureFixture) -> None:
    world, shared = World(), Shared()
    guard = world.guard(One(shared))
    world.service.cut = True
    await world.rounds(4, guard)
    inner = world.pbx.inner

    async def slow(request: httpx.Request) -> httpx.Response:
        answer = await inner.handle_async_request(request)
        if request.method == "POST":
            world.now += 16.0
        return answer

    world.pbx.inner = httpx.MockTransport(slow)
    await world.rounds(1, guard)
    assert len(world.enabled()) == 3  # one of three
    shared.owner = object()
    await world.rounds(30, guard)
    assert len(world.enabled()) == 3
    assert "the lease on the PBX is lost: guard on standby" in texts(caplog)


async def test_a_store_that_is_down_stops_it_when_the_lease_ends() -> None:
    world, shared = World(), Shared()
    guard = world.guard(One(shared))
    await world.rounds(1, guard)
    shared.down = world.service.cut = True
    await world.rounds(30, guard)
    assert world.writes() == 0
    shared.down = False
    await world.rounds(5, guard)
    assert world.menu


# as a process --------------------------------------------------------------------------------


@pytest.mark.parametrize("restore", [False, True])
async def test_the_end_leaves_things_as_they_are_or_restores_them(restore: bool) -> None:
    world, shared = World(), Shared()
    async with world.client() as client:
        await switch(client, WANTED, BASE, OFF, "guard")
    lease, slept = One(shared), asyncio.Event()
    world.service.cut = True

    async def sleep(seconds: float) -> None:
        slept.set()
        await asyncio.Event().wait()

    guard = Guard(
        GuardConfig(WANTED, BASE, SECRET),
        world.client(),
        make_callback_client(world.service),
        HeldLease(lease),
        sleep=sleep,
    )
    stop = asyncio.Event()
    running = asyncio.create_task(guard.run(stop, restore=restore))
    await slept.wait()
    stop.set()
    await running
    assert world.menu is not restore
    assert shared.owner is None


async def test_an_internal_error_ends_the_guard_and_is_not_hidden(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world, shared = World(), Shared()
    guard = world.guard(One(shared))

    async def fail() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(guard, "round", fail)
    with pytest.raises(ZeroDivisionError):
        await guard.run(asyncio.Event())
    assert shared.owner is None
