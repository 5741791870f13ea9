"""``receiver replay``: replay recorded callbacks and compare the answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

import click

from receiver.app import Receiver
from receiver.cli.common import app_argument, load_app, write_file
from receiver.cli.exit_status import FINDING
from receiver.cli.progress_bar import progress_bar
from receiver.errors import SettingsError
from receiver.recording.format import RecordingError
from receiver.recording.reader import Recording, read
from receiver.settings import Settings
from receiver.testing.block_network import Attempts, blocked_network
from receiver.testing.replay import replay as play
from receiver.testing.replay_diff import ReplayResult, as_objects, render, summary
from receiver.testing.replay_export import pytest_module, recording_lines

_COLOURS = {"-": "red", "+": "green"}


@click.command()
@click.argument("recording", metavar="FILE", type=click.Path(path_type=Path))
@app_argument
@click.option("--ivr", default="", help="Only callbacks of this IVR, as in 8000 or north/8000.")
@click.option("--session", default="", help="Only calls whose session id starts with this.")
@click.option(
    "--network",
    is_flag=True,
    help="Allow handlers to use the network: CRMs, without recorded answers, and databases.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@click.option("--as-test", is_flag=True, help="Print the calls as a pytest module instead.")
@click.option(
    "--save",
    type=click.Path(path_type=Path),
    help="Write the calls with the new answers to a new file, to replay later.",
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

    Shows the answers that differ. Requests with httpx get the recorded answers. Background jobs are
    not run, and the network is blocked unless --network is given; handlers can still write files.
    """
    found = read(recording, ivr=ivr, session=session)
    if not found.calls:
        raise RecordingError(f"{recording} contains no matching callbacks")
    app = load_app(target)
    with (
        progress_bar("calls replayed") as progress,
        nullcontext(Attempts()) if network else blocked_network() as attempts,
    ):
        settings = _settings(app)
        calls = asyncio.run(play(app, found.calls, settings, attempts, progress, network=network))
    if as_test:
        click.echo(pytest_module(calls, target), nl=False)
        return
    if save:
        write_file(save, b"".join(recording_lines(calls)), option="--save", replaces=False)
    skipped = _skipped(found)
    if as_json:
        click.echo(json.dumps(as_objects(calls, skipped), indent=2))
    else:
        _show(calls, skipped)
    if any(one.differs for call in calls for one in call):
        raise SystemExit(FINDING)


def _show(calls: Sequence[Sequence[ReplayResult]], skipped: dict[str, int]) -> None:
    for line in render(calls):
        click.secho(line, fg=_COLOURS.get(line.lstrip()[:1]))
    for line in summary(calls, skipped):
        click.echo(line)


def _skipped(found: Recording) -> dict[str, int]:
    return {
        "could not be parsed by the service": sum(
            record.is_empty for call in found.calls for record in call
        ),
        "lines are damaged": found.damaged,
        "were dropped during recording": found.lost,
    }


def _settings(app: Receiver) -> Settings:
    """Return the app's settings, also without a secret, which replaying does not need."""
    try:
        return app.settings
    except SettingsError:
        return Settings.read()
