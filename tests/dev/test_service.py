"""The service while its code changes: real children, without the command around them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from receiver.dev.messages import Ready, Report, Simulation
from receiver.dev.service import Service, ServiceOptions, State
from receiver.errors import LoadError, RegistrationError
from receiver.server.sockets import bind
from tests.dev.dev_process import is_alive

PATIENCE = 240.0
APP = """
from pathlib import Path
import os, time
from receiver import Call, Forward, Ivr, Receiver, Reply

Path(f"loading-{os.getpid()}").touch()
while Path("hold").exists():
    time.sleep(0.01)
ivr = Ivr("8000")

@ivr.dtmf("1", auth=None, request_timeout=30)
async def pick(call: Call) -> Reply:
    return Forward("222")

app = Receiver(ivr)
"""

REQUEST = (
    b"POST /action/8000/pick HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    b'Content-Length: 45\r\n\r\n{"from": "101", "input": "1", "session_id":7}'
)


class Stage:
    """A service with real child processes, its states and reports."""

    def __init__(self, folder: Path, listener: socket.socket, **options: float) -> None:
        self.folder = folder
        self.states: list[State] = []
        self.reports: list[Report] = []
        self.refuse = ""
        self.on_register: Callable[[], object] = bool
        self._wake = asyncio.Event()
        environ = {
            "RECEIVER_SECRET": "6d0f2c9ab17e4583f4c8d25e90ab3716",
            "RECEIVER_JOBS": str(folder / "jobs.db"),
        }
        self.port = listener.getsockname()[1]
        self.service = Service(
            ServiceOptions(
                "app:app",
                listener,
                environ,
                register=self._register,
                on_state=self._on_state,
                on_report=lambda pid, report: self.reports.append(report),
            ),
            **options,
        )
        self.task = asyncio.create_task(self.service.run())

    async def _register(self, ready: Ready) -> tuple[str, ...]:
        self.on_register()
        if self.refuse:
            raise RegistrationError(self.refuse)
        return tuple(f"+ {one.identity}" for one in ready.actions)

    def _on_state(self, state: State) -> None:
        self.states.append(state)
        self._wake.set()

    async def until(self, state: str, text: str = "") -> State:
        """Return the next state of this kind; earlier ones are dropped."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for number, one in enumerate(self.states):
                    if one.state == state and text in one.text:
                        del self.states[: number + 1]
                        return one
                self._wake.clear()
                await self._wake.wait()

    async def until_loading(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(list(self.folder.glob("loading-*"))) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def ask(self) -> str:
        """Return the destination of a callback's answer."""
        fields = {"from": "101", "input": "1", "session_id": "7"}
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            url = f"http://127.0.0.1:{self.port}/action/8000/pick"
            return str((await client.post(url, json=fields)).json()["destination"])

    def write(self, old: str, new: str) -> None:
        path = self.folder / "app.py"
        assert old in path.read_text()
        other = self.folder / "app.py~"
        other.write_text(path.read_text().replace(old, new))
        other.replace(path)

    def loading(self) -> int:
        child = self.service._loading
        assert child is not None
        return child.pid

    def serving(self) -> int:
        child = self.service._child
        assert child is not None
        return child.pid


Start = Callable[..., Stage]


@pytest.fixture
async def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text(APP)
    stages: list[Stage] = []
    with bind("127.0.0.1", 0) as listener:

        def make(**options: float) -> Stage:
            stages.append(stage := Stage(tmp_path, listener, **options))
            return stage

        yield make
        for stage in stages:
            stage.task.cancel()
            with suppress(asyncio.CancelledError, LoadError):
                await stage.task
        seen = [int(path.name.partition("-")[2]) for path in tmp_path.glob("loading-*")]
    assert not any(map(is_alive, seen))


async def test_a_change_while_the_app_is_loaded_is_loaded_too(start: Start, tmp_path: Path) -> None:
    stage = start()
    assert (await stage.until("running")).changes == ("+ 8000/pick",)
    (tmp_path / "hold").touch()
    stage.write('"222"', '"333"')
    await stage.until_loading(2)
    assert not stage.service.is_settled
    assert await stage.ask() == "222"  # the version before answers other requests
    stage.write('"333"', '"444"')
    await stage.until_loading(3)
    (tmp_path / "hold").unlink()
    await stage.until("running")
    assert stage.service.is_settled
    assert await stage.ask() == "444"
    assert stage.reports[-1].action == "8000/pick"


async def test_a_callback_after_a_reload_gets_the_new_code(start: Start) -> None:
    stage = start()
    await stage.until("running")
    old = stage.serving()
    stage.on_register = lambda: os.kill(stage.loading(), signal.SIGSTOP)
    stage.write("222", "333")
    await stage.until("running")
    with socket.create_connection(("127.0.0.1", stage.port)) as pbx:  # only the old child runs
        pbx.sendall(REQUEST)
        pbx.setblocking(False)
        async with asyncio.timeout(PATIENCE):
            while is_alive(old):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            os.kill(stage.serving(), signal.SIGCONT)
            answer = await asyncio.get_running_loop().sock_recv(pbx, 4096)
    assert b'"destination":"333"' in answer


async def test_a_child_that_ends_is_replaced(start: Start) -> None:
    stage = start(min_uptime=0.0)
    await stage.until("running")
    os.kill(stage.serving(), signal.SIGKILL)
    await stage.until("running", "ended unexpectedly, with status -9: it is started again")
    assert await stage.ask() == "222"


async def test_a_child_that_ends_early_waits_for_a_change(start: Start) -> None:
    stage = start(min_uptime=3600.0)
    await stage.until("running")
    os.kill(stage.serving(), signal.SIGKILL)
    assert not (await stage.until("broken", "a change of its code starts it again")).serves
    stage.write('"222"', '"333"')
    await stage.until("running")
    assert await stage.ask() == "333"


async def test_what_cannot_be_registered_does_not_serve(start: Start) -> None:
    stage = start()
    await stage.until("running")
    old = stage.serving()
    stage.refuse = "the PBX refuses it"
    stage.write('"222"', '"333"')
    assert (await stage.until("broken", "it cannot be registered: the PBX refuses it")).serves
    assert stage.serving() == old
    assert await stage.ask() == "222"


async def test_an_app_that_is_never_loaded(start: Start, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    stage = start(load_timeout=0.5)
    assert not (await stage.until("broken", "it was not loaded within")).serves


async def test_an_app_that_ends_its_process(start: Start) -> None:
    stage = start()
    await stage.until("running")
    stage.write("ivr = ", "os._exit(5); ivr = ")
    await stage.until("broken", "ended its process with status 5 while it was loaded")
    stage.write("os._exit(5)", "raise SystemExit(6)")
    await stage.until("broken", "app.py:9: SystemExit: 6")
    assert await stage.ask() == "222"


async def test_callbacks_are_held_for_a_bounded_time(start: Start, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    stage = start(max_hold=0.01)
    await stage.until_loading(1)
    await stage.service.hold()
    assert not stage.service.is_settled
    (tmp_path / "hold").unlink()
    await stage.until("running")
    await stage.service.hold()
    assert stage.service.is_settled


async def test_callbacks_are_held_until_the_app_is_loaded(start: Start, tmp_path: Path) -> None:
    (tmp_path / "hold").touch()
    stage = start(max_hold=PATIENCE)
    await stage.until_loading(1)
    (tmp_path / "hold").unlink()
    await stage.service.hold()
    assert stage.service.is_settled


async def test_injected_faults_are_sent_to_the_next_child_too(start: Start) -> None:
    stage = start()
    await stage.until("running")
    stage.service.simulate(Simulation(slow=0.001))
    stage.write('"222"', '"333"')
    await stage.until("running")
    assert await stage.ask() == "333"


async def test_other_files_beside_the_code_start_no_reload(start: Start, tmp_path: Path) -> None:
    stage = start()
    await stage.until("running")
    (tmp_path / "calls.csv").write_text("written by the app")
    (tmp_path / "other.py").write_text("x = 1")
    state = await stage.until("starting")
    assert state.text == "other.py changed"
