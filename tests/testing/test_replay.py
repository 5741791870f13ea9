"""Recorded calls, asked of today's code: in process, and by the command."""

import asyncio
import json
import os
import re
import socket
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from click.testing import Result
from msgspec import structs

from receiver import Call, Forward, Hangup, Ivr, Receiver, Repeat, Reply, Settings
from receiver.callbacks.observer import Times
from receiver.cli import main
from receiver.config.load_app import load_app
from receiver.dispatch.dispatcher import Decision
from receiver.errors import UpstreamError, UpstreamLate, UpstreamRefused
from receiver.recording.format import Recorded, UpstreamAnswer
from receiver.recording.reader import MAX_LINE, read
from receiver.recording.recorder import Recorder
from receiver.replies import Forward as To
from receiver.server.uvicorn_server import running
from receiver.testing.block_network import Attempts, NetworkBlocked, blocked_network
from receiver.testing.replay import replay
from receiver.testing.replay_diff import ReplayResult
from receiver.upstream import Client
from tests.command_line import CliRunner
from tests.recording.recorded_actions import lines
from tests.support import SECRET
from tests.upstream.stage import Crm
from tests.upstream.stage import answer as crm_answer

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
        from receiver.config.loader import load

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

    async def replay(self, *args: str, file: str = "rec") -> Result:
        """Run the command, in a thread: it has its own event loop."""
        return await asyncio.to_thread(CliRunner().invoke, main, ["replay", file, *args])


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith(("then", "today"))]:
        monkeypatch.delitem(sys.modules, name)
    return Stage(tmp_path)


CALL = (("known", ""), ("pick", "1"))


async def test_the_same_code_answers_the_same(stage: Stage) -> None:
    await stage.record(*CALL)
    await stage.record(("pick", "1742"), session="t")
    done = await stage.replay("today:app")
    assert (done.exit_code, done.output.splitlines()[0]) == (
        0,
        "3 callbacks of 2 calls replayed: 0 answers differ",
    )
    assert "background jobs, not run: 2" in done.output
    assert sys.modules["today"].wrote == []


async def test_differences_are_shown_in_their_call(stage: Stage) -> None:
    await stage.record(*CALL)
    await stage.record(("pick", "22"), session="t")
    done = await stage.replay(stage.code('"222"', '"444"'))
    assert done.exit_code == 1
    _, *shown = done.output.splitlines()
    assert [line[:4] for line in shown[:3]] == ["    ", "  - ", "  + "]
    assert "8000/pick  DTMF  keys 1 from ~1" in shown[1]
    assert [shown[1].split("  ")[-1], shown[2].split("  ")[-1]] == ["call 222", "call 444"]
    assert "3 callbacks of 2 calls replayed: 1 answer differs" in shown[3]


async def test_a_renamed_action_gets_the_callbacks_of_its_former_name(stage: Stage) -> None:
    await stage.record(*CALL)
    renamed = stage.code('fallback=Forward("0")', 'name="choose", was="pick"', "renamed")
    done = await stage.replay(renamed)
    assert done.output.splitlines()[0] == "2 callbacks of 1 call replayed: 0 answers differ"
    lost = stage.code('fallback=Forward("0")', 'name="choose"', "lost")
    done = await stage.replay(lost)
    assert "the action no longer exists" in done.output


async def test_as_json(stage: Stage) -> None:
    await stage.record(*CALL)
    done = await stage.replay(stage.code('"222"', '"444"'), "--json")
    found = json.loads(done.output)
    (one,) = found["different"]
    assert (found["callbacks"], one["action"], one["digits"]) == (2, "8000/pick", "1")
    assert one["was"] == {"decision": "call", "destination": "222", "reason": "handled"}
    assert one["now"]["destination"] == "444"
    assert one["placeholders"] == ["caller"]
    assert done.exit_code == 1


async def test_a_destination_made_of_masked_digits_is_compared(stage: Stage) -> None:
    await stage.record(("pick", "1742"))
    assert "1742" not in json.dumps(lines(stage.folder / "rec"))
    assert (await stage.replay("today:app")).exit_code == 0
    other = await stage.replay(stage.code('"2" + call', '"3" + call', "other"))
    assert other.exit_code == 1
    assert "keys ~1" in other.output
    assert "~ marks a placeholder" in other.output


