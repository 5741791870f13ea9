"""``receiver new``: a project to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from receiver.projects import start


@click.command()
@click.argument("name")
def new(name: str) -> None:
    """Make a project in the new folder NAME: a handler, tests, a Dockerfile and CI."""
    for path in start(name, Path()):
        click.echo(path)
    click.echo(f"Next: cd {name}, and then as its README.md says")
