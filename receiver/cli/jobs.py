"""``receiver jobs``: list, retry or delete dead letters; rescue the jobs of a damaged file.

Rule 1: the commands need RECEIVER_JOBS and nothing else: no app, no RECEIVER_SECRET. They run no
        job; a job to retry is due at once, and any worker of the service runs it.
Rule 2: keys and arguments are caller data: they are shown with ``--caller-data`` only. The id of
        a job is a digest of its signed body, from which they cannot be guessed.
Rule 3: no file is created, since the service could not write to one that root created; except
        the new queue of ``rescue``, which gets the owner of the damaged one.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import TypeVar

import click

from receiver.background import (
    SETTING,
    DeadJob,
    JobQueue,
    arguments_in,
    find_jobs,
    jobs_file,
    name_in,
)
from receiver.cli.common import json_option
from receiver.cli.resources import confirm
from receiver.cli.resources_output import echo_json, echo_rows
from receiver.errors import LoadError, SettingsError
from receiver.settings import Settings
from receiver.storage.breaker import StoreError
from receiver.storage.jobs_rescue import rescue
from receiver.text import counted, line, short

MAX_DEAD_LETTERS = 1000
"""Dead letters that are read, the latest first."""

_LENGTH = 10

T = TypeVar("T")

ids_argument = click.argument("ids", metavar="ID…", nargs=-1)
all_option = click.option(
    "--all", "everything", is_flag=True, help=f"All, the latest {MAX_DEAD_LETTERS}."
)


@click.group()
def jobs() -> None:
    """List, retry or delete dead letters: durable jobs (call.after.durably) that failed ten times.

    A dead letter is kept in RECEIVER_JOBS until it is retried or dropped, and so is its key: a job
    with the same key is a duplicate.
    """


@jobs.command("list")
@json_option
@click.option(
    "--caller-data",
    is_flag=True,
    help="Show keys and arguments too, which may hold phone numbers and digits of callers.",
)
@click.option(
    "--top", type=click.IntRange(1, MAX_DEAD_LETTERS), default=100, help="How many at most."
)
def list_(machine: bool, caller_data: bool, top: int) -> None:
    """List dead letters, the latest first."""
    items = [_as_object(job, caller_data) for job in _run(lambda jobs: jobs.dead(top))]
    if machine:
        echo_json(items)
        return
    headings = ["id", "function", "tries", "reason", "given up", "arguments"]
    rows = [[str(value) for value in item.values()] for item in items]
    echo_rows([*headings, "key"] if caller_data else headings, rows)


@jobs.command()
@ids_argument
@all_option
def retry(ids: tuple[str, ...], everything: bool) -> None:
    """Make dead letters due now, with as many tries as new jobs.

    The function must still exist, and RECEIVER_SECRET must be the same.
    """
    count = _each(ids, everything, "", lambda jobs, key: jobs.retry(key, time.time()))
    click.echo(f"{counted(count, 'job')} made due now; the workers of the service run them.")


@jobs.command()
@ids_argument
@all_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def drop(ids: tuple[str, ...], everything: bool, yes: bool) -> None:
    """Delete dead letters, so that their keys can be used again."""
    question = "" if yes else "delete {jobs} irrevocably"
    count = _each(ids, everything, question, lambda jobs, key: jobs.drop(key))
    click.echo(f"{counted(count, 'job')} dropped.")


@jobs.command("rescue")
@click.argument("file", required=False, type=click.Path(path_type=Path))
def rescue_command(file: Path | None) -> None:
    """Put the jobs of a damaged FILE into the queue of RECEIVER_JOBS.

    FILE is by default the queue's own file, which is first renamed to NAME.corrupt-TIME and
    replaced by a new one; the service may run meanwhile. Nothing is deleted.
    """
    queue = jobs_file(Settings.read().jobs)
    if queue is None:
        raise SettingsError(f"{SETTING} is the URL of a Redis: only a file can be rescued")
    found = asyncio.run(rescue(queue, SETTING, file))
    states = ", ".join(f"{found.states[state]} {state}" for state in ("open", "dead", "done"))
    click.echo(
        f"{found.source}: readable: {counted(sum(found.states.values()), 'job')} ({states})."
    )
    click.echo(
        f"Put into {queue}: {counted(found.new, 'job')}; the workers run those that are due."
    )


def _as_object(job: DeadJob[str], caller_data: bool) -> dict[str, object]:
    """Return a dead letter as it is shown."""
    args, kwargs = arguments_in(job.body)
    arguments = [*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())]
    shown = {
        "id": _id(job),
        "function": short(name_in(job.body)),
        "tries": job.tries,
        "reason": short(job.reason),
        "given_up": _when(job.died),
        "arguments": line(", ".join(arguments)) if caller_data else str(len(arguments)),
    }
    return {**shown, "key": line(job.key)} if caller_data else shown


def _when(seconds: float) -> str:
    """Return a time since the epoch as text; ``unknown`` for a number that is no date."""
    try:
        return datetime.fromtimestamp(seconds).astimezone().isoformat(" ", "seconds")
    except (OverflowError, OSError, ValueError):
        return "unknown"


def _id(job: DeadJob[str]) -> str:
    what = job.body or job.key  # bodies that are lost are equal
    return hashlib.sha256(what.encode("utf-8", "surrogatepass")).hexdigest()[:_LENGTH]


def _each(
    ids: Sequence[str],
    everything: bool,
    question: str,
    act: Callable[[JobQueue[str], str], Awaitable[bool]],
) -> int:
    """Call ``act`` for each selected job; return for how many it had an effect."""
    if bool(ids) == everything:
        raise click.UsageError("name jobs by the ids that receiver jobs list shows, or --all")

    async def work(jobs: JobQueue[str]) -> int:
        dead = await jobs.dead(MAX_DEAD_LETTERS)
        found = _chosen(dead, ids) if ids else dead
        if question and found:
            confirm(question.format(jobs=counted(len(found), "job")))
        return sum([await act(jobs, job.key) for job in found])

    return _run(work)


def _chosen(jobs: Sequence[DeadJob[str]], ids: Sequence[str]) -> list[DeadJob[str]]:
    by_id = {_id(job): job for job in jobs}
    if unknown := [one for one in ids if one not in by_id]:
        raise LoadError(
            f"nothing was changed: no dead letter has the id {short(unknown[0])}; see "
            "receiver jobs list"
        )
    return [by_id[one] for one in dict.fromkeys(ids)]


def _run(work: Callable[[JobQueue[str]], Awaitable[T]]) -> T:
    """Return what ``work`` returns for the queue of the settings."""

    async def inside() -> T:
        jobs = find_jobs(Settings.read().jobs)
        try:
            return await work(jobs)
        except StoreError as error:
            advice = (
                error.advice
                or "is the queue that RECEIVER_JOBS names running, and may you write to it?"
            )
            raise StoreError(f"the durable queue is unavailable ({error}): {advice}") from None
        finally:
            await jobs.close()

    return asyncio.run(inside())
