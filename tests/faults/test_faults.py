"""The fault table: real processes, 50 calls per second, and somebody who breaks things."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from tests.cli.test_workers import Service
from tests.faults.callers import RATE, Answer
from tests.faults.conftest import LINES
from tests.faults.stage import Stage
from tests.faults.table import ROWS, Row
from tests.shared_stage import Server

PROBE = 16
"""Calls in a row that show that all is as it was."""

HEADINGS = ("calls", "in time", "handled", "fallback", "slowest ms", "back after ms")


@pytest.fixture(scope="module")
def stage_for(
    tmp_path_factory: pytest.TempPathFactory, program: Callable[[str], str]
) -> Iterator[Callable[[str], Stage]]:
    """The stage of this name. The first rows run while the other stages start."""
    with ExitStack() as stack:

        def make(name: str) -> Stage:
            server = None
            if name == "redis":
                server = Server(program("redis-server"))
                stack.callback(server.close)
                server.start()
            if name == "limited" and not _may_mount():
                pytest.skip("no disk can be mounted here (unshare -rm)")
            stage = Stage(tmp_path_factory.mktemp("stage"), server, limited=name == "limited")
            stack.callback(stage.close)
            return stage

        pool = stack.enter_context(ThreadPoolExecutor(1))
        stages = {name: pool.submit(make, name) for name in dict.fromkeys(r.stage for r in ROWS)}
        yield lambda name: stages[name].result()
        wait(stages.values())


def _may_mount() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    return subprocess.run(tried, capture_output=True).returncode == 0


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="looks into /proc")
@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
async def test_every_caller_is_answered_in_time(
    row: Row, stage_for: Callable[[str], Stage], pytestconfig: pytest.Config
) -> None:
    stage = await asyncio.to_thread(stage_for, row.stage)
    before = len(stage.service.lines)
    acting = [asyncio.create_task(_act(stage, when, lever)) for when, lever in row.acts]
    answers = await stage.callers.load(round(row.seconds * RATE), row.action, row.name[:8])
    await asyncio.gather(*acting)
    signs = [row.says] if row.says else []
    signs += [rf": \w+, ({'|'.join(row.reasons)}), \d+ ms of"] if row.reasons else []
    for sign in signs:
        assert await asyncio.to_thread(_logged, stage.service, before, sign), sign
    for lever in row.repair:
        await asyncio.to_thread(lever, stage)
    probes, back = await _recover(stage, row)
    lines = pytestconfig.stash.setdefault(LINES, [_line("", HEADINGS)])
    lines.append(_report(row, answers, probes, back))

    lost = [one for one in (*answers, *probes) if not one.in_time]
    assert len(lost) <= row.lost, lost
    least, most = row.handled
    assert least <= _count(answers, "handled") / len(answers) <= most
    assert _reasons(stage.service.lines[before:]) <= row.reasons | {"handled"}
    assert back is not None, [one for one in probes if one.outcome != "handled"][-PROBE:]


async def _act(stage: Stage, when: float, lever: Callable[[Stage], None]) -> None:
    await asyncio.sleep(when)
    await asyncio.to_thread(lever, stage)


async def _recover(stage: Stage, row: Row) -> tuple[list[Answer], float | None]:
    """The calls until all is as it was, and the seconds; None if that is not in time."""
    names, probes, begin = row.after or row.sends, list[Answer](), time.monotonic()
    passed = 0.0
    while passed <= row.back:
        action = partial(_in_turn, names)
        some = await stage.callers.load(PROBE, action, f"{row.name[:8]}-{len(probes)}")
        probes += some
        if _count(some, "handled") == PROBE:
            return probes, passed
        passed = time.monotonic() - begin
    return probes, None


def _in_turn(names: tuple[str, ...], number: int) -> str:
    return names[number % len(names)]


def _count(answers: list[Answer], outcome: str) -> int:
    return sum(one.outcome == outcome for one in answers)


def _logged(service: Service, since: int, sign: str) -> bool:
    """Whether the log says so, now or soon."""
    with service.came:
        return service.came.wait_for(
            lambda: re.search(sign, "".join(service.lines[since:])) is not None, 5
        )


def _reasons(lines: list[str]) -> set[str]:
    """Why callers got what they got, by the log."""
    return set(re.findall(r": \w+, ([\w ]+), \d+ ms of", "".join(lines)))


def _report(row: Row, answers: list[Answer], probes: list[Answer], back: float | None) -> str:
    numbers = (
        len(answers),
        sum(one.in_time for one in answers),
        _count(answers, "handled"),
        _count(answers, "fallback"),
        round(max(one.seconds for one in answers) * 1000),
        "never" if back is None else round(back * 1000),
    )
    late = sum(not one.in_time for one in probes)
    notes = [f"{late} of {len(probes)} afterwards not in time"] if late else []
    notes += [f"up to {row.lost} lost: {row.note}"] if row.lost else []
    return "  ".join((_line(row.name, numbers), *notes))


def _line(name: str, cells: tuple[object, ...]) -> str:
    columns = zip(cells, HEADINGS, strict=True)
    return f"{name:38}" + "".join(f"{cell!s:>{len(heading) + 2}}" for cell, heading in columns)