async def test_handlers_have_the_time_of_the_recording(stage: Stage) -> None:
    await stage.record(("pick", "22"))
    file = next((stage.folder / "rec").iterdir())
    file.write_text(
        re.sub(r'"time":"[^"]+"', '"time":"2020-02-03T04:05:06.000Z"', file.read_text())
    )
    changed = stage.code('"222" if known else "333"', "f\"{call.now('UTC'):%Y%m%d%H%M}\"")
    done = await stage.replay(changed)
    assert "call 202002030405" in done.output


async def test_a_handler_that_raises_now(stage: Stage) -> None:
    await stage.record(*CALL)
    done = await stage.replay(stage.code("known = session", "known = nothing"))
    assert "call 0 (raised)" in done.output


async def test_the_same_answer_for_another_reason_is_no_difference(stage: Stage) -> None:
    await stage.record(*CALL)
    done = await stage.replay(stage.code("return Repeat()", "return None", "today"))
    assert done.exit_code == 0
    assert "the same answer for another reason: 1" in done.output


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("def pick(", "def choose(", "the action no longer exists"),
        ('ivr.dtmf("1;22;1000-1999"', 'ivr.caller("200-299"', "the action now has the kind CALLER"),
        ('fallback=Forward("0")', "enabled=False", "the action is now disabled"),
        ("1;22;1000-1999", "1;22", "the action has another mask now"),
    ],
)
async def test_the_pbx_would_send_no_callback(stage: Stage, old: str, new: str, why: str) -> None:
    await stage.record(("pick", "1742"))
    done = await stage.replay(stage.code(old, new))
    assert done.exit_code == 1
    assert f"none ({why})" in done.output


async def test_a_mask_that_no_longer_matches(stage: Stage) -> None:
    await stage.record(("pick", "1742"), record_caller_data=True)
    done = await stage.replay(stage.code("1000-1999", "1000-1699"))
    assert "keys 1742 from 150" in done.output
    assert "another mask" in done.output


async def test_only_some_calls(stage: Stage) -> None:
    await stage.record(*CALL)
    await stage.record(("pick", "22"), session="t")
    _, second = read(stage.folder / "rec").calls
    done = await stage.replay("today:app", "--session", second[0].session[:8])
    assert done.output.startswith("1 callback of 1 call")
    assert (await stage.replay("today:app", "--ivr", "8000")).exit_code == 0
    done = await stage.replay("today:app", "--ivr", "9000")
    assert (done.exit_code, "contains no matching callbacks" in done.output) == (2, True)


async def test_skipped_records_are_counted(stage: Stage) -> None:
    await stage.record(*CALL)
    file = next((stage.folder / "rec").iterdir())
    empty = json.loads(file.read_text().splitlines()[0])
    empty |= {"session": "", "ivr": "", "caller": "", "digits": ""}
    with file.open("a") as more:
        more.write(f'{json.dumps(empty)}\n{{"type":"lost","v":1,"time":"","lost":7}}\n{{"v')
    done = await stage.replay("today:app")
    assert "not replayed (could not be parsed by the service): 1" in done.output
    assert "not replayed (lines are damaged): 1" in done.output
    assert "not replayed (were dropped during recording): 7" in done.output


async def test_a_recording_that_was_altered(stage: Stage) -> None:
    await stage.record(*CALL)
    folder = stage.folder / "rec"
    file = next(folder.iterdir())
    found = [json.loads(line) for line in file.read_text().splitlines()]
    for line in found:
        line |= {"session": "a\r\x1b[2Jb", "decision": "hangup"}
    nested, long = "[" * 100_000, f'{{"x":"{"x" * MAX_LINE}"}}'
    file.write_text("\n".join([*map(json.dumps, found), nested, long, ""]))
    (folder / "calls-0.jsonl").symlink_to("gone")
    os.mkfifo(folder / "calls-1.jsonl")
    done = await stage.replay("today:app")
    assert (done.exit_code, r"call a\r\x1b[2Jb at" in done.output) == (1, True)
    assert "not replayed (lines are damaged): 3" in done.output
    done = await stage.replay("today:app", file="rec/calls-1.jsonl")
    assert (done.exit_code, "neither a file" in done.output) == (2, True)


