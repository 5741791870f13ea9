"""Arguments and options that most commands share; importing them is fast."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem


def complete_path(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Let the shell complete paths: APP may be a Python or a configuration file."""
    return [CompletionItem(incomplete, type="file")]


app_argument = click.argument("target", metavar="APP", shell_complete=complete_path)

json_option = click.option("--json", "machine", is_flag=True, help="Print JSON, for programs.")
