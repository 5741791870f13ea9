"""Callbacks through the app into files: bounded, private, and no callback waits."""

import asyncio
import errno
import json
import logging
import os
import stat
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from receiver import Call, Forward, Receiver, Settings
from receiver.callbacks.observer import Times
from receiver.dispatch.dispatcher import Decision
from receiver.observability.metrics import COUNTS, UNRECORDED
from receiver.recording.format import Recorded, RecordingError
from receiver.recording.reader import read
from receiver.recording.recorder import Recorder
from receiver.recording.recording_files import Files
from receiver.server.uvicorn_server import running
from receiver.upstream import Client
from receiver.upstream.request_observer import OBSERVER
from tests.recording.recorded_actions import action, lines, make_app, make_ivr
from tests.support import FIELDS, SECRET
from tests.upstream.stage import Crm
from tests.upstream.stage import answer as answer_of

TIMES = Times(0, 1, 2, 3, 4)
ANSWER = Decision(Forward("222"), "handled")


@asynccontextmanager
async def served(app: Receiver) -> AsyncIterator[httpx.AsyncClient]:
    async with running(app) as url, httpx.AsyncClient(base_url=url) as http:
        yield http


def make(folder: Path, **more: Any) -> tuple[Recorder, Callable[[Call, Decision, Times], None]]:
    made = Recorder(folder, SECRET, make_ivr(), **more)
    return made, made.of(action("pick"))


def lost() -> float:
    return COUNTS.cell(UNRECORDED)[0]


async def test_a_callback_is_written_as_a_line(tmp_path: Path) -> None:
    async with served(make_app(tmp_path)) as http:
        for path in ("known", "pick"):
            await http.post(f"/action/8000/{path}", json={**FIELDS, "input": "1742"})
    known, pick = lines(tmp_path)
    assert (known["kind"], pick["kind"]) == ("CALLER", "DTMF")
    assert known["session"] == pick["session"]
    assert pick["masked"] == ["digits", "caller", "caller_name", "session_id"]
    assert (pick["decision"], pick["destination"]) == ("call", "222")
    text = "".join(path.read_text() for path in tmp_path.iterdir())
    assert "1742" not in text
    assert "Jason" not in text


async def test_the_answers_of_other_services_are_recorded_masked(tmp_path: Path) -> None:
    seen: list[object] = []
    crm = Crm(answer_of(b'{"name": "Jason Doe", "owner": "222", "stage": "lead", "id": 8812}'))
    await crm.start()
    client = Client(crm.url)

    async def asks(call: Call) -> Forward:
        seen.append(OBSERVER.get())
        await client.get(f"/people/{call.caller}/{call.digits}", params={"q": call.caller_name})
        return Forward("222")

    async with served(make_app(tmp_path, asks, record_fields=("stage",))) as http:
        await http.post("/action/8000/pick", json={**FIELDS, "input": "1742"})
        await http.post("/action/8000/pin", json={**FIELDS, "input": "4711"})
    await client.aclose()
    await crm.stop()
    pick, pin = lines(tmp_path)
    [found] = pick["upstream"]
    assert found | {"body": ""} == {
        "method": "GET",
        "host": crm.url.removeprefix("http://"),
        "path": "/people/*/*",
        "status": 200,
        "body": "",
    }
    body = json.loads(found["body"])
    assert (body["owner"], body["stage"]) == ("222", "lead")
    assert (len(body["name"]), len(str(body["id"]))) == (9, 4)
    assert pin["upstream"] == []
    assert [one is None for one in seen] == [False, True]  # nothing is kept of a sensitive action
    assert OBSERVER.get() is None
    assert not [one for one in ("Jason", "1742", "8812", "101") if one in found["body"]]


async def test_without_a_recording_no_request_is_observed() -> None:
    async def asks(call: Call) -> Forward:
        return Forward("222" if OBSERVER.get() is None else "333")

    ivr = make_ivr(asks)
    async with served(Receiver(ivr, settings=Settings(secret=SECRET))) as http:
        answer = await http.post("/action/8000/pick", json={**FIELDS, "input": "1742"})
    assert answer.json()["destination"] == "222"


async def test_aloud_the_digits_are_shown(tmp_path: Path) -> None:
    async with served(make_app(tmp_path, record_caller_data=True)) as http:
        await http.post("/action/8000/pick", json={**FIELDS, "input": "1742"})
        await http.post("/action/8000/pin", json={**FIELDS, "input": "4711"})
    pick, pin = lines(tmp_path)
    assert (pick["digits"], pick["caller"], pick["caller_name"]) == ("1742", "101", "Jason")
    assert pin["digits"] == {"form": "dddd"}
    assert "digits" in pin["masked"]