async def test_a_saved_recording_is_compared_with_the_next_version(stage: Stage) -> None:
    await stage.record(("pick", "1742"), ("pick", "22"))
    old = stage.code('Forward("2" + call.digits[1:])', 'Forward("9" + call.digits[::-1])', "old")
    assert (await stage.replay(old)).exit_code == 1
    assert (await stage.replay(old, "--save", "saved.jsonl")).exit_code == 1
    assert stat.S_IMODE(os.stat("saved.jsonl").st_mode) == 0o600
    assert (await stage.replay(old, file="saved.jsonl")).exit_code == 0
    again = await stage.replay("today:app", "--save", "saved.jsonl")
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
    assert (await stage.replay("nothing:app")).exit_code == 2


async def test_a_test_that_is_made_of_a_call_runs(stage: Stage) -> None:
    await stage.record(*CALL)
    await stage.record(("pick", "1742"), session="t")
    made = await stage.replay("today:app", "--as-test")
    (stage.folder / "test_made.py").write_text(made.output)
    assert await asyncio.to_thread(_pytest, stage.folder) == (0, "2 passed")
    stage.code('"222"', '"444"')
    assert (await asyncio.to_thread(_pytest, stage.folder))[0] == 1


TWO_IVRS = """
from receiver import Call, Forward, Ivr, Receiver, Repeat, Reply

sales, support = Ivr("8000"), Ivr("8001")


@sales.dtmf("1;2", auth=None)
async def pick(call: Call) -> Reply:
    async with call.session() as session:
        session["key"] = call.digits
    return Forward("8001")


@support.caller("any", auth=None)
async def arrive(call: Call) -> Reply:
    async with call.session() as session:
        key = session.get("key", "none")
    return Forward("222") if key == "1" else Repeat()


@support.dtmf("3;4", auth=None)
async def choose(call: Call) -> Reply:
    return Forward("8000") if call.digits == "3" else Forward("333")


app = Receiver(sales, support)
"""


async def test_a_written_test_of_a_call_in_two_ivrs_dials_once(stage: Stage) -> None:
    (stage.folder / "today_two.py").write_text(TWO_IVRS)
    settings = Settings(secret=SECRET, record=stage.folder / "rec")
    served = Receiver(*load_app("today_two:app").ivrs, settings=settings)
    back = (("8000", "pick", "2"), ("8001", "arrive", ""), ("8001", "choose", "3"))
    calls = {
        "ends": (("8000", "pick", "1"), ("8001", "arrive", "")),
        "back": (*back, *back[:2], ("8001", "choose", "4")),
        "after": (*back[:2], ("8001", "choose", "4"), *back[:2]),
    }
    async with running(served) as url, httpx.AsyncClient(base_url=url) as http:
        for session, callbacks in calls.items():
            for ivr, action, digits in callbacks:
                fields = {"from": "150", "to": ivr, "input": digits, "session_id": session}
                await http.post(f"/action/{ivr}/{action}", json=fields)
    made = await stage.replay("today_two:app", "--as-test")
    dialled = [test.count("phone.dial(") for test in made.output.split("async def ")[1:]]
    assert sorted(dialled) == [1, 1, 2]  # the last one was not forwarded to 8000
    assert made.output.count("another call") == 1
    (stage.folder / "test_made.py").write_text(made.output)
    assert await asyncio.to_thread(_pytest, stage.folder) == (0, "3 passed")


def _pytest(folder: Path) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "pytest_asyncio.plugin"]
    command += ["-p", "receiver.testing.pytest_plugin", "-p", "no:cacheprovider", "test_made.py"]
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
    made = await stage.replay("today:app", "--as-test")
    compile(made.output, "made", "exec")
    assert not [one for one in made.output.splitlines() if one.lstrip().startswith("raise")]
    assert "; today: call 333, handled" in made.output
    assert '.kind == "hung up"' in made.output
    assert made.output.count("# the recorded answers do not lead here: another call") == 3
    assert "# no keys are known" in made.output


