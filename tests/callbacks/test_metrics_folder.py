"""The counts of workers that were killed: kept, each once, in one file."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from receiver.callbacks.metrics_folder import TOTAL, Folder
from receiver.observability.log_setup import BACKGROUND_HANDLERS, BackgroundHandler
from receiver.observability.metrics import DROPPED, LAG, Counts, add_up

WORKER = """
import sys
from pathlib import Path
from receiver.callbacks.metrics_folder import Folder
from receiver.observability.metrics import DROPPED, LAG, Counts

counts = Counts()
folder = Folder(counts, Path(sys.argv[1]))
for line in sys.stdin:
    for _ in range(int(line)):
        counts.add(DROPPED)
        counts.observe(LAG, (), 0.5)
    folder.write()
    print("written", flush=True)
"""


class Worker:
    """A process that counts, and leaves its counts in the folder."""

    def __init__(self, folder: Path) -> None:
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", WORKER, str(folder)]
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def begin(self, count: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()

    def end(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "written\n"

    def count(self, count: int) -> None:
        self.begin(count)
        self.end()

    def kill(self) -> None:
        self._process.send_signal(signal.SIGKILL)
        self._process.communicate()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Callable[[], Worker]]:
    made = list[Worker]()

    def one_more() -> Worker:
        made.append(Worker(tmp_path))
        return made[-1]

    yield one_more
    for one in made:
        one.kill()


@pytest.fixture
def survivor(tmp_path: Path) -> Iterator[Folder]:
    folder = Folder(Counts(), tmp_path)
    folder.write()
    yield folder
    folder.close()


def counted(folder: Folder) -> tuple[int, int]:
    total = add_up(folder.read())
    dropped = sum(cell[0] for _, cell in total[DROPPED.name])
    lag = sum(sum(cell[:-1]) for _, cell in total[LAG.name] if len(cell) == LAG.cells)
    return int(dropped), int(lag)


def files(path: Path) -> list[str]:
    return sorted(file.name for file in path.iterdir())


def test_killed_workers_leave_their_counts_and_no_files(
    worker: Callable[[], Worker], survivor: Folder, tmp_path: Path
) -> None:
    own = files(tmp_path)
    for generation in range(1, 4):
        workers = [worker() for _ in range(3)]
        for one in workers:
            one.count(5)
        for one in workers:
            one.kill()
        assert counted(survivor) == (15 * generation, 15 * generation)
        survivor.write()
        assert counted(survivor) == (15 * generation, 15 * generation)
        assert files(tmp_path) == sorted([*own, f"{TOTAL}.json"])


def test_several_workers_that_add_up_at_once_count_nothing_twice(
    worker: Callable[[], Worker], survivor: Folder, tmp_path: Path
) -> None:
    for _ in range(5):
        dead, *others = (worker() for _ in range(3))
        for one in (dead, *others):
            one.count(1)
        dead.kill()
        for one in others:
            one.begin(0)
        survivor.write()
        for one in others:
            one.end()
            one.kill()
    survivor.write()
    assert counted(survivor) == (15, 15)
    assert len(files(tmp_path)) == 3


def test_a_worker_killed_between_adding_and_removing_is_counted_once(
    worker: Callable[[], Worker], survivor: Folder, tmp_path: Path
) -> None:
    before = set(tmp_path.glob("*.json"))
    dead = worker()
    dead.count(7)
    (left,) = set(tmp_path.glob("*.json")) - before
    octets = left.read_bytes()
    dead.kill()
    survivor.write()
    left.write_bytes(octets)  # as if it had not been removed
    assert counted(survivor) == (7, 7)
    survivor.write()
    assert counted(survivor) == (7, 7)
    assert not left.exists()


def test_a_worker_that_runs_keeps_its_file(
    worker: Callable[[], Worker], survivor: Folder, tmp_path: Path
) -> None:
    living = worker()
    living.count(2)
    before = files(tmp_path)
    survivor.write()
    assert files(tmp_path) == before
    living.count(2)
    assert counted(survivor) == (4, 4)


def about(path: Path) -> Callable[[str], Folder]:
    """Return what makes the folder of a worker that describes itself as process ``pid``."""

    def make(pid: str) -> Folder:
        return Folder(Counts(), path, describe=lambda: {"process_x": [((pid,), [1.0])]})

    return make


def processes(folder: Folder) -> list[str]:
    return sorted(labels[0] for labels, _ in add_up(folder.read())["process_x"])


def test_only_running_workers_are_described(tmp_path: Path) -> None:
    one, two = map(about(tmp_path), ("1", "2"))
    for folder in (one, two):
        folder.write()
    assert processes(one) == ["1", "2"]
    two.close()
    one.write()
    assert processes(one) == ["1"]
    one.close()
    assert "process_x" not in (tmp_path / f"{TOTAL}.json").read_text()


def test_the_process_of_each_ended_worker_is_named_once(tmp_path: Path) -> None:
    ended = list[int]()
    folder = Folder(Counts(), tmp_path, ended=ended.append)
    folder.write()
    for name in ("7-a.json", "8-b.lock", f"{os.getpid()}-c.lock", "x.lock", "²-d.lock"):
        (tmp_path / name).write_text("{}")
    folder.write()
    folder.write()
    folder.close()
    assert sorted(ended) == [7, 8]


def test_a_worker_killed_before_it_wrote_leaves_no_files(survivor: Folder, tmp_path: Path) -> None:
    before = files(tmp_path)
    for name in ("9-a.lock", "9-a.json.new", "8-b.lock"):
        (tmp_path / name).touch()
    survivor.write()
    assert files(tmp_path) == before


def test_counts_of_another_version_stay_apart(survivor: Folder, tmp_path: Path) -> None:
    old = f'{{"{LAG.name}":[[[],[1.0,2.0]]],"gone":[[["x"],[1.0]]]}}'
    for name in ("1-a.json", "2-b.json"):
        (tmp_path / name).write_text(old)
        survivor.write()
    assert counted(survivor) == (0, 0)
    assert "[[],[2.0,4.0]]" in (tmp_path / f"{TOTAL}.json").read_text()


def test_a_total_that_is_no_total_is_passed_over(
    worker: Callable[[], Worker], survivor: Folder, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / f"{TOTAL}.json").write_bytes(b"{")
    dead = worker()
    dead.count(3)
    assert counted(survivor) == (3, 3)
    assert "the counts of dead workers in RECEIVER_METRICS_FOLDER cannot be read" in caplog.text
    dead.kill()
    survivor.write()
    assert counted(survivor) == (3, 3)


def test_a_worker_whose_files_were_removed_is_not_taken_for_dead(
    worker: Callable[[], Worker], survivor: Folder, tmp_path: Path
) -> None:
    one = worker()
    one.count(3)
    for file in tmp_path.iterdir():
        file.unlink()
    for step in range(3):
        one.count(1)
        survivor.write()
        assert counted(survivor) == (4 + step, 4 + step)


@pytest.mark.parametrize("name", [TOTAL, "1-0"])
def test_json_that_is_nested_too_deep_is_passed_over(
    survivor: Folder, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / f"{name}.json").write_text('{"a":' * 100_000)
    assert counted(survivor) == (0, 0)
    survivor.write()
    assert "RECEIVER_METRICS_FOLDER cannot be read" in caplog.text


class Late:
    """A callback that is counted in the thread that writes the log."""

    when = 0.0

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    def settle(self) -> None:
        self._counts.add(DROPPED)


def test_what_a_worker_answered_last_is_in_the_counts_that_it_leaves(tmp_path: Path) -> None:
    counts, free = Counts(), threading.Event()
    spool = BackgroundHandler(lambda octets: free.wait(60))
    BACKGROUND_HANDLERS.append(spool)
    try:
        spool.handle(logging.LogRecord("receiver", logging.INFO, "", 0, "blocks", None, None))
        while spool._writer.waiting():
            time.sleep(0.001)
        spool.put_deferred(Late(counts))
        folder = Folder(counts, tmp_path)
        folder.write()
        folder.close()
    finally:
        BACKGROUND_HANDLERS.remove(spool)
        free.set()
        spool.close()
    assert counted(Folder(Counts(), tmp_path)) == (1, 0)
