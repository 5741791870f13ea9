"""Handlers that end the event loop: callers in progress get the fallback first."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import uvloop

from receiver import Call, Forward, Ivr, Receiver, Reply, Secret, Settings
from receiver.observability.callback_record import Record
from receiver.server.sockets import bind
from receiver.server.uvicorn_server import Server, configure
from tests.support import SETTINGS

NewLoop = Callable[[], asyncio.AbstractEventLoop]
FALLBACK = b'"action":"call","destination":"0"}'


def exit_in_a_child_task() -> None:
    async def leave() -> None:
        raise SystemExit(1)

    _kept.append(asyncio.get_running_loop().create_task(leave()))


def cancel_all_tasks() -> None:
    for task in asyncio.all_tasks():
        task.cancel()


def stop_the_loop() -> None:
    asyncio.get_running_loop().stop()


def interrupt_from_a_callback() -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    asyncio.get_running_loop().call_soon(interrupt)


_kept: list[asyncio.Task[None]] = []
ENDS = (exit_in_a_child_task, cancel_all_tasks, stop_the_loop, interrupt_from_a_callback)


class Service(threading.Thread):
    """A server in a separate thread, with a handler that waits and one that ends it."""

    def __init__(
        self, new_loop: NewLoop, end: Callable[[], None], settings: Settings = SETTINGS
    ) -> None:
        super().__init__(daemon=True)
        self.asked = threading.Semaphore(0)
        self._new_loop, self._end = new_loop, end
        ivr = Ivr("888", fallback=Forward("0"))
        ivr.add("DTMF", "1", self._wait, name="wait", method="GET", auth=None)
        ivr.add("DTMF", "2", self._finish, name="end", method="GET", auth=None)
        self.listener = bind("127.0.0.1", 0)
        self._server = Server(configure(Receiver(ivr, settings=settings)))

    def run(self) -> None:
        end = (SystemExit, KeyboardInterrupt, asyncio.CancelledError, RuntimeError)
        with contextlib.suppress(*end), asyncio.Runner(loop_factory=self._new_loop) as runner:
            runner.run(self._server.serve([self.listener]))

    async def _wait(self, call: Call) -> Reply:
        self.asked.release()
        await asyncio.Event().wait()
        raise AssertionError

    async def _finish(self, call: Call) -> Reply:
        self._end()
        await asyncio.sleep(10)
        raise AssertionError

    def ask(self, name: str) -> socket.socket:
        line = socket.create_connection(self.listener.getsockname(), timeout=60)
        line.sendall(b"GET /action/888/%b?input=1 HTTP/1.1\r\nHost: x\r\n\r\n" % name.encode())
        return line


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def new_loop(request: pytest.FixtureRequest) -> Iterator[NewLoop]:
    yield request.param
    _kept.clear()


@pytest.mark.parametrize("is_shared", [False, True], ids=["memory", "shared"])
@pytest.mark.parametrize("end", ENDS, ids=lambda end: end.__name__)
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_callers_in_progress_get_the_fallback(
    end: Callable[[], None],
    new_loop: NewLoop,
    is_shared: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Each callback is logged once, and nothing is written to a connection that is closed."""
    caplog.set_level("INFO")
    settings = replace(
        SETTINGS, store=Secret(str(tmp_path / "store.db")) if is_shared else Secret("")
    )
    service = Service(new_loop, end, settings)
    service.start()
    lines = [service.ask("wait") for _ in range(3)]
    for _ in lines:
        assert service.asked.acquire(timeout=60)
    lines.append(service.ask("end"))
    for line in lines:
        assert line.recv(4096).endswith(FALLBACK)
        line.close()
    service.join(60)
    assert not service.is_alive()
    service.listener.close()
    assert [one.msg.decision for one in caplog.records if isinstance(one.msg, Record)] == [
        "call"
    ] * 4
    assert not [one for one in caplog.messages if "Exception in callback" in one]
