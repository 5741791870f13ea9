"""The time that the stopwatch of the tests subtracts."""

from __future__ import annotations

import ctypes
import time

import pytest

from tests.stopwatch import Stopwatch


def test_stalls_between_the_two_times_do_not_count() -> None:
    stopwatch = Stopwatch()
    stopwatch._stalls += [(0.0, 1.5), (2.0, 2.25), (3.5, 9.0)]
    assert stopwatch.seconds(1.0, 4.0) == pytest.approx(3.0 - 0.5 - 0.25 - 0.5)
    assert stopwatch.seconds(2.25, 3.5) == 1.25
    assert stopwatch.seconds(4.0, 5.0) == 0.0


def test_a_stall_of_the_process_is_noticed() -> None:
    with Stopwatch() as stopwatch:
        begin = time.monotonic()
        ctypes.PyDLL(None).usleep(500_000)  # with the interpreter's lock: no thread runs
        end = time.monotonic()
        time.sleep(0.1)
        assert stopwatch.seconds(begin, end) <= end - begin - 0.4
