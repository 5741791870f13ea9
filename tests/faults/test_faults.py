"""The fault table: real processes, 50 calls per second, and faults in the middle of them."""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from tests.faults.callers import RATE, Answer, Callers, Calls
from tests.faults.conftest import LINES
from tests.faults.stage import Stage
from tests.faults.table import ROWS, Row
from tests.served import Service
from tests.stores import Server

PROBE = 16
"""The calls in a row after which the service counts as recovered."""

BACK = 10.0
"""The most seconds until the service has recovered."""

STALL = 0.3
"""Seconds for which not even the callers ran; such a measurement is void. So is one
where twice as many processes are ready to run as there are processors."""

TRIES = 3
"""The most runs of a row during which the machine stalled."""

IN_MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108
"""The folder for the files of a stage: a busy disk is not among the faults."""

WORKERS = {"one worker": 1, "three workers": 3}

HEADINGS = ("calls", "in time", "handled", "fallback", "slowest ms", "back after ms")


@pytest.fixture(scope="module")
def stage_for(program: Callable[[str], str]) -> Iterator[Callable[[str], Stage]]:
    """The stage of this name. The first rows run while the other stages start."""
    with ExitStack() as stack:

        def make(name: str) -> Stage:
            server = None
            if name == "redis":
                server = Server(program("redis-server"))
                stack.callback(server.close)
                server.start()
            folder = stack.enter_context(TemporaryDirectory(dir=IN_MEMORY))
            stage = Stage(
                Path(folder),
                server,
                limited=name == "limited",
                workers=WORKERS.get(name, 2),
            )
            stack.callback(stage.close)
            return stage

        pool = stack.enter_context(ThreadPoolExecutor(1))
        stages = {name: pool.submit(make, name) for name in dict.fromkeys(r.stage for r in ROWS)}
        yield lambda name: stages[name].result()
        wait(stages.values())


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="looks into /proc")
@pytest.mark.parametrize("row", ROWS, ids=[row.name for row in ROWS])
async def test_every_caller_is_answered_in_time(
    row: Row, stage_for: Callable[[str], Stage], pytestconfig: pytest.Config
) -> None:
    stage = await asyncio.to_thread(stage_for, row.stage)
    lines = pytestconfig.stash.setdefault(LINES, [_line("", HEADINGS)])
    for _ in range(TRIES):
        run = await _run(stage, row)
        lines.append(_report(row, run))
        if not (run.stalled and _problems(row, run)):
            break
    assert not _problems(row, run), (run.during.lost, run.after.lost)


async def test_a_clock_set_back_between_the_legs_costs_one_more(
    stage_for: Callable[[str], Stage],
) -> None:
    stage = await asyncio.to_thread(stage_for, "plain")

    class Between(Callers):
        async def _send(self, request: httpx.Request) -> httpx.Response:
            response = await super()._send(request)
            stage.turn_clock_back()
            return response

    try:
        answer = await Between(stage.callers.port, stage.secret).call("known", "between")
    finally:
        stage.turn_clock_forth()
    assert (answer.outcome, answer.in_time) == ("handled", True)


@dataclass(frozen=True)
class Run:
    """A row as it went.

    Parameters:
        during: the calls while the fault was there.
        after: those afterwards, until all was as it was.
        back: seconds until it was; None if it was not within `BACK`.
        acted: when the levers were pulled.
        reasons: why callers got what they got, by the log.
        missing: what the log does not say.
    """

    during: Calls
    after: Calls
    back: float | None
    acted: tuple[float, ...]
    reasons: frozenset[str]
    missing: tuple[str, ...]

    @property
    def stalled(self) -> bool:
        busy = os.getloadavg()[0] > 2 * (os.cpu_count() or 1)
        return busy or max(self.during.stall, self.after.stall) > STALL


