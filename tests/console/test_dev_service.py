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

from receiver.dev import reloading
from receiver.dev.messages import Mischief, Ready, Report
from receiver.dev.reloading import Service, State
from receiver.errors import LoadError, RegistrationError
from receiver.serving.listening import bind
from tests.console.developing import is_alive

PATIENCE = 60.0
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


class Stage:
    """A service with real children, and what it told."""

    def __init__(self, folder: Path, listener: socket.socket) -> None:
        self.folder = folder
        self.states: list[State] = []
        self.reports: list[Report] = []
        self.refuse = ""
        self._came = asyncio.Event()
        environ = {
            "RECEIVER_SECRET": "a secret of the test alone",
            "RECEIVER_AFTER": str(folder / "after.db"),
        }
        self.port = listener.getsockname()[1]
        self.service = Service(
            "app:app",
            listener,
            environ,
            register=self._register,
            tell=self._tell,
            hear=lambda pid, report: self.reports.append(report),
        )
        self.task = asyncio.create_task(self.service.run())

    async def _register(self, ready: Ready) -> tuple[str, ...]:
        if self.refuse:
            raise RegistrationError(self.refuse)
        return tuple(f"+ {one.identity}" for one in ready.actions)

    def _tell(self, state: State) -> None:
        self.states.append(state)
        self._came.set()

    async def until(self, state: str, text: str = "") -> State:
        """The next state of this kind; those before it are forgotten."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for number, one in enumerate(self.states):
                    if one.state == state and text in one.text:
                        del self.states[: number + 1]
                        return one
                self._came.clear()
                await self._came.wait()

    async def until_loading(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while len(list(self.folder.glob("loading-*"))) < count:  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def ask(self) -> str:
        """Where the service forwards to."""
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

    def serving(self) -> int:
        child = self.service._child
        assert child is not None
        return child.pid


Start = Callable[[], Stage]


@pytest.fixture
async def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Start]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "app.py").write_text(APP)
    stages: list[Stage] = []
    with bind("127.0.0.1", 0) as listener:

        def begin() -> Stage:
            stages.append(stage := Stage(tmp_path, listener))
            return stage

        yield begin
        for stage in stages:
            stage.task.cancel()
            with suppress(asyncio.CancelledError, LoadError):
                await stage.task
        seen = [int(path.name.partition("-")[2]) for path in tmp_path.glob("loading-*")]
    assert not any(map(is_alive, seen))


async def test_what_changes_while_it_is_loaded_counts(start: Start, tmp_path: Path) -> None:
    stage = start()
    assert (await stage.until("running")).changes == ("+ 8000/pick",)
    (tmp_path / "hold").touch()
    stage.write('"222"', '"333"')
    await stage.until_loading(2)
    assert not stage.service.is_settled
    assert await stage.ask() == "222"  # whoever else asks is answered by the version before
    stage.write('"333"', '"444"')
    await stage.until_loading(3)
    (tmp_path / "hold").unlink()
    await stage.until("running")
    assert stage.service.is_settled
    assert await stage.ask() == "444"
    assert stage.reports[-1].action == "8000/pick"


async def test_a_child_that_dies_is_replaced_once(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reloading, "STEADY", 0.0)
    stage = start()
    await stage.until("running")
    os.kill(stage.serving(), signal.SIGKILL)
    await stage.until("running", "ended by itself, with status -9: it is started again")
    assert await stage.ask() == "222"
    monkeypatch.setattr(reloading, "STEADY", 3600.0)
    os.kill(stage.serving(), signal.SIGKILL)
    assert not (await stage.until("broken", "a change of its code starts it again")).serves
    stage.write('"222"', '"333"')
    await stage.until("running")
    assert await stage.ask() == "333"


async def test_what_cannot_be_registered_does_not_serve(start: Start) -> None:
    stage = start()
    await stage.until("running")
    old = stage.serving()
    stage.refuse = "the PBX does not want it"
    stage.write('"222"', '"333"')
    assert (await stage.until("broken", "it cannot be registered: the PBX does not want it")).serves
    assert stage.serving() == old
    assert await stage.ask() == "222"


async def test_an_app_that_is_never_loaded(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = start()
    await stage.until("running")
    monkeypatch.setattr(reloading, "START", 0.5)
    (tmp_path / "hold").touch()
    stage.write('"222"', '"333"')
    await stage.until("broken", "it was not loaded within")
    assert await stage.ask() == "222"


async def test_an_app_that_ends_its_process(start: Start) -> None:
    stage = start()
    await stage.until("running")
    stage.write("ivr = ", "os._exit(5); ivr = ")
    await stage.until("broken", "ended its process with status 5 while it was loaded")
    stage.write("os._exit(5)", "raise SystemExit(6)")
    await stage.until("broken", "app.py:9: SystemExit: 6")
    assert await stage.ask() == "222"


async def test_nothing_is_held_back_for_ever(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hold").touch()
    stage = start()
    await stage.until_loading(1)
    monkeypatch.setattr(reloading, "HOLD", 0.01)
    await stage.service.hold()
    assert not stage.service.is_settled
    (tmp_path / "hold").unlink()
    monkeypatch.setattr(reloading, "HOLD", PATIENCE)
    await stage.service.hold()
    assert stage.service.is_settled


async def test_mischief_goes_to_the_next_child_too(start: Start) -> None:
    stage = start()
    await stage.until("running")
    stage.service.be(Mischief(slow=0.001))
    stage.write('"222"', '"333"')
    await stage.until("running")
    assert await stage.ask() == "333"


async def test_what_lies_beside_the_code_starts_nothing(start: Start, tmp_path: Path) -> None:
    stage = start()
    await stage.until("running")
    (tmp_path / "calls.csv").write_text("written by the app")
    (tmp_path / "other.py").write_text("x = 1")
    state = await stage.until("starting")
    assert state.text == "other.py changed"
