"""Arguments and options that most commands share; importing them is fast."""

from __future__ import annotations

import click
from click.shell_completion import CompletionItem


def complete_path(
    context: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Let the shell complete paths: APP may be a Python or a configuration file."""
    return [CompletionItem(incomplete, type="file")]


class AppType(click.types.StringParamType):
    """The name of an app; the error says how one is written."""

    def get_missing_message(
        self, param: click.Parameter, ctx: click.Context | None = None
    ) -> str | None:
        return "Name the app, as in app:app, or its file, as in app.py or receiver.toml."


app_argument = click.argument("target", type=AppType(), metavar="APP", shell_complete=complete_path)

json_option = click.option("--json", "machine", is_flag=True, help="Print JSON, for programs.")
