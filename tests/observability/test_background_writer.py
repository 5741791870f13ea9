"""A bounded queue that a thread empties: first in, first out, and `put` never waits."""

import os
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from receiver.observability.background_writer import BackgroundWriter, write_all


class Reader:
    """Takes what is written, once it may."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()
        self.taken: list[int] = []
        self.reported: list[int] = []
        self.lost = 0
        self.loses = 0

    def __call__(self, items: list[int], lost: int) -> int:
        assert self.free.wait(60)
        if self.loses < 0:
            raise OSError
        self.reported.append(lost)
        self.taken += items[: len(items) - self.loses]
        return self.loses

    def count(self, many: int) -> None:
        self.lost += many


@pytest.fixture
def reader() -> Reader:
    return Reader()


@pytest.fixture
def writer(reader: Reader) -> Iterator[BackgroundWriter[int]]:
    made = BackgroundWriter(reader, lost=reader.count, max_waiting=10, pause=0, name="of a test")
    yield made
    reader.free.set()
    made.close(30)


def test_all_is_written_in_order(writer: BackgroundWriter[int], reader: Reader) -> None:
    for number in range(5):
        writer.put(number)
    writer.close(30)
    assert (reader.taken, reader.lost) == ([0, 1, 2, 3, 4], 0)


def test_what_comes_after_the_end_begins_anew(
    writer: BackgroundWriter[int], reader: Reader
) -> None:
    for number in range(3):
        writer.put(number)
        writer.close(30)
    assert reader.taken == [0, 1, 2]


def test_items_over_the_limit_are_lost_and_reported(
    writer: BackgroundWriter[int], reader: Reader
) -> None:
    reader.free.clear()
    for number in range(100):
        writer.put(number)
    reader.free.set()
    writer.close(30)
    assert len(reader.taken) + reader.lost == 100
    assert reader.lost >= 80
    writer.put(100)
    writer.close(30)
    assert sum(reader.reported) == reader.lost


@pytest.mark.parametrize("loses", [-1, 1])
def test_failed_writes_are_reported_by_the_next_one(
    writer: BackgroundWriter[int], reader: Reader, loses: int
) -> None:
    reader.loses = loses
    writer.put(1)
    writer.close(30)
    reader.loses = 0
    writer.put(2)
    writer.close(30)
    writer.put(3)
    writer.close(30)
    assert (reader.taken, reader.lost, reader.reported[-2:]) == ([2, 3], 1, [1, 0])


def test_where_no_thread_can_start_nothing_fails(
    writer: BackgroundWriter[int], reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        writer.put(1)
    assert reader.lost == 1
    writer.put(2)
    writer.close(30)
    assert reader.taken == [2]


def test_threads_that_begin_at_once_share_one_writer() -> None:
    """Two writers would each take what the other has counted."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        for _ in range(100):
            writers = set[int]()
            go = threading.Barrier(8)

            def write(items: list[int], lost: int, writers: set[int] = writers) -> int:
                writers.add(threading.get_ident())
                time.sleep(0.001)
                return 0

            spool = BackgroundWriter(
                write, lost=lambda many: None, max_waiting=1000, pause=0.0, name="begin"
            )

            def put(spool: BackgroundWriter[int] = spool, go: threading.Barrier = go) -> None:
                go.wait()
                for number in range(3):
                    spool.put(number)

            threads = [threading.Thread(target=put) for _ in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            spool.close(10)
            assert len(writers) == 1
    finally:
        sys.setswitchinterval(interval)


def test_lines_of_several_writers_do_not_mix_while_a_pipe_is_full() -> None:
    reading, writing = os.pipe()
    long = b"long" * 5000 + b"\n"  # more than a pipe takes atomically
    batches = [(b"%d" % number * 150 + b"\n") * 2000 for number in range(3)]
    threads = [threading.Thread(target=write_all, args=(writing, batch)) for batch in batches]
    for thread in threads:
        thread.start()
    with open(reading, "rb") as pipe:
        lines = [pipe.readline() for _ in range(6000)]
        for thread in threads:
            thread.join()
        write_all(writing, long + b"end\n")
        os.close(writing)
        assert pipe.read() == long + b"end\n"
    assert sorted(lines) == sorted(b"".join(batches).splitlines(keepends=True))
