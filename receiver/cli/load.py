"""``receiver load``: place many calls and measure the answer times."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from receiver.app import Receiver
from receiver.cli.common import app_argument, json_option, load_app, write_file
from receiver.cli.dial import from_option
from receiver.cli.exit_status import FINDING
from receiver.cli.local_service import find_declared_ivr
from receiver.cli.progress_bar import progress_bar
from receiver.declarations.actions import sensitive_names
from receiver.simulator.line import Line, PhoneCall
from receiver.testing.declared_pbx import make_pbx, register
from receiver.testing.load import Dial, Load, check_target, load
from receiver.testing.load_report import as_object, as_page, as_text
from receiver.testing.phone import Phone


class _FiniteRange(click.FloatRange):
    """A number in a range. `click.FloatRange` accepts NaN, which fails no comparison."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        found = float(super().convert(value, param, ctx))
        if not math.isfinite(found):
            self.fail(f"{value} is not a finite number", param, ctx)
        return found


@click.command("load")
@app_argument
@click.argument("ivr")
@from_option
@click.option("--press", multiple=True, help="Digits to key in; repeat for each further prompt.")
@click.option("--rate", default=50.0, show_default=True, type=_FiniteRange(0.1, 10_000))
@click.option(
    "--for",
    "seconds",
    default=10.0,
    show_default=True,
    type=_FiniteRange(0.1),
    help="Seconds during which calls start.",
)
@click.option("--http", "url", help="Call the service at this URL, which has the same secret.")
@click.option("--remote", is_flag=True, help="Allow --http to a service on another machine.")
@click.option(
    "--least",
    default=99.0,
    show_default=True,
    type=_FiniteRange(0, 100),
    help="The share of answers that must be in time, in percent.",
)
@click.option(
    "--html",
    "page",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the report to FILE too, as a page that needs no network.",
)
@json_option
def load_command(
    target: str,
    ivr: str,
    caller: str,
    press: tuple[str, ...],
    rate: float,
    seconds: float,
    url: str | None,
    remote: bool,
    least: float,
    page: Path | None,
    machine: bool,
) -> None:
    """Place RATE calls a second to IVR and measure the answer times against the deadline.

    By default the app runs in this process; with --http, callbacks go over the network.
    """
    if url:
        check_target(url, remote=remote)
    app = load_app(target)

    async def run() -> Load:
        with progress_bar("calls ended") as progress:
            async with _dialer(app, ivr, caller, url) as dial:
                return await load(dial, press, rate=rate, seconds=seconds, progress=progress)

    done = asyncio.run(run())
    if page is not None:
        text = as_page(done, f"Load on {ivr} of {target}")
        write_file(page, text.encode(), option="--html", mode=0o666)
    if machine:
        click.echo(json.dumps(as_object(done, least), indent=2))
    else:
        click.echo("\n".join(as_text(done)))
    if not done.passed(least):
        raise SystemExit(FINDING)


@asynccontextmanager
async def _dialer(app: Receiver, ivr: str, caller: str, url: str | None) -> AsyncIterator[Dial]:
    """Yield a function that calls the app in this process, or the service at ``url``."""
    label, number = find_declared_ivr(app, ivr)
    if url is None:
        async with Phone(app) as phone:

            async def dial() -> PhoneCall:
                phone.calls.clear()  # their results are counted; keeping them would fill the memory
                return await phone.dial(ivr, caller=caller)

            yield dial
        return
    pbx = make_pbx(app, label)
    register(app, label, pbx, url.rstrip("/"), app.settings_for(label))
    line = Line(pbx, sensitive=partial(sensitive_names, tuple(app), label))
    yield lambda: line.dial(number, caller=caller)