# the network ---------------------------------------------------------------------------------


def _recorded(folder: Path, app: Receiver, *calls: Call) -> list[list[Recorded]]:
    recorder = Recorder(folder, SECRET, app, caller_data=True)
    for call in calls:
        record = recorder.of(next(iter(app)))
        record(call, Decision(To("222"), "handled"), Times(0, 0, 0, 0, 0))
    recorder.close()
    return read(folder).calls


async def _replay(folder: Path, handler: Any, **options: Any) -> list[list[ReplayResult]]:
    ivr = Ivr("8000")
    ivr.add("DTMF", "1;2", handler, name="x", fallback=Forward("0"), **options)
    app = Receiver(ivr, settings=Settings(secret=SECRET))
    calls = _recorded(folder, app, Call(digits="1", session_id="s"))
    with blocked_network() as attempts:
        return await replay(app, calls, app.settings, attempts)


async def test_a_crm_gets_no_request(tmp_path: Path) -> None:
    crm = Client("http://127.0.0.1:9")

    async def ask(call: Call) -> Reply:
        await crm.get("/owner", call=call)
        return Forward("222")

    ((one,),) = await _replay(tmp_path, ask)
    assert (one.now.destination, one.now.reason, one.attempts > 0) == ("0", "broken", True)
    assert one.differs


async def test_a_crm_gets_no_request_of_a_plain_handler(tmp_path: Path) -> None:
    def ask(call: Call) -> Reply:
        with pytest.raises(NetworkBlocked):
            socket.create_connection(("127.0.0.1", 9))
        with pytest.raises(NetworkBlocked):
            socket.getaddrinfo("crm.example.com", 443)
        return Hangup()

    ((one,),) = await _replay(tmp_path, ask)
    assert (one.now.decision, one.attempts) == ("hangup", 2)


async def test_the_network_is_restored_afterwards() -> None:
    before = socket.socket.connect, socket.getaddrinfo, set(vars(socket.socket))
    with blocked_network() as attempts:
        with pytest.raises(ConnectionRefusedError, match="--network"):
            await asyncio.open_connection("127.0.0.1", 9)
        assert attempts.count == 1
    after = socket.socket.connect, socket.getaddrinfo, set(vars(socket.socket))
    assert after == before
    assert Attempts() != attempts


async def test_network_allows_connections(stage: Stage, tmp_path: Path) -> None:
    await stage.record(*CALL)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    code = stage.code(
        "known = session",
        f"__import__('socket').create_connection(('127.0.0.1', {port})).close(); known = session",
    )
    assert (await stage.replay(code, "--network")).exit_code == 0
    done = await stage.replay(code)
    assert "call 0 (raised, the network is blocked)" in done.output
    assert "connection attempts, which were blocked: 1" in done.output
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


async def test_calls_do_not_share_sessions(tmp_path: Path) -> None:
    async def count(call: Call) -> Reply:
        async with call.session() as session:
            session["n"] = session.get("n", 0) + 1
            return Forward(str(session["n"]))

    ivr = Ivr("8000")
    ivr.add("DTMF", "1", count, name="x")
    app = Receiver(ivr, settings=Settings(secret=SECRET))
    asked = [Call(digits="1", session_id=name) for name in "aabab"]
    calls = await replay(app, _recorded(tmp_path, app, *asked), app.settings, Attempts())
    assert [[one.now.destination for one in call] for call in calls] == [
        ["1", "2", "3"],
        ["1", "2"],
    ]


async def test_a_call_that_repeats_too_often_is_ended_as_it_was(tmp_path: Path) -> None:
    async def again(call: Call) -> Reply:
        return Repeat()

    ivr = Ivr("8000")
    ivr.add("DTMF", "1", again, name="x", fallback=Forward("0"), max_repeats=2)
    app = Receiver(ivr, settings=Settings(secret=SECRET))
    asked = [Call(digits="1", session_id="s")] * 3
    (call,) = await replay(app, _recorded(tmp_path, app, *asked), app.settings, Attempts())
    assert [one.now.reason for one in call] == ["handled", "handled", "looped"]


