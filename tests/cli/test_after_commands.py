"""``receiver after``: what was given up is seen without caller data, tried again, or dropped."""

from __future__ import annotations

import asyncio
import json
import shlex
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from receiver.after import DeadJob, Jobs, open_jobs
from receiver.after.bodies import Work, write
from receiver.cli import main
from receiver.secrets import Secret
from tests.shared_stage import Server, lasting_server, redis_url, server

__all__ = ["lasting_server", "redis_url", "server"]  # fixtures

NOW = 1_800_000_000.0
SEAL = b"a seal"
NUMBER = "+4930123456"


def bill(number: str, *, amount: int) -> None:
    """What the jobs would do."""


@pytest.fixture(params=["sqlite", "redis"])
def where(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Secret:
    """What RECEIVER_AFTER says."""
    if request.param == "sqlite":
        found = Secret(str(tmp_path / "jobs.db"))
    else:
        found = request.getfixturevalue("redis_url")
    monkeypatch.setenv("RECEIVER_AFTER", found.reveal())
    return found


def on(where: Secret, work: Any) -> Any:
    """What ``work`` gives, done with the queue."""

    async def inside() -> Any:
        jobs = open_jobs(where)
        try:
            return await work(jobs)
        finally:
            await jobs.close()

    return asyncio.run(inside())


async def bury(jobs: Jobs, *keys: str) -> None:
    """Jobs of these keys are given up, one later than the other."""
    for key in keys:
        work = Work(bill, [NUMBER], {"amount": 3})
        await jobs.accept(key, write(SEAL, key, work), NOW)
    for late, job in enumerate(await jobs.claim(NOW, NOW + 30, 9)):
        await jobs.bury(job, "ConnectError", NOW + late)


def dead(where: Secret) -> list[str]:
    found: list[DeadJob] = on(where, lambda jobs: jobs.dead())
    return [job.key for job in found]


def run(command: str, status: int = 0, answer: str | None = None) -> Result:
    arguments = shlex.split(f"after {command}")
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
        assert "test_after_commands:bill  1" in row
        assert row.endswith("  2")  # arguments
        assert "ConnectError" in row
    assert NUMBER not in run("list").output + run("list --json").output
    assert len(set(ids())) == 2
    assert len(run("list --top 1").stdout.splitlines()) == 2


def test_caller_data_is_shown_to_who_asks_aloud(where: Secret) -> None:
    on(where, lambda jobs: bury(jobs, f"call of {NUMBER}"))
    (item,) = json.loads(run("list --json --caller-data").stdout)
    assert item["arguments"] == f"'{NUMBER}', amount=3"
    assert item["key"] == f"call of {NUMBER}"
    assert item["key"] in run("list --caller-data").stdout


def test_tried_again(where: Secret) -> None:
    on(where, lambda jobs: bury(jobs, "a", "b", "c"))
    newest, *_ = ids()
    assert run(f"retry {newest}").stdout.startswith("1 jobs are due now")
    assert dead(where) == ["b", "a"]
    assert run("retry --all").stdout.startswith("2 jobs")
    assert ids() == []
    assert run("list").stderr == "There are none.\n"


def test_dropped(where: Secret) -> None:
    on(where, lambda jobs: bury(jobs, "a", "b", "c"))
    oldest = ids()[-1]
    assert run(f"drop --yes {oldest} {oldest}").stdout == "1 jobs dropped.\n"
    assert dead(where) == ["c", "b"]
    assert "takes a yes at a terminal, or --yes" in run("drop --all", 1).stderr
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
        assert "no job that was given up has the id 'zz" in run(f'{verb} {known} "\'zz"', 2).stderr
    assert dead(where) == ["a"]


def test_what_others_wrote_there_moves_no_cursor(where: Secret) -> None:
    async def work(jobs: Jobs) -> None:
        await jobs.accept("k\33[2J", "\33[2J", NOW)
        (job,) = await jobs.claim(NOW, NOW + 30, 9)
        await jobs.bury(job, "\33[2J", NOW)

    on(where, work)
    assert "\33" not in run("list --caller-data").output
    assert " ?  " in run("list").stdout
    assert run(f"drop --yes {ids()[0]}").stdout == "1 jobs dropped.\n"


@pytest.mark.parametrize("named", [True, False])
def test_no_file_is_made(named: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    if named:
        monkeypatch.setenv("RECEIVER_AFTER", str(tmp_path / "elsewhere.db"))
    for verb in ("list", "retry --all", "drop --all --yes"):
        said = "file where RECEIVER_AFTER says" if named else "receiver-after.db in this folder"
        assert f"Error: there is no {said}" in run(verb, 2).stderr
    assert list(tmp_path.iterdir()) == []


def test_a_queue_that_is_down(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECEIVER_AFTER", server.url.reveal())
    server.kill()
    assert "Error: the queue of durable work is out of order (" in run("list", 1).stderr
