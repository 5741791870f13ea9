"""A queue with a thread: in order, bounded, and nobody waits."""

import threading
from collections.abc import Iterator

import pytest

from receiver.telemetry.spools import Spool


class Reader:
    """Takes what is written, once it may."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()
        self.taken: list[int] = []
        self.told: list[int] = []
        self.lost = 0
        self.loses = 0

    def __call__(self, items: list[int], lost: int) -> int:
        assert self.free.wait(30)
        if self.loses < 0:
            raise OSError
        self.told.append(lost)
        self.taken += items[: len(items) - self.loses]
        return self.loses

    def count(self, many: int) -> None:
        self.lost += many


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def spool(reader: Reader) -> Iterator[Spool[int]]:
    made = Spool(reader, lost=reader.count, most=10, pause=0, name="of a test")
    yield made
    reader.free.set()
    made.close(30)


def test_all_is_written_in_order(spool: Spool[int], reader: Reader) -> None:
    for number in range(5):
        spool.put(number)
    spool.close(30)
    assert (reader.taken, reader.lost) == ([0, 1, 2, 3, 4], 0)


def test_what_comes_after_the_end_begins_anew(spool: Spool[int], reader: Reader) -> None:
    for number in range(3):
        spool.put(number)
        spool.close(30)
    assert reader.taken == [0, 1, 2]


def test_what_does_not_fit_is_lost_and_told(spool: Spool[int], reader: Reader) -> None:
    reader.free.clear()
    for number in range(100):
        spool.put(number)
    reader.free.set()
    spool.close(30)
    assert len(reader.taken) + reader.lost == 100
    assert reader.lost >= 80
    spool.put(100)
    spool.close(30)
    assert sum(reader.told) == reader.lost


@pytest.mark.parametrize("loses", [-1, 1])
def test_what_is_not_written_is_told_once_it_can_be(
    spool: Spool[int], reader: Reader, loses: int
) -> None:
    reader.loses = loses
    spool.put(1)
    spool.close(30)
    reader.loses = 0
    spool.put(2)
    spool.close(30)
    spool.put(3)
    spool.close(30)
    assert (reader.taken, reader.lost, reader.told[-2:]) == ([2, 3], 1, [1, 0])


def test_where_no_thread_can_start_nothing_fails(
    spool: Spool[int], reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        spool.put(1)
    assert reader.lost == 1
    spool.put(2)
    spool.close(30)
    assert reader.taken == [2]
