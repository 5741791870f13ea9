"""Recorded calls, asked of today's code: in process, and by the command."""

import asyncio
import json
import os
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from click.testing import CliRunner, Result

from receiver import Call, Forward, Hangup, Ivr, Receiver, Repeat, Reply, Settings
from receiver.cli import main
from receiver.dispatch.dispatcher import Decision
from receiver.recordings.lines import Recorded
from receiver.recordings.reading import LONGEST, read
from receiver.recordings.recorder import Recorder
from receiver.replaying.network import NetworkShut, Tries, shut
from receiver.replaying.outcomes import Outcome
from receiver.replaying.replay import replay
from receiver.replies import Forward as To
from receiver.serving.server import running
from receiver.telemetry.observing import Times
from receiver.upstream import Client
from tests.recordings.stage import lines
from tests.support import SECRET

T = TypeVar("T")
ROOT = Path(__file__).parent.parent.parent
APP = """
from receiver import Call, Forward, Ivr, Receiver, Repeat, Reply

ivr = Ivr("8000")
wrote = []


@ivr.caller("100-199")
async def known(call: Call) -> Reply:
    async with call.session() as session:
        session["known"] = True
    return Repeat()


@ivr.dtmf("1;22;1000-1999", fallback=Forward("0"))
async def pick(call: Call) -> Reply:
    async with call.session() as session:
        known = session.get("known", False)
    call.after(wrote.append, call.caller)
    if len(call.digits) == 4:
        return Forward("2" + call.digits[1:])
    return Forward("222" if known else "333")


app = Receiver(ivr)
"""


