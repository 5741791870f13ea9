"""Logging: one line for each record, with any content, written without blocking."""

import json
import logging
import os
import threading
import time
from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from receiver.observability import log_setup
from receiver.observability.callback_record import Record
from receiver.observability.log_format import Json, TextFormatter
from receiver.observability.log_setup import BackgroundHandler
from receiver.observability.metrics import COUNTS, DROPPED
from tests.observability.test_callback_record import MASKED, SHOWN

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
    first, *more = TextFormatter().format(record).split("\n")
    assert "ERROR" in first
    assert all(one.startswith("    ") for one in more)
    for sign in "\r\x1b\x7f\x9b\u202e\u2028":
        assert sign not in first + "".join(more)


@pytest.mark.parametrize("form", [TextFormatter, Json])
def test_the_text_of_an_exception_is_withheld(form: type[TextFormatter | Json]) -> None:
    record = line("broke", error=raised("no customer 4111"))
    record.exc_text = "LookupError: no customer 4111"  # as another handler leaves it
    hidden, shown = form().format(record), form(True).format(record)
    assert "LookupError" in hidden
    assert "test_log_setup.py" in hidden
    assert "4111" not in hidden.replace("raise LookupError(text)", "")
    assert "no customer 4111" in shown


@pytest.mark.parametrize("form", [TextFormatter(), Json()])
@pytest.mark.parametrize("record", [MASKED, SHOWN, replace(SHOWN, digits=HOSTILE)])
def test_the_line_of_a_callback_is_that_of_its_log_record(
    form: TextFormatter | Json, record: Record
) -> None:
    when = 1_800_000_000.25
    assert form.callback(record, when) == form.format(log_setup.line_of(record, when))


class Disk:
    """Takes lines, once it may, or breaks."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.taken: list[str] = []
        self.wrote = threading.Event()
        self.full = False

    def __call__(self, octets: bytes) -> None:
        assert self.free.wait(60)
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
def handler(disk: Disk) -> Iterator[BackgroundHandler]:
    made = BackgroundHandler(disk, max_waiting=5)
    made.setFormatter(logging.Formatter("%(message)s"))
    yield made
    disk.free.set()
    made.close()


def test_a_blocked_reader_blocks_no_logger_and_lost_lines_are_reported(
    handler: BackgroundHandler, disk: Disk
) -> None:
    before = COUNTS.cell(DROPPED)[0]
    began = time.monotonic()
    for number in range(100):
        handler.handle(line("line %d", number))
    assert time.monotonic() - began < 30  # the reader waits for twice as long
    disk.free.set()
    handler.close()
    lost = int(COUNTS.cell(DROPPED)[0] - before)
    assert 89 <= lost <= 95
    assert len([one for one in disk.taken if one.startswith("line ")]) == 100 - lost
    # In two lines, if the writer began while some were lost already.
    reports = [one for one in disk.taken if one.endswith(" log lines could not be written")]
    assert sum(int(one.partition(" ")[0]) for one in reports) == lost


def test_a_full_disk_is_survived(handler: BackgroundHandler, disk: Disk) -> None:
    disk.full = True
    disk.free.set()
    handler.handle(line("lost"))
    assert disk.wrote.wait(60)
    disk.full = False
    handler.handle(line("written"))
    handler.close()
    assert disk.taken[-1] == "written"
    assert "lost" not in disk.taken


def test_lines_that_cannot_be_made_break_nothing(handler: BackgroundHandler, disk: Disk) -> None:
    disk.free.set()
    handler.handle(line("%d", "no number"))
    handler.setFormatter(None)
    handler.handle(line(MASKED, "too", "many"))
    handler.close()
    assert disk.taken[0] == "%d (its arguments do not fit)"
    assert "could not be formatted" in disk.taken[1]


def test_a_closed_end_is_not_waited_for(disk: Disk) -> None:
    stuck = BackgroundHandler(disk, close_timeout=0.05)
    stuck.handle(line("x"))
    stuck.close()
    assert not disk.taken


def test_the_child_of_a_fork_writes_its_own_lines() -> None:
    reading, writing = os.pipe()
    handler = BackgroundHandler(lambda octets: os.write(writing, octets))
    handler.handle(line("parent"))
    handler.close()
    assert os.read(reading, 99).endswith(b"parent\n")
    handler._writer._forks = -1  # what a child of a fork finds
    handler.handle(line("child"))
    handler.close()
    assert os.read(reading, 99).endswith(b"child\n")
    os.close(reading)
    os.close(writing)


def test_all_that_is_logged_is_written_in_one_form() -> None:
    reading, writing = os.pipe()
    with log_setup.written("json", fd=writing):
        logging.getLogger("receiver.pbx").error("a\nb")
        logging.getLogger("another.logger").error("c")
    os.close(writing)
    with os.fdopen(reading) as lines:
        found = [json.loads(one) for one in lines]
    assert [(one["logger"], one["message"]) for one in found] == [
        ("receiver.pbx", "a\nb"),
        ("another.logger", "c"),
    ]
    assert not any(isinstance(one, BackgroundHandler) for one in logging.getLogger().handlers)


def test_the_access_log_of_uvicorn_has_no_query_strings(caplog: pytest.LogCaptureFixture) -> None:
    log_setup.hide_queries()
    caplog.set_level(1, "uvicorn.access")
    caplog.set_level(1, "uvicorn.asgi")
    logging.getLogger("uvicorn.access").info(
        '%s - "%s %s HTTP/%s" %d', "192.0.2.1:9", "GET", "/action/8000/x?input=4111", "1.1", 200
    )
    logging.getLogger("uvicorn.asgi").log(5, "Started scope=%s", {"query_string": b"input=4111"})
    assert caplog.messages == ['192.0.2.1:9 - "GET /action/8000/x HTTP/1.1" 200']


class Late:
    """A callback that is settled in the thread that writes."""

    when = 1_800_000_000.25

    def settle(self) -> Record | None:
        return MASKED


def messages_beside(other: logging.Handler) -> list[str]:
    """Return the messages in the log of three callbacks, which ``other`` handles too."""
    reading, writing = os.pipe()
    logging.getLogger("receiver").addHandler(other)
    try:
        with log_setup.written("json", fd=writing):
            for _ in range(3):
                assert log_setup.BACKGROUND_HANDLERS[-1].put_deferred(Late())
    finally:
        logging.getLogger("receiver").removeHandler(other)
        os.close(writing)
    with os.fdopen(reading) as lines:
        return [json.loads(one)["message"] for one in lines]


def test_callbacks_that_other_handlers_get_too_are_not_lost_at_the_end() -> None:
    """They come back to the queue, the last ones when it is about to be closed."""
    other = Others()
    assert messages_beside(other) == ["callback"] * 3
    assert len(other.taken) == 3


class Others(logging.Handler):
    """A handler of the app."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.taken.append(record)


