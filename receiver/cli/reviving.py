"""``receiver after``: durable work that failed for good, to be seen, tried again, or dropped.

Rule 1: they need RECEIVER_AFTER and nothing else: no app, no RECEIVER_SECRET. Nothing is run here;
        what is tried again is due at once, and any worker of the service does it.
Rule 2: keys and arguments are caller data: they are shown only to who asks for them aloud. A job
        is named by a digest of its signed body, from which nobody can guess them.
Rule 3: no file is made: one that root made could not be written to by the service.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

import click

from receiver.after import DeadJob, Jobs, arguments_in, find_jobs, name_in
from receiver.cli.resources import confirm
from receiver.cli.resources_output import echo_json, echo_rows, json_option
from receiver.errors import LoadError
from receiver.printable import line, short
from receiver.settings import Settings
from receiver.shared.patience import StoreError

MOST = 1000
"""Jobs that are looked at, the latest first."""

_LENGTH = 10

T = TypeVar("T")

ids_argument = click.argument("ids", metavar="ID…", nargs=-1)
all_option = click.option("--all", "everything", is_flag=True, help=f"All, the latest {MOST}.")


@click.group()
def after() -> None:
    """Durable work that was given up: call.after.durably, tried ten times in vain.

    It is kept in RECEIVER_AFTER until it is tried again or dropped, and so is its key: the same
    work is not accepted anew.
    """


@after.command("list")
@json_option
@click.option(
    "--caller-data",
    is_flag=True,
    help="Show keys and arguments too, which may hold numbers and what callers keyed in.",
)
@click.option("--top", type=click.IntRange(1, MOST), default=100, help="How many at most.")
def list_(machine: bool, caller_data: bool, top: int) -> None:
    """List what was given up, the latest first."""
    items = [_Item.of(job, caller_data) for job in _run(lambda jobs: jobs.dead(top))]
    if machine:
        echo_json([item.as_json(caller_data) for item in items])
        return
    headings = ["id", "function", "tries", "reason", "given up", "arguments"]
    rows = [item.as_row(caller_data) for item in items]
    echo_rows([*headings, "key"] if caller_data else headings, rows)


@after.command()
@ids_argument
@all_option
def retry(ids: tuple[str, ...], everything: bool) -> None:
    """Have them tried again, at once and as often as new ones.

    What fails again is given up again. The function must be there, and RECEIVER_SECRET the same.
    """
    count = _each(ids, everything, "", lambda jobs, key: jobs.revive(key, time.time()))
    click.echo(f"{count} jobs are due now; the workers of the service do them.")


@after.command()
@ids_argument
@all_option
@click.option("--yes", is_flag=True, help="Do not ask.")
def drop(ids: tuple[str, ...], everything: bool, yes: bool) -> None:
    """Forget them: they are never done, and their keys are free again."""
    question = "" if yes else "forget {count} jobs for good"
    count = _each(ids, everything, question, lambda jobs, key: jobs.drop(key))
    click.echo(f"{count} jobs dropped.")


@dataclass(frozen=True, slots=True)
class _Item:
    """A job, as it is shown."""

    id: str
    function: str
    tries: int
    reason: str
    given_up: str
    arguments: str
    key: str

    @classmethod
    def of(cls, job: DeadJob, caller_data: bool) -> _Item:
        args, kwargs = arguments_in(job.body)
        shown = [*map(repr, args), *(f"{name}={value!r}" for name, value in kwargs.items())]
        when = datetime.fromtimestamp(job.died).astimezone().isoformat(" ", "seconds")
        return cls(
            _id(job),
            short(name_in(job.body)),
            job.tries,
            short(job.reason),
            when,
            line(", ".join(shown)) if caller_data else str(len(shown)),
            line(job.key),
        )

    def as_row(self, caller_data: bool) -> tuple[str, ...]:
        row = (self.id, self.function, str(self.tries), self.reason, self.given_up, self.arguments)
        return (*row, self.key) if caller_data else row

    def as_json(self, caller_data: bool) -> dict[str, object]:
        names = ("id", "function", "tries", "reason", "given_up", "arguments")
        return {name: getattr(self, name) for name in (*names, *(("key",) if caller_data else ()))}


def _id(job: DeadJob) -> str:
    body = job.body.encode("utf-8", "surrogatepass")
    return hashlib.sha256(body).hexdigest()[:_LENGTH]


def _each(
    ids: Sequence[str],
    everything: bool,
    question: str,
    act: Callable[[Jobs, str], Awaitable[bool]],
) -> int:
    """Do it with each job that is meant; how many there still were."""
    if bool(ids) == everything:
        raise click.UsageError("name jobs by the ids that receiver after list shows, or --all")

    async def work(jobs: Jobs) -> int:
        found = _chosen(await jobs.dead(MOST), ids) if ids else await jobs.dead(MOST)
        if question and found:
            confirm(question.format(count=len(found)))
        return sum([await act(jobs, job.key) for job in found])

    return _run(work)


def _chosen(jobs: Sequence[DeadJob], ids: Sequence[str]) -> list[DeadJob]:
    by_id = {_id(job): job for job in jobs}
    if unknown := [one for one in ids if one not in by_id]:
        raise LoadError(
            f"nothing was changed: no job that was given up has the id {short(unknown[0])}; see "
            "receiver after list"
        )
    return [by_id[one] for one in dict.fromkeys(ids)]


def _run(work: Callable[[Jobs], Awaitable[T]]) -> T:
    """What ``work`` gives, done with the queue of the settings."""

    async def inside() -> T:
        jobs = find_jobs(Settings.read().after)
        try:
            return await work(jobs)
        except StoreError as error:
            raise StoreError(
                f"the queue of durable work is out of order ({error}): is what RECEIVER_AFTER "
                "names running, and may you write there?"
            ) from None
        finally:
            await jobs.close()

    return asyncio.run(inside())
