"""``receiver say``: listen to a spoken prompt before it is on the PBX."""

from __future__ import annotations

from pathlib import Path

import click

from receiver.cli.common import write_file
from receiver.declarations.speech import Speech
from receiver.errors import SettingsError
from receiver.pbx.audio import examine
from receiver.registration.voices import Voices
from receiver.settings import Settings


@click.command()
@click.argument("text")
@click.option("--voice", default=Speech("").voice, show_default=True, help="As in a Speech.")
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="The WAV file."
)
@click.option("--yes", is_flag=True, help="Overwrite an existing file.")
def say(text: str, voice: str, out: Path, yes: bool) -> None:
    """Write the recording that Speech(TEXT) would have on the PBX to a file.

    Without a synthesizer the error says what to install.
    """
    if out.exists() and not yes:
        raise SettingsError(f"{out} already exists: use --yes to overwrite it, or another --out")
    made = Voices(Settings.read()).spoken(Speech(text, voice))
    write_file(out, made.data, option="--out", mode=0o666)
    found = examine(out.name, made.data)
    click.echo(f"{out}: {found.seconds:.1f} s at {found.rate / 1000:g} kHz, by {made.synthesizer}")
