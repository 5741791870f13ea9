"""``receiver say``: listen to a spoken prompt before it is on the PBX."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import click

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
    part = out.with_name(f"{out.name}.part")
    try:
        part.write_bytes(made.data)
        os.replace(part, out)
    except OSError as error:
        with suppress(OSError):
            part.unlink()
        raise SettingsError(f"{out} cannot be written: {error.strerror}") from None
    found = examine(out.name, made.data)
    click.echo(f"{out}: {found.seconds:.1f} s at {found.rate / 1000:g} kHz, by {made.synthesizer}")
