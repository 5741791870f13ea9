"""``receiver scenario``: place the calls of a file, and check how they end."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import click

from receiver.cli.common import complete_path, json_option, load_app
from receiver.cli.exit_status import FINDING
from receiver.errors import LoadError
from receiver.simulator.line import LineError
from receiver.testing.scenario_run import ScenarioResult, read, run_scenario
from receiver.testing.scenarios import ScenarioError
from receiver.text import counted


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("target", metavar="[APP]", required=False, shell_complete=complete_path)
@json_option
def scenario(file: Path, target: str | None, machine: bool) -> None:
    """Place the calls that FILE describes, and check how they end.

    APP may be omitted if the file names it.
    """
    found = read(file)
    if not (name := target or found.app):
        raise LoadError(f'{file} names no app: add app = "app:app" to it, or pass APP')
    app = load_app(name)
    results: list[ScenarioResult] = []
    for one in found.calls:
        try:
            results.append(asyncio.run(run_scenario(one, app)))
        except (LineError, LoadError) as error:
            raise ScenarioError(f"{file}:{one.line}: {error}") from None
        if not machine:
            _show(results[-1], file)
    wrong = sum(bool(result.problem) for result in results)
    if machine:
        calls = [_as_object(result) for result in results]
        click.echo(json.dumps({"failed": wrong, "calls": calls}, indent=2))
    else:
        click.secho(f"{counted(len(results), 'call')}, {wrong} failed", bold=True)
    if wrong:
        raise SystemExit(FINDING)


def _show(result: ScenarioResult, file: Path) -> None:
    one = result.scenario
    if not result.problem:
        click.echo(f"{click.style('ok', fg='green')}      {one.name}")
        return
    click.echo(f"{click.style('failed', fg='red')}  {one.name} ({file}:{one.line})")
    click.echo(f"{result.problem}\n{click.style(result.call.transcript, dim=True)}")


def _as_object(result: ScenarioResult) -> dict[str, object]:
    """Return a result for JSON; the transcript of a call that ended as expected is left out."""
    one, problem = result.scenario, result.problem
    return {
        "name": one.name,
        "line": one.line,
        "passed": not problem,
        "problem": problem or None,
        "transcript": result.call.transcript if problem else None,
    }