async def test_numbers_are_read_in_the_format_of_their_pbx(tmp_path: Path) -> None:
    async def tell(call: Call) -> Reply:
        return {"e164": Forward("1"), "national": Forward("2")}.get(call.number_format, Hangup())

    plain = Settings(secret=SECRET, number_format="national")
    ivr = Ivr("8000", pbx="north")
    ivr.add("DTMF", "1", tell, name="x", fallback=Forward("0"))
    app = Receiver(ivr, settings={"": plain, "north": replace(plain, number_format="e164")})
    calls = _recorded(tmp_path, app, Call(digits="1", session_id="s"))
    ((one,),) = await replay(app, calls, app.settings, Attempts())
    assert one.now.destination == "1"


# Answers of other services --------------------------------------------------------------------


async def _with_crm(
    folder: Path, handler: Any, *upstream: UpstreamAnswer, caller: str = "+493012345678"
) -> ReplayResult:
    """Return the replay of one callback whose recording has these answers."""
    ivr = Ivr("8000")
    ivr.add("DTMF", "1;2", handler, name="x", fallback=Forward("0"))
    app = Receiver(ivr, settings=Settings(secret=SECRET))
    ((record,),) = _recorded(folder, app, Call(caller=caller, digits="1", session_id="s"))
    record = structs.replace(record, upstream=upstream)
    with blocked_network() as attempts:
        ((one,),) = await replay(app, [[record]], app.settings, attempts)
    return one


def _answer(path: str = "/owner", body: str = "", **more: Any) -> UpstreamAnswer:
    given = {"method": "GET", "host": "crm.example.com", "status": 200, **more}
    return UpstreamAnswer(path=path, body=body, **given)


CRM = "http://crm.example.com"


async def test_recorded_answers_are_played_back_in_their_order(tmp_path: Path) -> None:
    crm = Client(CRM)

    async def ask(call: Call) -> Reply:
        first = (await crm.get("/owner", call=call)).json()
        second = (await crm.get("/owner", call=call)).json()
        again = (await crm.get("/owner", call=call)).json()
        person = (await crm.get("/people/77", call=call)).json()
        assert person["phone"] == call.caller
        return Forward(f"{first}{second}{again}{person['n']}")

    person = _answer("/people/*", '{"phone": {"~": "caller"}, "n": 4}')
    one = await _with_crm(tmp_path, ask, person, _answer(body="1"), _answer(body="2"))
    assert (one.now.destination, one.played, one.attempts) == ("1224", 4, 0)


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_recorded_answers_reach_other_httpx_clients(tmp_path: Path, kind: str) -> None:
    async def asynchronous(call: Call) -> Reply:
        async with httpx.AsyncClient() as client:
            return Forward((await client.get(f"{CRM}/owner")).json())

    def plain(call: Call) -> Reply:
        return Forward(httpx.get(f"{CRM}/owner").json())

    handler = asynchronous if kind == "async" else plain
    one = await _with_crm(tmp_path, handler, _answer(body='"222"'))
    assert (one.now.destination, one.differs, one.played) == ("222", False, 1)


@pytest.mark.parametrize(
    ("answer", "error", "other"),
    [
        ({"status": None}, UpstreamError, httpx.ConnectError),
        ({"status": None, "is_late": True}, UpstreamLate, httpx.ReadTimeout),
        ({"status": 429, "retry_after": 7.0, "body": '{"e": 1}'}, UpstreamRefused, None),
        ({"left_out": True}, UpstreamError, httpx.ConnectError),
    ],
)
async def test_failures_are_played_back(
    tmp_path: Path, answer: dict[str, Any], error: type[Exception], other: type[Exception] | None
) -> None:
    crm = Client(CRM)
    seen: list[Any] = []

    async def ask(call: Call) -> Reply:
        with pytest.raises(error) as raised:
            await crm.get("/owner", call=call)
        seen.append(raised.value)
        async with httpx.AsyncClient() as client:
            if other is not None:
                with pytest.raises(other):
                    await client.get(f"{CRM}/owner")
            else:
                response = await client.get(f"{CRM}/owner")
                assert (response.status_code, response.headers["Retry-After"]) == (429, "7")
        return Forward("222")

    one = await _with_crm(tmp_path, ask, _answer(**answer))
    assert one.now.destination == "222"
    if isinstance(seen[0], UpstreamRefused):
        assert (seen[0].status, seen[0].retry_after, seen[0].body) == (429, 7.0, b'{"e": 1}')


