"""The ``receiver`` command. One module a group of commands; the table below names them all."""

from __future__ import annotations

import logging
import os
from importlib import import_module

import click

from receiver.errors import ReceiverError
from receiver.settings import unknown_settings

COMMANDS = {
    "new": "starting:new",
    "serve": "running:serve",
    "dev": "developing:dev",
    "check": "running:check",
    "handlers": "configuring:handlers",
    "schema": "configuring:schema_command",
    "plan": "registering:plan",
    "drift": "registering:drift",
    "apply": "registering:apply",
    "rotate": "rotating:rotate",
    "destroy": "registering:destroy",
    "drain": "guarding:drain",
    "undrain": "guarding:undrain",
    "guard": "guarding:guard",
    "doctor": "doctoring:doctor",
    "dial": "dialing:dial",
    "scenario": "rehearsing:scenario",
    "load": "rehearsing:load_command",
    "replay": "replaying:replay",
    "curl": "dialing:curl",
    "metrics": "scraping:metrics",
    "console": "consoling:console",
    "after": "reviving:after",
    "demo": "demo:demo",
    "simulate": "simulating:simulate",
    "ivrs": "resources:GROUPS",
    "servers": "resources:GROUPS",
    "holidays": "resources:GROUPS",
    "files": "resources:GROUPS",
    "action-urls": "resources:GROUPS",
}
"""Where each command is: a module of this package, and a command in it or a table of commands."""


class _Cli(click.Group):
    """Ends in one clear line where a traceback would help nobody.

    A command is imported when it is wanted: each has needs of its own, and a worker that is started
    anew lets callers wait.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            module, _, name = COMMANDS[cmd_name].partition(":")
            found = getattr(import_module(f"receiver.cli.{module}"), name)
            self.add_command(found[cmd_name] if isinstance(found, dict) else found, cmd_name)
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ReceiverError as error:
            click.echo(f"Error: {error}", err=True)
            ctx.exit(error.exit_code)
        except (click.exceptions.Exit, click.ClickException, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if ctx.params["show_traceback"]:
                raise
            kind = type(error).__name__
            click.echo(f"Error: unexpected {kind}; receiver --traceback … shows where", err=True)
            ctx.exit(1)


@click.group(cls=_Cli, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="portsip-receiver")
@click.option("--traceback", "show_traceback", is_flag=True, help="Show where a fault of ours is.")
def main(show_traceback: bool) -> None:
    """Put your own Python code on a phone call: action URLs of PortSIP PBX receptionists.

    APP is module:attribute, as uvicorn takes it (app:app), or a path (examples/01_first.py:app),
    or a configuration file (receiver.toml), for which no code is needed.
    Settings come from RECEIVER_* variables and the file .env; the README lists them.
    """
    # Other libraries log URLs, and those of a GET hold what callers keyed in.
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    for name, meant in unknown_settings(os.environ).items():
        click.echo(f"Warning: {name} is not a setting; is {meant} meant?", err=True)
