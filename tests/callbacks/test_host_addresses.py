"""Host names among the allowed sources: looked up in a thread, refreshed, and never waited for."""

import logging
import socket
import threading
from ipaddress import ip_address
from typing import Any

import httpx
import pytest

from receiver import Settings
from receiver.callbacks import host_addresses
from receiver.callbacks.host_addresses import (
    MIN_INTERVAL,
    REFRESH_INTERVAL,
    HostAddresses,
    addresses_of,
)
from tests.clock import Clock
from tests.support import FIELDS, SECRET, Counted, make_app

OLD, NEW = ip_address("203.0.113.7"), ip_address("203.0.113.8")


class Dns:
    """A resolver with fixed names that counts its queries."""

    def __init__(self, **known: list[str]) -> None:
        self.known = known
        self.asked = 0

    def __call__(self, name: str) -> list[str]:
        self.asked += 1
        if name not in self.known:
            raise socket.gaierror(-2, "Name or service not known")
        return self.known[name]


def holds(addresses: HostAddresses, address: Any) -> bool:
    """Whether it does once the look-up has ended that the question may have begun."""
    found = address in addresses
    addresses.wait(60)
    return found


def test_names_are_looked_up_at_once_and_stay_fresh() -> None:
    dns, clock = Dns(pbx=["203.0.113.7", "::ffff:203.0.113.8", "fe80::1%eth0"]), Clock(1000.0)
    addresses = HostAddresses(["pbx"], lookup=dns, clock=clock)
    addresses.wait(60)
    for address in (OLD, NEW, ip_address("fe80::1")):
        assert holds(addresses, address)
    clock.now += REFRESH_INTERVAL - 1
    assert holds(addresses, OLD)
    assert dns.asked == 1


def test_addresses_are_refreshed_off_the_request_path() -> None:
    dns, clock = Dns(pbx=[str(OLD)]), Clock(1000.0)
    addresses = HostAddresses(["pbx"], lookup=dns, clock=clock)
    addresses.wait(60)
    dns.known["pbx"] = [str(NEW)]
    clock.now += REFRESH_INTERVAL
    assert holds(addresses, OLD)  # by what was known when it asked
    assert (holds(addresses, OLD), holds(addresses, NEW), dns.asked) == (False, True, 2)


def test_an_unknown_address_has_names_looked_up_sooner_but_not_each_time() -> None:
    dns, clock = Dns(pbx=[str(OLD)]), Clock(1000.0)
    addresses = HostAddresses(["pbx"], lookup=dns, clock=clock)
    addresses.wait(60)
    dns.known["pbx"] = [str(NEW)]
    for _ in range(100):
        assert not holds(addresses, NEW)
    assert dns.asked == 1
    clock.now += MIN_INTERVAL
    assert not holds(addresses, NEW)
    assert holds(addresses, NEW)
    assert dns.asked == 2


def test_a_name_that_cannot_be_resolved_keeps_its_addresses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    dns, clock = Dns(pbx=[str(OLD)]), Clock(1000.0)
    with caplog.at_level(logging.INFO, "receiver"):
        addresses = HostAddresses(["pbx", "gone"], lookup=dns, clock=clock)
        addresses.wait(60)
        del dns.known["pbx"]
        clock.now += REFRESH_INTERVAL
        assert holds(addresses, OLD)
        assert holds(addresses, OLD)
    assert "gone cannot be resolved, none is allowed yet (gaierror)" in caplog.text
    assert "pbx cannot be resolved, its last addresses stay allowed" in caplog.text
    assert caplog.text.count("the host names have the addresses 203.0.113.7") == 1


def test_nothing_waits_for_the_dns() -> None:
    going, let_go, threads = threading.Event(), threading.Event(), set[int]()

    def slow(name: str) -> list[str]:
        threads.add(threading.get_ident())
        going.set()
        let_go.wait(60)
        return [str(OLD)]

    clock = Clock(1000.0)
    addresses = HostAddresses(["pbx"], lookup=slow, clock=clock)
    assert going.wait(60)
    for _ in range(10):
        clock.now += 2 * REFRESH_INTERVAL
        assert OLD not in addresses
    addresses.wait(0)
    let_go.set()
    addresses.wait(60)
    assert len(threads) == 1
    assert threading.get_ident() not in threads
    assert holds(addresses, OLD)


def test_without_names_there_is_nothing_to_look_up() -> None:
    assert OLD not in HostAddresses([], lookup=Dns())


async def test_a_host_name_is_an_allowed_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host_addresses, "_ask_dns", Dns(**{"pbx.example": ["192.0.2.7"]}))
    settings = Settings.read(
        {"RECEIVER_SECRET": SECRET.reveal(), "RECEIVER_ALLOWED_SOURCES": "pbx.example"}, None
    )
    app = make_app(Counted(), settings)
    addresses_of(("pbx.example",)).wait(60)
    for client, status in (("192.0.2.7", 200), ("192.0.2.8", 403)):
        transport = httpx.ASGITransport(app, client=(client, 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as http:
            answer = await http.post("/action/888/post-open", json=FIELDS)
            assert answer.status_code == status
    addresses_of.cache_clear()


def test_all_addresses_of_a_name_are_looked_up() -> None:
    assert "127.0.0.1" in host_addresses._ask_dns("localhost")