async def test_requests_that_are_not_recorded_open_no_circuit(tmp_path: Path) -> None:
    crm = Client(CRM, failures=1)

    async def ask(call: Call) -> Reply:
        for path in ("/other", "/owner/more", "/other"):
            with pytest.raises(UpstreamError, match="is not recorded"):
                await crm.get(path, call=call)
        return Forward((await crm.get("/owner", call=call)).json())

    one = await _with_crm(tmp_path, ask, _answer(body='"222"'))
    assert (one.now.destination, one.attempts) == ("222", 3)


async def test_an_access_token_is_made_up(tmp_path: Path) -> None:
    crm = Client(CRM)

    async def ask(call: Call) -> Reply:
        form = b"grant_type=refresh_token&refresh_token=x"
        token = (await crm.request("POST", "/token", content=form, call=call)).json()
        return Forward("222" if token["access_token"] == "replayed" else "0")

    assert (await _with_crm(tmp_path, ask)).now.destination == "222"


async def test_a_fake_in_the_process_still_answers(tmp_path: Path) -> None:
    fake = httpx.MockTransport(lambda request: httpx.Response(200, json="222"))

    async def ask(call: Call) -> Reply:
        async with httpx.AsyncClient(transport=fake) as client:
            return Forward((await client.get(f"{CRM}/owner")).json())

    assert (await _with_crm(tmp_path, ask)).now.destination == "222"


ASKS = """
import httpx
from receiver import Call, Forward, Ivr, Receiver, Reply
from receiver.upstream import Client, Lookup

ivr = Ivr("8000")
crm = Client("URL")

async def find(number: str) -> str:
    return (await crm.get("/people", params={"number": number})).json()["owner"]

people = Lookup(find, fresh=300, stale=300)

@ivr.dtmf("1;22", auth=None, fallback=Forward("0"))
async def pick(call: Call) -> Reply:
    return Forward(await people(call.caller, call))

app = Receiver(ivr)
"""


async def test_the_command_plays_back_what_the_service_recorded(
    stage: Stage, tmp_path: Path
) -> None:
    crm = Crm(crm_answer(b'{"owner": "201"}'), crm_answer(b'{"owner": "202"}'))
    await crm.start()
    code = ASKS.replace("URL", crm.url)
    (tmp_path / "asks_then.py").write_text(code)
    app = load_app("asks_then:app")
    settings = Settings(secret=SECRET, record=tmp_path / "rec")
    served = Receiver(*app.ivrs, settings=settings)
    async with running(served) as url, httpx.AsyncClient(base_url=url) as http:
        for caller in ("+493012345678", "+493012345678", "+493087654321"):
            fields = {"from": caller, "to": "8000", "input": "1", "session_id": caller}
            await http.post("/action/8000/pick", json=fields)
    await crm.stop()
    assert crm.count == 2  # one of them came from the cache
    (tmp_path / "asks_today.py").write_text(code)
    done = await stage.replay("asks_today:app")
    assert done.exit_code == 0, done.output
    assert "3 callbacks of 2 calls replayed: 0 answers differ" in done.output
    assert "answers of other services, from the recording: 3" in done.output
    assert "connection attempts" not in done.output
    assert "12345678" not in "".join(one.read_text() for one in (tmp_path / "rec").iterdir())
    done = await stage.replay("asks_today:app", "--network")
    assert "call 0 (broken)" in done.output  # it has ended
