"""``receiver replay``: yesterday's calls, asked of today's code."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import click

from receiver.app import Receiver
from receiver.cli.common import app_argument, load_app
from receiver.errors import SettingsError
from receiver.recordings.lines import RecordingError
from receiver.recordings.reading import Recording, read
from receiver.replaying.casting import cast, saved
from receiver.replaying.network import Tries, shut
from receiver.replaying.outcomes import Outcome, as_objects, render, summary
from receiver.replaying.replay import replay as play
from receiver.settings import Settings

_COLOURS = {"-": "red", "+": "green"}


@click.command()
@click.argument("recording", metavar="FILE", type=click.Path(path_type=Path))
@app_argument
@click.option("--ivr", default="", help="Only callbacks of this IVR, as in 8000 or north/8000.")
@click.option("--session", default="", help="Only calls whose session begins so.")
@click.option("--network", is_flag=True, help="Let handlers reach the network: CRMs and databases.")
@click.option("--json", "as_json", is_flag=True, help="For programs: an object.")
@click.option("--as-test", is_flag=True, help="Print the calls as a pytest module, and no more.")
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    help="Write the calls with today's answers to a new file, to replay later.",
)
def replay(
    recording: Path,
    target: str,
    ivr: str,
    session: str,
    network: bool,
    as_json: bool,
    as_test: bool,
    save: Path | None,
) -> None:
    """Replay the recorded callbacks of FILE, or of all files in a folder, against APP.

    Shows the answers that differ. Work after the answer is not carried out, and the network is shut
    without --network; what handlers do to files, they do. Exits with 1 if an answer differs.
    """
    found = read(recording, ivr=ivr, session=session)
    if not found.calls:
        raise RecordingError(f"nothing that was asked for is recorded in {recording}")
    app = load_app(target)
    with nullcontext(Tries()) if network else shut() as tries:
        calls = asyncio.run(play(app, found.calls, _settings(app), tries))
    if as_test:
        click.echo(cast(calls, target), nl=False)
        return
    if save:
        _save(calls, save)
    passed_over = _passed_over(found)
    if as_json:
        click.echo(json.dumps(as_objects(calls, passed_over), indent=2))
    else:
        _show(calls, passed_over)
    if any(one.differs for call in calls for one in call):
        raise SystemExit(1)


def _show(calls: Sequence[Sequence[Outcome]], passed_over: dict[str, int]) -> None:
    for line in render(calls):
        click.secho(line, fg=_COLOURS.get(line.lstrip()[:1]))
    for line in summary(calls, passed_over):
        click.echo(line)


def _passed_over(found: Recording) -> dict[str, int]:
    return {
        "could not be read by the service then": sum(
            record.is_empty for call in found.calls for record in call
        ),
        "lines are damaged": found.damaged,
        "were lost when it was recorded": found.lost,
    }


def _settings(app: Receiver) -> Settings:
    """The app's, or what there is of them: no secret is needed to ask a handler."""
    try:
        return app.settings
    except SettingsError:
        return Settings.read()


def _save(calls: Sequence[Sequence[Outcome]], path: Path) -> None:
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "wb") as out:
            out.writelines(saved(calls))
    except OSError as error:
        raise RecordingError(f"{path} cannot be written: {error.strerror}") from None