async def test_the_log_being_open_does_not_open_the_recording(tmp_path: Path) -> None:
    async with served(make_app(tmp_path, log_caller_data=True)) as http:
        await http.post("/action/8000/pick", json={**FIELDS, "input": "1742"})
    assert lines(tmp_path)[0]["digits"]["form"] == "dddd"


async def test_what_could_not_be_read_and_what_was_late_is_recorded(tmp_path: Path) -> None:
    async def late(call: Call) -> Forward:
        await asyncio.Event().wait()
        raise AssertionError

    async with served(make_app(tmp_path, late, margin=0.99)) as http:
        await http.post("/action/8000/pick", content=b"nonsense")
        await http.post("/action/8000/pick", json=FIELDS)
    assert [line["reason"] for line in lines(tmp_path)] == ["invalid", "late"]
    (first,) = read(tmp_path).calls[0]
    assert first.is_empty


async def test_by_default_nothing_is_recorded(tmp_path: Path) -> None:
    app = Receiver(make_ivr(), settings=None)
    assert app._settings == {}
    async with served(make_app(None)) as http:  # type: ignore[arg-type]
        await http.post("/action/8000/pick", json=FIELDS)
    assert not list(tmp_path.iterdir())


def test_files_are_for_their_owner_only(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        made, record = make(tmp_path)
        record(Call(digits="1"), ANSWER, TIMES)
        made.close()
    finally:
        os.umask(before)
    (path,) = tmp_path.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_several_workers_share_a_folder(tmp_path: Path) -> None:
    workers = [make(tmp_path) for _ in range(3)]
    for number in range(30):
        workers[number % 3][1](Call(digits="1", session_id=str(number)), ANSWER, TIMES)
    for made, _ in workers:
        made.close()
    assert len(list(tmp_path.iterdir())) == 3
    assert len(read(tmp_path).calls) == 30


def test_all_files_together_are_bounded_and_the_oldest_go_first(tmp_path: Path) -> None:
    clock = iter(range(10_000))
    files = [Files(tmp_path, 10_000, clock=lambda: next(clock)) for _ in range(2)]
    for number in range(1000):
        files[number % 2].write(b"%05d %s\n" % (number, b"x" * 93))
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 10_000
    for one in files:
        one.close()
    kept = sorted(
        int(line[:5]) for path in tmp_path.iterdir() for line in path.read_text().splitlines()
    )
    assert len(kept) > 50
    assert kept[-1] == 999
    assert min(kept) > 800


def test_a_deleted_file_is_replaced(tmp_path: Path) -> None:
    files = Files(tmp_path, 10_000)
    files.write(b"one\n")
    next(tmp_path.iterdir()).unlink()
    files.write(b"two\n")
    files.close()
    assert [path.read_text() for path in tmp_path.iterdir()] == ["two\n"]


def test_a_partial_line_that_cannot_be_undone_ends_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(errno.EIO, "Input/output error")

    files = Files(tmp_path, 10_000)
    files.write(b"one\n")
    with monkeypatch.context() as broken:
        broken.setattr(os, "write", refuse)
        broken.setattr(os, "ftruncate", refuse)
        with pytest.raises(OSError, match="Input/output"):
            files.write(b"two\n")
    files.write(b"three\n")
    files.close()
    assert sorted(path.read_text() for path in tmp_path.iterdir()) == ["one\n", "three\n"]


def test_a_forked_child_has_its_own_file(tmp_path: Path) -> None:
    made, record = make(tmp_path)
    record(Call(digits="1"), ANSWER, TIMES)
    made.close()
    made._writer._forks = made._files._pid = -1  # what a child of a fork finds
    record(Call(digits="22"), ANSWER, TIMES)
    made.close()
    assert len(list(tmp_path.iterdir())) == 2


def test_lines_lost_on_a_full_disk_are_counted_and_logged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write, full = os.write, True

    def half(fd: int, content: memoryview) -> int:
        if full and len(content) < 100:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(fd, content[: len(content) - 50] if full else content)

    monkeypatch.setattr(os, "write", half)
    before = lost()
    made, record = make(tmp_path)
    for number in range(5):
        record(Call(digits="1", session_id=str(number)), ANSWER, TIMES)
    made.close()
    assert lost() - before == 5
    assert "in RECEIVER_RECORD: no space left on device; calls are not affected" in caplog.text
    full = False
    record(Call(digits="1"), ANSWER, TIMES)
    made.close()
    found = read(tmp_path)
    assert (len(found.calls), found.damaged, found.lost) == (1, 0, 5)


def test_a_missing_folder_is_created_for_its_owner_only(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "there"
    made, record = make(folder)
    record(Call(digits="1"), ANSWER, TIMES)
    made.close()
    assert len(read(folder).calls) == 1
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_file_in_the_place_of_the_folder_affects_no_call(tmp_path: Path) -> None:
    before = lost()
    (tmp_path / "file").touch()
    made, record = make(tmp_path / "file")
    record(Call(digits="1"), ANSWER, TIMES)
    made.close()
    assert lost() - before == 1


def test_a_record_that_cannot_be_written_costs_no_other(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = lost()
    made, record = make(tmp_path)
    record(Call(ivr="\ud800"), ANSWER, TIMES)
    record(Call(digits="1"), ANSWER, TIMES)
    made.close()
    assert lost() - before == 1
    assert len(read(tmp_path).calls) == 1


def test_no_callback_waits_for_a_disk_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free, write = threading.Event(), os.write

    def hang(fd: int, content: memoryview) -> int:
        assert free.wait(60)
        return write(fd, content)

    monkeypatch.setattr(os, "write", hang)
    before = lost()
    made, record = make(tmp_path, max_waiting=10)
    for _ in range(100):
        record(Call(digits="1"), ANSWER, TIMES)  # does not wait
    free.set()
    made.close()
    assert 80 <= lost() - before <= 90
    assert sum(len(call) for call in read(tmp_path).calls) == 100 - (lost() - before)


# reading -------------------------------------------------------------------------------------


def test_the_callbacks_of_a_call_are_grouped_in_order(tmp_path: Path) -> None:
    now = 1_800_000_000.0

    def clock() -> float:
        nonlocal now
        now += 1
        return now

    workers = [make(tmp_path, clock=clock) for _ in range(2)]
    for number in range(6):
        workers[number % 2][1](Call(digits=str(number), session_id=str(number % 3)), ANSWER, TIMES)
    for made, _ in workers:
        made.close()
    calls = read(tmp_path).calls
    assert [len(call) for call in calls] == [2, 2, 2]
    assert all(one.time < two.time for one, two in calls)
    (only,) = read(tmp_path, session=calls[1][0].session[:6]).calls
    assert only == calls[1]
    assert read(tmp_path, ivr="8000").calls == calls
    assert not read(tmp_path, ivr="9000").calls


@pytest.mark.parametrize(("gap", "caller", "calls"), [(59, "101", 1), (61, "101", 2), (1, "", 2)])
def test_without_a_session_the_caller_tells_the_call_for_a_while(
    tmp_path: Path, gap: int, caller: str, calls: int
) -> None:
    times = iter([1_800_000_000.0, 1_800_000_000.0 + gap, 1.0])
    made, record = make(tmp_path, clock=lambda: next(times))
    for _ in range(2):
        record(Call(caller=caller, ivr="8000", digits="1"), ANSWER, TIMES)
    made.close()
    assert len(read(tmp_path).calls) == calls


def test_a_line_cut_off_is_counted(tmp_path: Path) -> None:
    made, record = make(tmp_path)
    for number in range(2):
        record(Call(digits="1", session_id=str(number)), ANSWER, TIMES)
    made.close()
    (path,) = tmp_path.iterdir()
    path.write_bytes(path.read_bytes()[:-20])
    found = read(path)
    assert (len(found.calls), found.damaged) == (1, 1)
    assert isinstance(found.calls[0][0], Recorded)


def test_errors_of_reading_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="RECEIVER_RECORD"):
        read(tmp_path)
    with pytest.raises(RecordingError, match="No such file"):
        read(tmp_path / "nothing")


def test_a_time_that_is_none(tmp_path: Path) -> None:
    made, record = make(tmp_path)
    for _ in range(2):
        record(Call(digits="1", caller="101"), ANSWER, TIMES)
    made.close()
    (path,) = tmp_path.iterdir()
    path.write_text(path.read_text().replace('"time":"2', '"time":"x'))
    with pytest.raises(RecordingError, match="altered"):
        read(path)


@pytest.mark.parametrize(("shown", "how"), [(True, "with digits"), (False, "masked")])
def test_the_log_says_that_callbacks_are_recorded_and_how(
    caplog: pytest.LogCaptureFixture, tmp_path: Path, shown: bool, how: str
) -> None:
    with caplog.at_level(logging.INFO):
        made, record = make(tmp_path, caller_data=shown)
        record(Call(digits="1742"), ANSWER, TIMES)
        made.close()
    (line,) = caplog.messages
    assert how in line