def test_a_callback_without_room_is_counted_as_lost_once(handler: BackgroundHandler) -> None:
    for number in range(20):  # the disk is blocked
        handler.handle(line("line %d", number))
    before = COUNTS.cell(DROPPED)[0]
    assert not handler.put_deferred(Late())
    handler.handle(line(MASKED))  # what is done then
    assert COUNTS.cell(DROPPED)[0] - before == 1


def test_a_fork_while_callbacks_are_counted_does_not_block_the_child() -> None:
    reading, writing = os.pipe()
    spool = BackgroundHandler(lambda octets: os.write(writing, octets))
    spool._settling.acquire()  # by the thread that writes, at the fork
    spool._writer._forks = spool._forks = -1  # what a child of a fork finds
    spool.handle(line("child"))
    spool.close()
    os.close(writing)
    with os.fdopen(reading) as lines:
        assert lines.read() == "child\n"


class Failing(logging.Handler):
    """A handler of the app that fails at its first line."""

    has_failed = False

    def emit(self, record: logging.LogRecord) -> None:
        if not self.has_failed:
            self.has_failed = True
            raise LookupError


class Broken(Late):
    def settle(self) -> Record | None:
        raise LookupError


def test_a_handler_of_the_app_that_fails_costs_one_line() -> None:
    before = COUNTS.cell(DROPPED)[0]
    assert messages_beside(Failing()).count("callback") == 2
    assert COUNTS.cell(DROPPED)[0] - before == 1


def test_a_callback_that_cannot_be_counted_does_not_cost_the_others() -> None:
    reading, writing = os.pipe()
    with log_setup.written("json", fd=writing):
        for one in (Late(), Broken(), Late()):
            assert log_setup.BACKGROUND_HANDLERS[-1].put_deferred(one)
    os.close(writing)
    with os.fdopen(reading) as lines:
        assert [json.loads(one)["message"] for one in lines] == ["callback"] * 2
