"""What workers tell the console: masked, bounded, and nobody waits."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from receiver import Call, Forward, Receiver, Reply, Settings
from receiver.console import telling
from receiver.console.telling import Message, Teller, lay, read
from receiver.dispatch.dispatcher import Decision
from receiver.serving.server import running
from receiver.telemetry.observing import Times
from tests.recordings.stage import ANSWER, action, make_ivr
from tests.support import FIELDS, SECRET

ASKED = Call(caller="+4930123456", ivr="8000", digits="1742", session_id="s", caller_name="Ann")
TIMES = Times(10, 11, 12.5, 14, 15)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    workers, console = lay()
    with workers, console:
        console.setblocking(False)
        yield workers, console


def make(end: socket.socket, **more: Any) -> Teller:
    return Teller(end, SECRET, make_ivr(), {}, clock=lambda: 1000.0, **more)


def tell(teller: Teller, call: Call = ASKED, reply: Reply = ANSWER, name: str = "pick") -> None:
    teller.of(action(name))(call, Decision(reply, "handled"), TIMES)


def told(console: socket.socket) -> list[Message]:
    return list(read(console))


def test_a_callback_is_told_masked(ends: tuple[socket.socket, socket.socket]) -> None:
    workers, console = ends
    tell(teller := make(workers))
    teller.close()
    [message] = told(console)
    [one] = message.callbacks
    assert (message.worker, message.lost) == (os.getpid(), 0)
    assert (one.arrived, one.authentication, one.body, one.budget) == (995.0, 1.0, 1.5, 2.0)
    assert (one.record.action, one.record.seconds, one.record.handler) == ("8000/pick", 5.0, 1.5)
    for text in ("1742", "30123456", "Ann"):
        assert text not in repr(message)


def test_aloud_but_for_what_is_sensitive(ends: tuple[socket.socket, socket.socket]) -> None:
    workers, console = ends
    teller = make(workers, caller_data=True)
    tell(teller)
    tell(teller, name="pin")
    teller.close()
    pick, pin = (one.record for message in told(console) for one in message.callbacks)
    assert (pick.digits, pick.caller_name) == ("1742", "Ann")
    assert "1742" not in repr(pin)


@pytest.mark.parametrize(
    ("name", "to", "shown"),
    [("pick", "222", True), ("pick", "2229", False), ("pin", "222", False)],
)
def test_a_destination_that_is_declared_is_told_as_it_is(
    ends: tuple[socket.socket, socket.socket], name: str, to: str, *, shown: bool
) -> None:
    workers, console = ends
    tell(teller := make(workers), Call(digits="22"), Forward(to), name)
    teller.close()
    [message] = told(console)
    assert (message.callbacks[0].record.destination == to) is shown


def test_many_go_together_and_in_order(ends: tuple[socket.socket, socket.socket]) -> None:
    workers, console = ends
    teller = make(workers)
    for number in range(50):
        tell(teller, Call(digits="1742", session_id=str(number)))
    teller.close()
    sizes = [len(message.callbacks) for message in told(console)]
    assert sum(sizes) == 50
    assert max(sizes) <= telling.AT_ONCE


def test_nobody_waits_for_a_console_that_does_not_read(
    ends: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telling, "PATIENCE", 0.02)
    monkeypatch.setattr(telling, "MOST", 100)
    workers, console = ends
    teller = make(workers)
    with contextlib.suppress(TimeoutError):
        while True:
            workers.send(b"nonsense")
    for _ in range(5000):
        tell(teller)  # this is the thread of the callbacks, and it gets here
    messages = told(console)  # it reads again
    tell(teller)
    teller.close()
    messages += told(console)
    many = sum(len(message.callbacks) for message in messages)
    lost = sum(message.lost for message in messages)
    assert 0 < many < 5000
    assert lost > 0


def test_a_console_that_is_gone_costs_nothing(ends: tuple[socket.socket, socket.socket]) -> None:
    workers, console = ends
    console.close()
    teller = make(workers)
    for _ in range(10):
        tell(teller)
    teller.close()


def test_what_is_not_ours_is_passed_over(ends: tuple[socket.socket, socket.socket]) -> None:
    workers, console = ends
    workers.send(b"nonsense")
    tell(teller := make(workers))
    teller.close()
    assert len(told(console)) == 1


async def test_an_app_tells(ends: tuple[socket.socket, socket.socket]) -> None:
    workers, console = ends
    app = Receiver(make_ivr(), settings=Settings(secret=SECRET))
    app.tell(workers)
    async with running(app) as url, httpx.AsyncClient(base_url=url) as http:
        assert (await http.post("/action/8000/pick", json=FIELDS)).status_code == 200
    [message] = told(console)
    assert message.callbacks[0].record.action == "8000/pick"