def _problems(row: Row, run: Run) -> list[str]:
    """Return the expectations that were not met."""
    least, most = row.handled
    lost = [*run.during.lost, *run.after.lost]
    if row.kills:
        lost = [
            one
            for one in lost
            if not any(one.began <= acted <= one.began + one.seconds for acted in run.acted)
        ]
    if row.refuses:
        lost = [one for one in lost if not (_is_refused(one) and one.began > max(run.acted))]
    found = {
        f"{len(lost)} lost": bool(lost),
        "share handled": not least <= run.during.share("handled") <= most,
        f"reasons {sorted(run.reasons)}": not run.reasons <= row.reasons | {"handled"},
        f"not in the log: {run.missing}": bool(run.missing),
        "not as it was": run.back is None,
    }
    return [problem for problem, there in found.items() if there]


def _is_refused(answer: Answer) -> bool:
    return answer.outcome == "ConnectionRefusedError" and answer.seconds < 0.5


async def _run(stage: Stage, row: Row) -> Run:
    before = len(stage.service.lines)

    def said() -> bool:
        return re.search(row.says, "".join(stage.service.lines[before:])) is not None

    acting = [asyncio.create_task(_act(stage, when, lever)) for when, lever in row.acts]
    during = await stage.callers.load(
        round(row.seconds * RATE), row.action, row.name[:8], said if row.lasts else lambda: True
    )
    acted = tuple([await act for act in acting])
    signs = [row.says] if row.says else []
    signs += [rf": \w+, ({'|'.join(row.reasons)}), \d+ ms of"] if row.reasons else []
    logged = [await asyncio.to_thread(_logged, stage.service, before, sign) for sign in signs]
    for lever in row.repair:
        await asyncio.to_thread(lever, stage)
    after, back = await _recover(stage, row)
    return Run(
        during,
        after,
        back,
        acted,
        _reasons(stage.service.lines[before:]),
        tuple(sign for sign, there in zip(signs, logged, strict=True) if not there),
    )


async def _act(stage: Stage, when: float, lever: Callable[[Stage], None]) -> float:
    await asyncio.sleep(when)
    await asyncio.to_thread(lever, stage)
    return time.monotonic()


async def _recover(stage: Stage, row: Row) -> tuple[Calls, float | None]:
    """The calls until all is as it was, and the seconds; None if that is not in time."""
    action, answers, stall = partial(_in_turn, row.after or row.sends), list[Answer](), 0.0
    begin, passed = time.monotonic(), 0.0
    while passed <= BACK:
        some = await stage.callers.load(PROBE, action, f"{row.name[:8]}-{len(answers)}")
        answers += some.answers
        stall = max(stall, some.stall)
        if some.count("handled") == PROBE:
            return Calls(answers, stall), passed
        passed = time.monotonic() - begin
    return Calls(answers, stall), None


def _in_turn(names: tuple[str, ...], number: int) -> str:
    return names[number % len(names)]


def _logged(service: Service, since: int, sign: str) -> bool:
    """Return whether the log has ``sign``, now or soon."""
    with service.came:
        return service.came.wait_for(
            lambda: re.search(sign, "".join(service.lines[since:])) is not None, 20
        )


def _reasons(lines: list[str]) -> frozenset[str]:
    """Return the reasons of the answers, from the log."""
    return frozenset(re.findall(r": \w+, ([\w ]+), \d+ ms of", "".join(lines)))


def _report(row: Row, run: Run) -> str:
    answers = run.during.answers
    numbers = (
        len(answers),
        len(answers) - len(run.during.lost),
        run.during.count("handled"),
        run.during.count("fallback"),
        round(max(one.seconds for one in answers) * 1000),
        "never" if run.back is None else round(run.back * 1000),
    )
    notes = _problems(row, run)
    if run.stalled:
        notes.append(f"the machine had no time: {run.during.stall:.1f} s, {os.getloadavg()[0]:.1f}")
    if row.kills:
        notes.append("calls under way at the fault may be lost")
    return "  ".join((_line(row.name, numbers), *notes))


def _line(name: str, cells: tuple[object, ...]) -> str:
    columns = zip(cells, HEADINGS, strict=True)
    return f"{name:38}" + "".join(f"{cell!s:>{len(heading) + 2}}" for cell, heading in columns)