class Stage:
    """A project, and a recording of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls = 0
        (folder / "rec").mkdir()
        self.code()

    def code(self, old: str = "x", new: str = "x", name: str = "today") -> str:
        (self.folder / f"{name}.py").write_text(APP.replace(old, new))
        return f"{name}:app"

    async def record(self, *asked: tuple[str, str], session: str = "s", **more: Any) -> None:
        """Have an app answer for real what callers ``asked``: the action and the digits."""
        from receiver.loader import load

        self.calls += 1
        target = self.code(name=f"then{self.calls}")
        declared = load(target)
        assert isinstance(declared, Receiver)
        ivr = Ivr("8000")
        for action in declared:
            options: dict[str, Any] = {"auth": None, "fallback": action.fallback}
            ivr.add(action.kind, str(action.mask), action.handler, name=action.name, **options)
        settings = Settings(secret=SECRET, record=self.folder / "rec", **more)
        async with (
            running(Receiver(ivr, settings=settings)) as url,
            httpx.AsyncClient(base_url=url) as http,
        ):
            for name, digits in asked:
                fields = {"from": "150", "to": "8000", "input": digits, "session_id": session}
                await http.post(f"/action/8000/{name}", json=fields)

    def replay(self, *args: str, file: str = "rec") -> Result:
        return CliRunner().invoke(main, ["replay", file, *args])


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith(("then", "today"))]:
        monkeypatch.delitem(sys.modules, name)
    return Stage(tmp_path)


CALL = (("known", ""), ("pick", "1"))


async def in_thread(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """The command has an event loop of its own."""
    return await asyncio.to_thread(function, *args, **kwargs)


async def test_the_same_code_answers_the_same(stage: Stage) -> None:
    await stage.record(*CALL)
    await stage.record(("pick", "1742"), session="t")
    done = await in_thread(stage.replay, "today:app")
    assert (done.exit_code, done.output.splitlines()[0]) == (
        0,
        "3 callbacks of 2 calls replayed: 0 answered otherwise",
    )
    assert "work after the answer, not carried out: 2" in done.output
    assert sys.modules["today"].wrote == []


async def test_what_differs_is_shown_in_its_call(stage: Stage) -> None:
    await stage.record(*CALL)
    await stage.record(("pick", "22"), session="t")
    done = await in_thread(stage.replay, stage.code('"222"', '"444"'))
    assert done.exit_code == 1
    _, *shown = done.output.splitlines()
    assert [line[:4] for line in shown[:3]] == ["    ", "  - ", "  + "]
    assert "8000/pick  DTMF  keys 1 from ~1" in shown[1]
    assert [shown[1].split("  ")[-1], shown[2].split("  ")[-1]] == ["call 222", "call 444"]
    assert "3 callbacks of 2 calls replayed: 1 answered otherwise" in shown[3]


async def test_as_json(stage: Stage) -> None:
    await stage.record(*CALL)
    done = await in_thread(stage.replay, stage.code('"222"', '"444"'), "--json")
    told = json.loads(done.output)
    (one,) = told["different"]
    assert (told["callbacks"], one["action"], one["digits"]) == (2, "8000/pick", "1")
    assert one["was"] == {"decision": "call", "destination": "222", "reason": "handled"}
    assert one["now"]["destination"] == "444"
    assert one["made_up"] == ["caller"]
    assert done.exit_code == 1


async def test_a_destination_made_of_masked_digits_is_compared(stage: Stage) -> None:
    await stage.record(("pick", "1742"))
    assert "1742" not in json.dumps(lines(stage.folder / "rec"))
    assert (await in_thread(stage.replay, "today:app")).exit_code == 0
    other = await in_thread(stage.replay, stage.code('"2" + call', '"3" + call', "other"))
    assert other.exit_code == 1
    assert "keys ~1" in other.output
    assert "~ stands before" in other.output


async def test_a_handler_that_raises_now(stage: Stage) -> None:
    await stage.record(*CALL)
    done = await in_thread(stage.replay, stage.code("known = session", "known = nothing"))
    assert "call 0 (raised)" in done.output


async def test_the_same_answer_for_another_reason_is_no_difference(stage: Stage) -> None:
    await stage.record(*CALL)
    done = await in_thread(stage.replay, stage.code("return Repeat()", "return None", "today"))
    assert done.exit_code == 0
    assert "the same answer for another reason: 1" in done.output


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("def pick(", "def choose(", "there is no such action now"),
        ('ivr.dtmf("1;22;1000-1999"', 'ivr.caller("200-299"', "the action is one of CALLER now"),
        ('fallback=Forward("0")', "enabled=False", "the action is switched off now"),
        ("1;22;1000-1999", "1;22", "the action has another match list now"),
    ],
)
async def test_nobody_is_asked(stage: Stage, old: str, new: str, why: str) -> None:
    await stage.record(("pick", "1742"))
    done = await in_thread(stage.replay, stage.code(old, new))
    assert done.exit_code == 1
    assert f"none ({why})" in done.output


async def test_a_list_that_does_not_match_what_is_shown_any_more(stage: Stage) -> None:
    await stage.record(("pick", "1742"), record_caller_data=True)
    done = await in_thread(stage.replay, stage.code("1000-1999", "1000-1699"))
    assert "keys 1742 from 150" in done.output
    assert "another match list" in done.output


async def test_only_some_calls(stage: Stage) -> None:
    await stage.record(*CALL)
    await stage.record(("pick", "22"), session="t")
    _, second = read(stage.folder / "rec").calls
    done = await in_thread(stage.replay, "today:app", "--session", second[0].session[:8])
    assert done.output.startswith("1 callbacks of 1 calls")
    assert (await in_thread(stage.replay, "today:app", "--ivr", "8000")).exit_code == 0
    done = await in_thread(stage.replay, "today:app", "--ivr", "9000")
    assert (done.exit_code, "nothing that was asked for" in done.output) == (2, True)


async def test_what_could_not_be_replayed_is_told(stage: Stage) -> None:
    await stage.record(*CALL)
    file = next((stage.folder / "rec").iterdir())
    empty = json.loads(file.read_text().splitlines()[0])
    empty |= {"session": "", "ivr": "", "caller": "", "digits": ""}
    with file.open("a") as more:
        more.write(f'{json.dumps(empty)}\n{{"type":"lost","v":1,"time":"","lost":7}}\n{{"v')
    done = await in_thread(stage.replay, "today:app")
    assert "not replayed: 1 could not be read by the service then" in done.output
    assert "not replayed: 1 lines are damaged" in done.output
    assert "not replayed: 7 were lost" in done.output


async def test_a_recording_that_was_tampered_with(stage: Stage) -> None:
    await stage.record(*CALL)
    folder = stage.folder / "rec"
    file = next(folder.iterdir())
    found = [json.loads(line) for line in file.read_text().splitlines()]
    for line in found:
        line |= {"session": "a\r\x1b[2Jb", "decision": "hangup"}
    nested, long = "[" * 100_000, f'{{"x":"{"x" * LONGEST}"}}'
    file.write_text("\n".join([*map(json.dumps, found), nested, long, ""]))
    (folder / "calls-0.jsonl").symlink_to("gone")
    os.mkfifo(folder / "calls-1.jsonl")
    done = await in_thread(stage.replay, "today:app")
    assert (done.exit_code, r"call a\r\x1b[2Jb at" in done.output) == (1, True)
    assert "not replayed: 3 lines are damaged" in done.output
    done = await in_thread(stage.replay, "today:app", file="rec/calls-1.jsonl")
    assert (done.exit_code, "it is no file" in done.output) == (2, True)


async def test_what_is_saved_is_what_the_next_code_is_compared_with(stage: Stage) -> None:
    await stage.record(("pick", "1742"), ("pick", "22"))
    old = stage.code('Forward("2" + call.digits[1:])', 'Forward("9" + call.digits[::-1])', "old")
    assert (await in_thread(stage.replay, old)).exit_code == 1
    assert (await in_thread(stage.replay, old, "--save", "saved.jsonl")).exit_code == 1
    assert stat.S_IMODE(os.stat("saved.jsonl").st_mode) == 0o600
    assert (await in_thread(stage.replay, old, file="saved.jsonl")).exit_code == 0
    again = await in_thread(stage.replay, "today:app", "--save", "saved.jsonl")
    assert (again.exit_code, "File exists" in again.output) == (2, True)


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["nowhere", "today:app"], "cannot be read"),
        (["rec", "today:app"], "there is no recording in rec"),
        (["rec"], "Missing argument"),
    ],
)
def test_usage(stage: Stage, args: list[str], said: str) -> None:
    done = CliRunner().invoke(main, ["replay", *args])
    assert (done.exit_code, said in done.output) == (2, True)
    assert "Traceback" not in done.output


async def test_an_app_that_is_not_there(stage: Stage) -> None:
    await stage.record(*CALL)
    assert (await in_thread(stage.replay, "nothing:app")).exit_code == 2


async def test_a_test_that_is_made_of_a_call_runs(stage: Stage) -> None:
    await stage.record(*CALL)
    await stage.record(("pick", "1742"), session="t")
    made = await in_thread(stage.replay, "today:app", "--as-test")
    (stage.folder / "test_made.py").write_text(made.output)
    assert await in_thread(_pytest, stage.folder) == (0, "2 passed")
    stage.code('"222"', '"444"')
    assert (await in_thread(_pytest, stage.folder))[0] == 1


def _pytest(folder: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "pytest_asyncio.plugin"]
    command += ["-p", "receiver.pytest_plugin", "-p", "no:cacheprovider", "test_made.py"]
    environ = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONPATH": str(ROOT)}
    environ |= {"PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
    return done.returncode, done.stdout.splitlines()[-1][:8]


async def test_a_test_says_what_today_differs_and_runs_no_code_of_a_recording(
    stage: Stage,
) -> None:
    await stage.record(("pick", "1"), ("pick", "22"))
    file = next((stage.folder / "rec").iterdir())
    hostile = "():\\n    raise SystemExit\\n#"
    found = [json.loads(line) for line in file.read_text().splitlines()]
    for line in found:
        line |= {"session": hostile, "caller": '1")\nraise SystemExit #', "time": "2026\nx"}
    found[1]["decision"] = "hangup"
    found.append({**found[0], "action": '9000/x"\nraise SystemExit', "decision": "repeat"})
    found.append({**found[0], "digits": ""})
    file.write_text("\n".join(map(json.dumps, found)))
    made = await in_thread(stage.replay, "today:app", "--as-test")
    compile(made.output, "made", "exec")
    assert not [one for one in made.output.splitlines() if one.lstrip().startswith("raise")]
    assert "; today: call 333, handled" in made.output
    assert '.kind == "hung up"' in made.output
    assert "went on with the same call" in made.output
    assert "# no keys were told" in made.output


# the network ---------------------------------------------------------------------------------


def _recorded(folder: Path, app: Receiver, *calls: Call) -> list[list[Recorded]]:
    recorder = Recorder(folder, SECRET, app, caller_data=True)
    for call in calls:
        record = recorder.of(next(iter(app)))
        record(call, Decision(To("222"), "handled"), Times(0, 0, 0, 0, 0))
    recorder.close()
    return read(folder).calls


async def _replay(folder: Path, handler: Any, **options: Any) -> list[list[Outcome]]:
    ivr = Ivr("8000")
    ivr.add("DTMF", "1;2", handler, name="x", fallback=Forward("0"), **options)
    app = Receiver(ivr, settings=Settings(secret=SECRET))
    calls = _recorded(folder, app, Call(digits="1", session_id="s"))
    with shut() as tries:
        return await replay(app, calls, app.settings, tries)


async def test_a_crm_is_not_asked(tmp_path: Path) -> None:
    crm = Client("http://127.0.0.1:9")

    async def ask(call: Call) -> Reply:
        await crm.get("/owner", call=call)
        return Forward("222")

    ((one,),) = await _replay(tmp_path, ask)
    assert (one.now.destination, one.now.reason, one.tries > 0) == ("0", "broken", True)
    assert one.differs


async def test_nor_by_a_plain_handler(tmp_path: Path) -> None:
    def ask(call: Call) -> Reply:
        with pytest.raises(NetworkShut):
            socket.create_connection(("127.0.0.1", 9))
        with pytest.raises(NetworkShut):
            socket.getaddrinfo("crm.example.com", 443)
        return Hangup()

    ((one,),) = await _replay(tmp_path, ask)
    assert (one.now.decision, one.tries) == ("hangup", 2)


async def test_afterwards_the_network_is_open() -> None:
    before = socket.socket.connect, socket.getaddrinfo, set(vars(socket.socket))
    with shut() as tries:
        with pytest.raises(ConnectionRefusedError, match="--network"):
            await asyncio.open_connection("127.0.0.1", 9)
        assert tries.count == 1
    after = socket.socket.connect, socket.getaddrinfo, set(vars(socket.socket))
    assert after == before
    assert Tries() != tries


async def test_with_network_it_is_open(stage: Stage, tmp_path: Path) -> None:
    await stage.record(*CALL)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    code = stage.code(
        "known = session",
        f"__import__('socket').create_connection(('127.0.0.1', {port})).close(); known = session",
    )
    assert (await in_thread(stage.replay, code, "--network")).exit_code == 0
    done = await in_thread(stage.replay, code)
    assert "call 0 (raised, the network is shut)" in done.output
    assert "tries to reach the network, which is shut: 1" in done.output
    listener.close()


async def test_late_handlers_get_their_deadline(tmp_path: Path) -> None:
    async def never(call: Call) -> Reply:
        assert call.remaining() <= 1
        await asyncio.Event().wait()
        raise AssertionError

    began = time.monotonic()
    ((one,),) = await _replay(tmp_path, never, request_timeout=1)
    assert one.now.reason == "late"
    assert time.monotonic() - began < 30


async def test_calls_do_not_share_what_they_remember(tmp_path: Path) -> None:
    async def count(call: Call) -> Reply:
        async with call.session() as session:
            session["n"] = session.get("n", 0) + 1
            return Forward(str(session["n"]))

    ivr = Ivr("8000")
    ivr.add("DTMF", "1", count, name="x")
    app = Receiver(ivr, settings=Settings(secret=SECRET))
    asked = [Call(digits="1", session_id=name) for name in "aabab"]
    calls = await replay(app, _recorded(tmp_path, app, *asked), app.settings, Tries())
    assert [[one.now.destination for one in call] for call in calls] == [
        ["1", "2", "3"],
        ["1", "2"],
    ]


async def test_a_call_that_repeats_too_often_is_ended_as_it_was(tmp_path: Path) -> None:
    async def again(call: Call) -> Reply:
        return Repeat()

    ivr = Ivr("8000")
    ivr.add("DTMF", "1", again, name="x", fallback=Forward("0"), repeats=2)
    app = Receiver(ivr, settings=Settings(secret=SECRET))
    asked = [Call(digits="1", session_id="s")] * 3
    (call,) = await replay(app, _recorded(tmp_path, app, *asked), app.settings, Tries())
    assert [one.now.reason for one in call] == ["handled", "handled", "looped"]
