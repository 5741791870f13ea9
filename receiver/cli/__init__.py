"""The ``receiver`` command. One module a group of commands; the table below names them all."""

from __future__ import annotations

import logging
import os

import click

from receiver.cli.configuring import handlers, schema_command
from receiver.cli.consoling import console
from receiver.cli.demo import demo
from receiver.cli.developing import dev
from receiver.cli.dialing import curl, dial
from receiver.cli.doctoring import doctor
from receiver.cli.guarding import drain, guard, undrain
from receiver.cli.registering import apply, destroy, drift, plan
from receiver.cli.rehearsing import load_command, scenario
from receiver.cli.replaying import replay
from receiver.cli.resources import GROUPS
from receiver.cli.reviving import after
from receiver.cli.rotating import rotate
from receiver.cli.running import check, serve
from receiver.cli.scraping import metrics
from receiver.cli.simulating import simulate
from receiver.cli.starting import new
from receiver.errors import ReceiverError
from receiver.settings import unknown_settings

COMMANDS: tuple[click.Command, ...] = (
    new,
    serve,
    dev,
    check,
    handlers,
    schema_command,
    plan,
    drift,
    apply,
    rotate,
    destroy,
    drain,
    undrain,
    guard,
    doctor,
    dial,
    scenario,
    load_command,
    replay,
    curl,
    metrics,
    console,
    after,
    demo,
    simulate,
    *GROUPS,
)


class _Cli(click.Group):
    """Ends in one clear line where a traceback would help nobody."""

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


for _command in COMMANDS:
    main.add_command(_command)
