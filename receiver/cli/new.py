"""``receiver new``: create a project."""

from __future__ import annotations

from pathlib import Path

import click

from receiver.cli.project_template import create_project


@click.command()
@click.argument("name")
def new(name: str) -> None:
    """Create a project in the new folder NAME: a handler, tests, a Dockerfile and CI."""
    for path in create_project(name, Path()):
        click.echo(path)
    click.echo(f"Next: cd {name} and follow its README.md")
