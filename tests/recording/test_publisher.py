"""Callbacks published to the console: masked, bounded, and no callback waits."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from receiver import Call, CallEvent, CallTarget, Forward, Receiver, Reply, Settings
from receiver.callbacks.observer import Times
from receiver.dispatch.dispatcher import Decision
from receiver.recording import publisher
from receiver.recording.masking import Masker
from receiver.recording.publisher import Message, Publisher, make_sockets, read
from receiver.server.uvicorn_server import running
from tests.recording.recorded_actions import ANSWER, action, make_ivr
from tests.support import FIELDS, SECRET

CALL = Call(caller="+4930123456", ivr="8000", digits="1742", session_id="s", caller_name="Ann")
TIMES = Times(10, 11, 12.5, 14, 15)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    workers, console = make_sockets()
    with workers, console:
        console.setblocking(False)
        yield workers, console


def make(end: socket.socket, **more: Any) -> Publisher:
    return Publisher(end, SECRET, make_ivr(), {}, clock=lambda: 1000.0, **more)


def publish(made: Publisher, call: Call = CALL, reply: Reply = ANSWER, name: str = "pick") -> None:
    made.of(action(name))(call, Decision(reply, "handled"), TIMES)


def messages_of(console: socket.socket) -> list[Message]:
    return list(read(console))


def test_a_callback_is_published_masked(ends: tuple[socket.socket, socket.socket]) -> None:
    workers, console = ends
    publish(made := make(workers))
    made.close()
    [message] = messages_of(console)
    [one] = message.callbacks
    assert (message.worker, message.lost) == (os.getpid(), 0)
    assert (one.arrived, one.authentication, one.body, one.budget) == (995.0, 1.0, 1.5, 2.0)
    assert (one.record.action, one.record.seconds, one.record.handler) == ("8000/pick", 5.0, 1.5)
    for text in ("1742", "30123456", "Ann"):
        assert text not in repr(message)


def test_caller_data_is_shown_except_for_sensitive_actions(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    workers, console = ends
    made = make(workers, caller_data=True)
    publish(made)
    publish(made, name="pin")
    made.close()
    pick, pin = (one.record for message in messages_of(console) for one in message.callbacks)
    assert (pick.digits, pick.caller_name) == ("1742", "Ann")
    assert "1742" not in repr(pin)


@pytest.mark.parametrize(
    ("name", "to", "shown"),
    [("pick", "222", True), ("pick", "2229", False), ("pin", "222", False)],
)
def test_a_declared_destination_is_not_masked(
    ends: tuple[socket.socket, socket.socket], name: str, to: str, *, shown: bool
) -> None:
    workers, console = ends
    publish(made := make(workers), Call(digits="22"), Forward(to), name)
    made.close()
    [message] = messages_of(console)
    assert (message.callbacks[0].record.destination == to) is shown


def test_many_go_together_and_in_order(ends: tuple[socket.socket, socket.socket]) -> None:
    workers, console = ends
    made = make(workers)
    for number in range(50):
        publish(made, Call(digits="1742", session_id=str(number)))
    made.close()
    sizes = [len(message.callbacks) for message in messages_of(console)]
    assert sum(sizes) == 50
    assert max(sizes) <= publisher.BATCH


def test_no_callback_waits_for_a_console_that_does_not_read(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    workers, console = ends
    made = make(workers, send_timeout=0.02, max_waiting=100)
    with contextlib.suppress(TimeoutError):
        while True:
            workers.send(b"nonsense")
    answered = made.of(action("pick"))
    for _ in range(5000):  # the thread of the callbacks does not wait
        answered(CALL, Decision(ANSWER, "handled"), TIMES)
    messages = messages_of(console)  # the console reads again
    publish(made)
    made.close()
    messages += messages_of(console)
    many = sum(len(message.callbacks) for message in messages)
    lost = sum(message.lost for message in messages)
    assert 0 < many < 5000
    assert lost > 0


def test_a_console_that_is_gone_costs_nothing(ends: tuple[socket.socket, socket.socket]) -> None:
    workers, console = ends
    console.close()
    made = make(workers)
    for _ in range(10):
        publish(made)
    made.close()


def test_what_is_not_ours_is_passed_over(ends: tuple[socket.socket, socket.socket]) -> None:
    workers, console = ends
    workers.send(b"nonsense")
    publish(made := make(workers))
    made.close()
    assert len(messages_of(console)) == 1


async def test_an_app_publishes_its_callbacks(ends: tuple[socket.socket, socket.socket]) -> None:
    workers, console = ends
    app = Receiver(make_ivr(), settings=Settings(secret=SECRET))
    app.publish_to(workers)
    async with running(app) as url, httpx.AsyncClient(base_url=url) as http:
        assert (await http.post("/action/8000/pick", json=FIELDS)).status_code == 200
    [message] = messages_of(console)
    assert message.callbacks[0].record.action == "8000/pick"


def test_events_are_published_masked(ends: tuple[socket.socket, socket.socket]) -> None:
    person = CallTarget("4930123456", status="answered", talk_duration=12.0)
    for shown in (False, True):
        workers, console = ends
        publish(made := make(workers.dup() if not shown else workers, caller_data=shown))
        made.event(CallEvent("call_ended", session_id="s", caller="102", targets=(person,)))
        made.event(CallEvent("call_missed", session_id="s"))
        made.event(CallEvent("call_ended"))
        made.close()
        messages = messages_of(console)
        (event,) = (one for message in messages for one in message.events)
        (callback,) = (one for message in messages for one in message.callbacks)
        assert event.session == callback.record.session
        assert (event.kind, event.target) == ("call_ended", "<10>")  # an action is sensitive
        assert (event.talk, event.missed) == (12.0, False)


def test_events_that_the_console_does_not_read_are_counted(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    workers, console = ends
    made = make(workers, send_timeout=0.02, max_waiting=100)
    with contextlib.suppress(TimeoutError):
        while True:
            workers.send(b"nonsense")
    for _ in range(5000):
        made.event(CallEvent("call_ended", session_id="s"))
    messages = messages_of(console)  # the console reads again
    publish(made)
    made.close()
    messages += messages_of(console)
    assert sum(message.lost for message in messages) > 0


def test_the_number_of_a_target_is_shown_if_no_action_is_sensitive() -> None:
    for shown, number in ((True, "4930123456"), (False, "<10>")):
        assert Masker(b"key", (), caller_data=shown).number("", "4930123456") == number
