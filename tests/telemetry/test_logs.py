"""Where log lines go: one a record, whatever is in it, and nobody waits for them."""

import json
import logging
import os
import threading
import time
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from receiver.telemetry import logs
from receiver.telemetry.counts import COUNTS, DROPPED
from receiver.telemetry.logs import Json, People, Spool
from tests.telemetry.test_records import MASKED, SHOWN

HOSTILE = 'a\nb\r\x1b[2J\x7f\x9b\u202e\u2028\ud800"}'


def line(msg: object, *args: object, error: BaseException | None = None) -> logging.LogRecord:
    info = error and (type(error), error, error.__traceback__)
    made = logging.LogRecord("receiver", logging.ERROR, "", 0, "", args, info or None)
    made.msg = msg
    made.created, made.msecs = 1_800_000_000.25, 250.0
    return made


def raised(text: str) -> BaseException:
    try:
        raise LookupError(text)
    except LookupError as error:
        return error


def test_a_record_in_json() -> None:
    assert json.loads(Json().format(line(MASKED))) == {
        "time": "2027-01-15T08:00:00.250Z",
        "level": "ERROR",
        "logger": "receiver",
        "message": "callback",
        **MASKED.fields(),
    }


@pytest.mark.parametrize("record", [line("%s", HOSTILE), line(replace(SHOWN, digits=HOSTILE))])
def test_hostile_text_in_json_is_one_line_of_ascii_and_comes_back_whole(
    record: logging.LogRecord,
) -> None:
    text = Json().format(record)
    assert text.isascii()
    assert text.isprintable()
    assert HOSTILE in json.loads(text).values()


@pytest.mark.parametrize("record", [line("%s", HOSTILE), line(replace(SHOWN, digits=HOSTILE))])
def test_hostile_text_for_people_begins_no_line(record: logging.LogRecord) -> None:
    first, *more = People().format(record).split("\n")
    assert "ERROR" in first
    assert all(one.startswith("    ") for one in more)
    for sign in "\r\x1b\x7f\x9b\u202e\u2028":
        assert sign not in first + "".join(more)


@pytest.mark.parametrize("form", [People, Json])
def test_the_text_of_an_exception_is_withheld(form: type[People | Json]) -> None:
    record = line("broke", error=raised("no customer 4111"))
    record.exc_text = "LookupError: no customer 4111"  # as another handler leaves it
    hidden, shown = form().format(record), form(True).format(record)
    assert "LookupError" in hidden
    assert "test_logs.py" in hidden
    assert "4111" not in hidden.replace("raise LookupError(text)", "")
    assert "no customer 4111" in shown


class Disk:
    """Takes lines, once it may, or breaks."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.taken: list[str] = []
        self.wrote = threading.Event()
        self.full = False

    def __call__(self, octets: bytes) -> None:
        assert self.free.wait(10)
        self.wrote.set()
        if self.full:
            raise OSError(28, "No space left on device")
        self.taken += octets.decode().splitlines()


@pytest.fixture
def disk() -> Iterator[Disk]:
    made = Disk()
    yield made
    made.free.set()


@pytest.fixture
def spool(disk: Disk) -> Iterator[Spool]:
    made = Spool(disk, most=5)
    made.setFormatter(logging.Formatter("%(message)s"))
    yield made
    disk.free.set()
    made.close()


def test_a_blocked_reader_holds_nobody_up_and_what_is_lost_is_told(
    spool: Spool, disk: Disk
) -> None:
    before = COUNTS.cell(DROPPED)[0]
    began = time.monotonic()
    for number in range(100):
        spool.handle(line("line %d", number))
    assert time.monotonic() - began < 1  # the reader waits up to ten
    disk.free.set()
    spool.close()
    lost = int(COUNTS.cell(DROPPED)[0] - before)
    assert 89 <= lost <= 95
    assert len([one for one in disk.taken if one.startswith("line ")]) == 100 - lost
    # In two lines, if the writer began while some were lost already.
    told = [one for one in disk.taken if one.endswith(" log lines could not be written")]
    assert sum(int(one.partition(" ")[0]) for one in told) == lost


def test_a_full_disk_is_survived(spool: Spool, disk: Disk) -> None:
    disk.full = True
    disk.free.set()
    spool.handle(line("lost"))
    assert disk.wrote.wait(10)
    disk.full = False
    spool.handle(line("written"))
    spool.close()
    assert disk.taken[-1] == "written"
    assert "lost" not in disk.taken


def test_lines_that_cannot_be_made_break_nothing(spool: Spool, disk: Disk) -> None:
    disk.free.set()
    spool.handle(line("%d", "no number"))
    spool.setFormatter(None)
    spool.handle(line(MASKED, "too", "many"))
    spool.close()
    assert disk.taken[0] == "%d (its arguments do not fit)"
    assert "could not be formatted" in disk.taken[1]


def test_a_closed_end_is_not_waited_for(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "CLOSING", 0.05)
    stuck = Spool(disk)
    stuck.handle(line("x"))
    stuck.close()
    assert not disk.taken


def test_the_child_of_a_fork_writes_its_own_lines() -> None:
    reading, writing = os.pipe()
    spool = Spool(lambda octets: os.write(writing, octets))
    spool.handle(line("parent"))
    spool.close()
    assert os.read(reading, 99).endswith(b"parent\n")
    spool._spool._forks = -1  # what a child of a fork finds
    spool.handle(line("child"))
    spool.close()
    assert os.read(reading, 99).endswith(b"child\n")
    os.close(reading)
    os.close(writing)


def test_all_that_is_logged_is_written_in_one_form() -> None:
    reading, writing = os.pipe()
    with logs.written("json", fd=writing):
        logging.getLogger("receiver.pbx").error("a\nb")
        logging.getLogger("somebody.else").error("c")
    os.close(writing)
    with os.fdopen(reading) as lines:
        found = [json.loads(one) for one in lines]
    assert [(one["logger"], one["message"]) for one in found] == [
        ("receiver.pbx", "a\nb"),
        ("somebody.else", "c"),
    ]
    assert not any(isinstance(one, Spool) for one in logging.getLogger().handlers)


def test_the_access_log_of_uvicorn_has_no_query_strings(caplog: pytest.LogCaptureFixture) -> None:
    logs.hide_queries()
    caplog.set_level(1, "uvicorn.access")
    caplog.set_level(1, "uvicorn.asgi")
    logging.getLogger("uvicorn.access").info(
        '%s - "%s %s HTTP/%s" %d', "192.0.2.1:9", "GET", "/action/8000/x?input=4111", "1.1", 200
    )
    logging.getLogger("uvicorn.asgi").log(5, "Started scope=%s", {"query_string": b"input=4111"})
    assert caplog.messages == ['192.0.2.1:9 - "GET /action/8000/x HTTP/1.1" 200']
