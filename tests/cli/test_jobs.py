"""``receiver jobs``: what was given up is seen without caller data, tried again, or dropped."""

from __future__ import annotations

import asyncio
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from receiver.background import DeadJob, JobQueue, open_jobs
from receiver.background.job_codec import Work, write
from receiver.cli import main
from receiver.credentials import Secret
from tests.command_line import CliRunner
from tests.stores import LONG, Server, lasting_server, redis_url, server

__all__ = ["lasting_server", "redis_url", "server"]  # fixtures

NOW = 1_800_000_000.0
SEAL = b"a seal"
NUMBER = "+4930123456"


def bill(number: str, *, amount: int) -> None:
    """The function of the jobs; it does nothing."""


@pytest.fixture(params=["sqlite", "redis"])
def where(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Secret:
    """The value of RECEIVER_JOBS."""
    if request.param == "sqlite":
        found = Secret(str(tmp_path / "jobs.db"))
    else:
        found = request.getfixturevalue("redis_url")
    monkeypatch.setenv("RECEIVER_JOBS", found.reveal())
    return found


def on(where: Secret, work: Any) -> Any:
    """Return the result of ``work`` with the queue."""

    async def inside() -> Any:
        jobs = open_jobs(where, limit=LONG)
        try:
            return await work(jobs)
        finally:
            await jobs.close()

    return asyncio.run(inside())


async def bury(jobs: JobQueue[str], *keys: str) -> None:
    """Jobs of these keys are given up, one later than the other."""
    for key in keys:
        work = Work(bill, [NUMBER], {"amount": 3})
        await jobs.accept(key, write(SEAL, key, work), NOW)
    for late, job in enumerate(await jobs.claim(NOW, NOW + 30, 9)):
        await jobs.dead_letter(job, "ConnectError", NOW + late)


def dead(where: Secret) -> list[str]:
    found: list[DeadJob[str]] = on(where, lambda jobs: jobs.dead())
    return [job.key for job in found]


def run(command: str, status: int = 0, answer: str | None = None) -> Result:
    arguments = shlex.split(f"jobs {command}")
    done = CliRunner().invoke(main, arguments, input=answer, catch_exceptions=False)
    assert done.exit_code == status, done.output
    return done


def ids() -> list[str]:
    return [item["id"] for item in json.loads(run("list --json").stdout)]


def test_what_was_given_up_is_listed_without_caller_data(where: Secret) -> None:
    on(where, lambda jobs: bury(jobs, f"call of {NUMBER}", "b"))
    heading, first, second = run("list").stdout.splitlines()
    assert heading.split() == ["id", "function", "tries", "reason", "given", "up", "arguments"]
    for row in (first, second):
        assert "test_jobs:bill  1" in row
        assert row.endswith("  2")  # arguments
        assert "ConnectError" in row
    assert NUMBER not in run("list").output + run("list --json").output
    assert len(set(ids())) == 2
    assert len(run("list --top 1").stdout.splitlines()) == 2


@pytest.mark.parametrize("died", [float("inf"), float("-inf"), 1e300])
def test_a_time_that_something_else_wrote_hides_no_job(where: Secret, died: float) -> None:
    async def bury_then(jobs: JobQueue[str]) -> None:
        await bury(jobs, "a")
        await jobs.accept("b", "what something else wrote", NOW)
        (job,) = await jobs.claim(NOW, NOW + 30, 9)
        await jobs.dead_letter(job, "ConnectError", died)

    on(where, bury_then)
    assert sorted("unknown" in row for row in run("list").stdout.splitlines()[1:]) == [False, True]
    assert len(ids()) == 2


def test_caller_data_is_shown_to_who_asks_aloud(where: Secret) -> None:
    on(where, lambda jobs: bury(jobs, f"call of {NUMBER}"))
    (item,) = json.loads(run("list --json --caller-data").stdout)
    assert item["arguments"] == f"'{NUMBER}', amount=3"
    assert item["key"] == f"call of {NUMBER}"
    assert item["key"] in run("list --caller-data").stdout


def test_tried_again(where: Secret) -> None:
    on(where, lambda jobs: bury(jobs, "a", "b", "c"))
    newest, *_ = ids()
    assert run(f"retry {newest}").stdout.startswith("1 job made due now")
    assert dead(where) == ["b", "a"]
    assert run("retry --all").stdout.startswith("2 jobs")
    assert ids() == []
    assert run("list").stderr == "None found.\n"


def test_dropped(where: Secret) -> None:
    on(where, lambda jobs: bury(jobs, "a", "b", "c"))
    oldest = ids()[-1]
    assert run(f"drop --yes {oldest} {oldest}").stdout == "1 job dropped.\n"
    assert dead(where) == ["c", "b"]
    assert "confirm at a terminal or use --yes" in run("drop --all", 2).stderr
    assert dead(where) == ["c", "b"]
    assert run("drop --all --yes").stdout == "2 jobs dropped.\n"
    assert dead(where) == []
    assert on(where, lambda jobs: jobs.accept("a", "", NOW))


def test_what_is_meant_must_be_clear(where: Secret) -> None:
    on(where, lambda jobs: bury(jobs, "a"))
    (known,) = ids()
    for verb in ("retry", "drop --yes"):
        assert "or --all" in run(verb, 2).stderr
        assert "or --all" in run(f"{verb} --all {known}", 2).stderr
        assert "no dead letter has the id 'zz" in run(f'{verb} {known} "\'zz"', 2).stderr
    assert dead(where) == ["a"]


def test_what_others_wrote_there_moves_no_cursor(where: Secret) -> None:
    async def work(jobs: JobQueue[str]) -> None:
        await jobs.accept("k\33[2J", "\33[2J", NOW)
        (job,) = await jobs.claim(NOW, NOW + 30, 9)
        await jobs.dead_letter(job, "\33[2J", NOW)

    on(where, work)
    assert "\33" not in run("list --caller-data").output
    assert " ?  " in run("list").stdout
    assert run(f"drop --yes {ids()[0]}").stdout == "1 job dropped.\n"


@pytest.mark.parametrize("named", [True, False])
def test_no_file_is_made(named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if named:
        monkeypatch.setenv("RECEIVER_JOBS", str(tmp_path / "elsewhere.db"))
    for verb in ("list", "retry --all", "drop --all --yes"):
        said = "file where RECEIVER_JOBS says" if named else "receiver-jobs.db in this folder"
        assert f"Error: there is no {said}" in run(verb, 2).stderr
    assert list(tmp_path.iterdir()) == []


def test_a_queue_that_is_down(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECEIVER_JOBS", server.url.reveal())
    server.kill()
    assert "Error: the durable queue is unavailable (" in run("list", 1).stderr


@pytest.mark.allow_secrets  # a path is none, though the setting may hold one
def test_a_damaged_file_is_rescued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "my jobs.db"
    monkeypatch.setenv("RECEIVER_JOBS", str(path))
    where = Secret(str(path))
    on(where, lambda jobs: bury(jobs, "a", "b", "c"))
    assert f"Error: nothing was changed: {path} is sound" in run("rescue", 2).stderr
    with path.open("r+b") as file:
        file.write(b"no database " * 200)
    error = run("list", 1).stderr
    assert "(SQLITE_NOTADB): " in error
    command = error.strip().partition("; rescue its jobs: receiver jobs ")[2]
    assert command == f"rescue {shlex.quote(str(path))}"
    done = run(command).stdout
    assert done.endswith(f"Put into {path}: 3 jobs; the workers run those that are due.\n")
    assert "readable: 3 jobs (0 open, 3 dead, 0 done)" in done
    assert sorted(dead(where)) == ["a", "b", "c"]
    (aside,) = tmp_path.glob("*.corrupt-*")
    assert ": 0 jobs; the workers" in run(f"rescue {shlex.quote(str(aside))}").stdout
    assert "there is no file" in run("rescue nothing.db", 2).stderr


def test_of_a_redis_nothing_is_rescued(redis_url: Secret, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECEIVER_JOBS", redis_url.reveal())
    assert "only a file can be rescued" in run("rescue", 2).stderr
