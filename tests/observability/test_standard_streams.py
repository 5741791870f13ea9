"""The output of handlers that print into pipes without a reader."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import pytest

from receiver.observability.metrics import COUNTS, DROPPED
from receiver.observability.standard_streams import BackgroundRawIO, printed


def until(found: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not found():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_a_full_pipe_drops_and_counts_lines_without_blocking(
    caplog: pytest.LogCaptureFixture,
) -> None:
    read, write = os.pipe()
    raw, before = BackgroundRawIO(write, "stdout", max_waiting=4), COUNTS.cell(DROPPED)[0]
    begin = time.monotonic()
    for _ in range(100):
        raw.write(b"x" * 4096)
    while COUNTS.cell(DROPPED)[0] == before:  # the thread may empty the queue once or twice
        raw.write(b"x" * 4096)
    assert time.monotonic() - begin < 60
    os.set_blocking(read, False)

    def drained() -> bool:
        try:
            os.read(read, 65536)
        except BlockingIOError:
            raw.write(b"more\n")
        return "lines printed to stdout could not be written" in caplog.text

    until(drained)
    os.close(read)
    raw.end()
    os.close(write)


def test_what_is_printed_comes_in_order_and_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    read, write = os.pipe()
    with os.fdopen(write, "w") as stdout, os.fdopen(read) as lines:
        monkeypatch.setattr(sys, "stdout", stdout)
        with printed():
            assert sys.stdout is not stdout
            assert sys.stdout.fileno() == stdout.fileno()
            for number in range(100):
                print(number, end="," if number < 99 else "\n")
            sys.stdout.buffer.write(b"octets\n")
            sys.stdout.flush()
        assert sys.stdout is stdout
        assert lines.readline() == ",".join(map(str, range(100))) + "\n"
        assert lines.readline() == "octets\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="POSIX")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_forked_child_writes_for_itself() -> None:
    """The child may end without cleanup, as those of `multiprocessing` do."""
    read, write = os.pipe()
    raw = BackgroundRawIO(write, "stdout")
    if (child := os.fork()) == 0:
        raw.write(b"from the child\n")
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 100) == b"from the child\n"
    os.close(read)
    os.close(write)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="POSIX")
def test_a_terminal_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    near, far = os.openpty()
    with os.fdopen(far, "w") as terminal:
        monkeypatch.setattr(sys, "stdout", terminal)
        with printed():
            assert sys.stdout is terminal
    os.close(near)


def test_a_stream_that_is_closed_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with printed():
        assert sys.stdout is None
