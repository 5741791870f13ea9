"""``receiver scenario`` and ``receiver load``: calls from a file, and many calls at once."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import click

from receiver.app import Receiver
from receiver.apps import place
from receiver.cli.common import app_argument, load_app
from receiver.cli.dialing import from_option
from receiver.errors import LoadError
from receiver.simulator.line import Line, LineError, PhoneCall
from receiver.testing.equipping import equip, register
from receiver.testing.load import Dial, Load, check_target, load
from receiver.testing.phone import Phone
from receiver.testing.playing import play, read
from receiver.testing.scenarios import ScenarioError


class _Within(click.FloatRange):
    """A number in a range; `click.FloatRange` takes NaN for one, and that compares with nothing."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        found = float(super().convert(value, param, ctx))
        if not math.isfinite(found):
            self.fail(f"{value} is no number to count with", param, ctx)
        return found


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.argument("target", metavar="[APP]", required=False)
def scenario(file: Path, target: str | None) -> None:
    """Place the calls that FILE describes, and see whether they end as it says.

    APP may be left out if the file names it. Exits with 1 if a call ended otherwise, with 2 if the
    file cannot be read.
    """
    found = read(file)
    if not (name := target or found.app):
        raise LoadError(f'{file} names no app: write app = "app:app" in it, or name APP here')
    app = load_app(name)
    wrong = 0
    for one in found.calls:
        try:
            played = asyncio.run(play(one, app))
        except (LineError, LoadError) as error:
            raise ScenarioError(f"{file}:{one.line}: {error}") from None
        wrong += bool(played.problem)
        if not played.problem:
            click.echo(f"{click.style('ok', fg='green')}      {one.name}")
            continue
        click.echo(f"{click.style('failed', fg='red')}  {one.name} ({file}:{one.line})")
        click.echo(f"{played.problem}\n{click.style(played.call.transcript, dim=True)}")
    click.secho(f"{len(found.calls)} calls, {wrong} ended otherwise", bold=True)
    if wrong:
        raise SystemExit(1)


@click.command("load")
@app_argument
@click.argument("ivr")
@from_option
@click.option("--press", multiple=True, help="Digits to key in; again for each further prompt.")
@click.option("--rate", default=50.0, show_default=True, type=_Within(0.1, 10_000))
@click.option(
    "--for",
    "seconds",
    default=10.0,
    show_default=True,
    type=_Within(0.1),
    help="Seconds for which calls begin.",
)
@click.option("--http", "url", help="Load the service at this URL, which has the same secret.")
@click.option("--remote", is_flag=True, help="It is on another machine, and yours to load.")
@click.option(
    "--least",
    default=99.0,
    show_default=True,
    type=_Within(0, 100),
    help="The share that must be answered in time, in percent.",
)
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
) -> None:
    """Place RATE calls a second to IVR, and see how many callbacks are answered in time.

    By default within this process, and with --http on the wire. Exits with 1 if fewer are answered
    in time than --least says.
    """
    if url:
        check_target(url, remote=remote)
    app = load_app(target)

    async def run() -> Load:
        async with _dialler(app, ivr, caller, url) as dial:
            return await load(dial, press, rate=rate, seconds=seconds)

    done = asyncio.run(run())
    for line in done.lines():
        click.echo(line)
    if not done.callbacks or done.in_time * 100 < least:
        raise SystemExit(1)


@asynccontextmanager
async def _dialler(app: Receiver, ivr: str, caller: str, url: str | None) -> AsyncIterator[Dial]:
    """Dials the app within this process, or the service at ``url``."""
    label, number = place(app, ivr)
    if url is None:
        async with Phone(app) as phone:

            async def dial() -> PhoneCall:
                phone.calls.clear()  # what they led to is counted, and memory is not without end
                return await phone.dial(ivr, caller=caller)

            yield dial
        return
    pbx = equip(app, label)
    register(app, label, pbx, url.rstrip("/"), app.settings_for(label))
    line = Line(pbx)
    yield lambda: line.dial(number, caller=caller)
