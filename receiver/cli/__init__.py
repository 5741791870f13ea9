"""The ``receiver`` command and the table of its subcommands."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import shutil
import sys
from collections.abc import Iterable
from importlib import import_module
from typing import Any

import click

from receiver.cli import exit_status
from receiver.cli.output_charset import accept_any_character
from receiver.errors import ReceiverError, SettingsError
from receiver.settings import environment, unknown_settings

GROUPS = {
    "Develop": {
        "guide": ("guide:guide", "Print a page of the guide, which begins with a tutorial."),
        "new": ("new:new", "Create a project: a handler, tests, a Dockerfile and CI."),
        "dev": ("dev:dev", "Run an app with a simulated PBX and a phone in the browser."),
        "check": ("check:check", "List the actions of an app; sends no request."),
        "say": ("say:say", "Write the recording of a spoken prompt to a file."),
        "handlers": ("handlers:handlers", "List the installed handlers and their options."),
        "schema": ("handlers:schema_command", "Print the JSON Schema of configuration files."),
    },
    "Register on the PBX": {
        "plan": ("plan:plan", "Show what apply would change on the PBX."),
        "import": ("import_ivrs:import_command", "Write the declarations of the PBX's IVRs."),
        "drift": ("plan:drift", "Show the differences between the app and the PBX."),
        "apply": ("apply:apply", "Create and update the action URLs on the PBX."),
        "rotate": ("rotate:rotate", "Replace all credentials without a failed call."),
        "destroy": ("apply:destroy", "Delete all action URLs that point to this service."),
        "doctor": ("doctor:doctor", "Diagnose the service, the PBX and the registration."),
    },
    "Run": {
        "serve": ("serve:serve", "Answer the callbacks of the PBX."),
        "drain": ("guard:drain", "Disable all action URLs of an app, for maintenance."),
        "undrain": ("guard:undrain", "Enable the action URLs that are declared enabled."),
        "guard": ("guard:guard", "Disable the action URLs while the service is down."),
        "metrics": ("metrics:metrics", "Print the scrape job for Prometheus."),
        "console": ("console:console", "Print the URL and the password of the console."),
        "jobs": ("jobs:jobs", "List, retry or delete dead letters (failed background jobs)."),
    },
    "Test": {
        "demo": ("demo:demo", "Register on a simulated PBX and place calls."),
        "dial": ("dial:dial", "Place a call on a simulated PBX."),
        "scenario": ("scenario:scenario", "Place the calls of a file and check how they end."),
        "load": ("load:load_command", "Place many calls and measure the answer times."),
        "replay": ("replay:replay", "Replay recorded callbacks and compare the answers."),
        "curl": ("curl:curl", "Print the curl command for a callback."),
        "simulate": ("simulate:simulate", "Serve a simulated PBX."),
    },
    "Manage the PBX": {
        "ivrs": ("resources:GROUPS", "The IVRs (virtual receptionists) of the PBX."),
        "servers": ("resources:GROUPS", "The servers that run IVRs."),
        "holidays": ("resources:GROUPS", "The holidays of the IVRs' rules."),
        "files": ("resources:GROUPS", "The prompt files."),
        "action-urls": ("resources:GROUPS", "The action URLs of one IVR."),
    },
}
"""The groups of ``receiver --help``: by command its module in this package, its attribute there (a
command or a table of commands), and its summary, so that listing commands imports none of them."""

COMMANDS = {name: place for group in GROUPS.values() for name, (place, _) in group.items()}
"""The module and the attribute of each command."""


_NARROW = 52
"""Columns; click writes help for at least so wide a terminal, unless it gets the width."""

_OUTPUT_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


def _is_output_error(error: Exception) -> bool:
    """Return whether a file without a name, such as standard output, is full or gone."""
    return isinstance(error, OSError) and not error.filename and error.errno in _OUTPUT_ERRORS


class _Cli(click.Group):
    """A group that imports a command when it runs, and prints one line instead of a traceback.

    Importing all commands would delay the start of each worker.
    """

    def main(self, *args: Any, **options: Any) -> Any:
        accept_any_character()
        if os.environ.get("NO_COLOR"):  # see no-color.org
            options.setdefault("color", False)
        columns = shutil.get_terminal_size().columns
        if columns < _NARROW:
            options.setdefault("terminal_width", max(columns - 2, 1))
        try:
            return super().main(*args, **options)
        except OSError as error:
            if not _is_output_error(error):
                raise
            click.echo(f"Error: the output cannot be written: {error.strerror}", err=True)
            sys.exit(exit_status.FINDING)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for group, commands in GROUPS.items():
            with formatter.section(group):
                formatter.write_dl([(name, summary) for name, (_, summary) in commands.items()])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            module, _, name = COMMANDS[cmd_name].partition(":")
            found = getattr(import_module(f"receiver.cli.{module}"), name)
            command = found[cmd_name] if isinstance(found, dict) else found
            self.add_command(exit_status.documented(command, cmd_name), cmd_name)
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            from difflib import get_close_matches  # noqa: PLC0415 - only for mistyped commands

            if similar := get_close_matches(args[0], COMMANDS):
                text = f"{error.message.rstrip('.')}: did you mean {' or '.join(similar)}?"
                raise click.UsageError(text, ctx) from None
            raise

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            for problem in error.problems:
                click.echo(f"Error: {problem}", err=True)
            ctx.exit(error.exit_code)
        except ReceiverError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            click.echo("Interrupted.", err=True)
            ctx.exit(exit_status.INTERRUPTED)
        except (click.exceptions.Exit, click.ClickException, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if ctx.params["show_traceback"] or _is_output_error(error):
                raise
            kind = type(error).__name__
            if isinstance(error, OSError) and error.errno:
                kind += f" ({os.strerror(error.errno)})"
            click.echo(
                f"Error: unexpected {kind}; run receiver --traceback … for details", err=True
            )
            ctx.exit(exit_status.UNEXPECTED)


@click.group(cls=_Cli, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="portsip-receiver")
@click.option(
    "--traceback", "show_traceback", is_flag=True, help="Show the traceback of an unexpected error."
)
def main(show_traceback: bool) -> None:
    """Put your own Python code on a phone call: action URLs of PortSIP PBX IVRs.

    APP is module:attribute, as uvicorn takes it (app:app), a path (examples/01_first.py:app),
    or a configuration file (receiver.toml), which needs no code.
    Settings come from RECEIVER_* variables and the file .env; `receiver guide settings` lists them.

    \b
    Completion of commands and options in bash: put into ~/.bashrc the line
      eval "$(_RECEIVER_COMPLETE=bash_source receiver)"
    zsh_source is for ~/.zshrc; for fish, in its config.fish:
      _RECEIVER_COMPLETE=fish_source receiver | source

    \b
    Exit status of all commands (--help of a command has the details):
      0    success
      1    a finding, such as a difference or a failed call; or an operation failed
      2    wrong use, or a setting or a declaration is missing or wrong
      70   an unexpected error: a fault of this program
      130  interrupted (Ctrl-C); 143 by SIGTERM
    """
    _open_closed_streams()
    # Other libraries log URLs, and the URL of a GET contains what the caller keyed in.
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    names: Iterable[str] = os.environ
    with contextlib.suppress(SettingsError):  # an unreadable .env: the command reports it
        names = environment()
    for name, meant in unknown_settings(names).items():
        click.echo(f"Warning: {name} is not a setting; did you mean {meant}?", err=True)


def _open_closed_streams() -> None:
    """Open the streams that the shell closed (``<&-``), before a socket gets their descriptors."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - stays open
