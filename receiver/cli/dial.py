"""``receiver dial``: a call on a simulated PBX."""

from __future__ import annotations

import asyncio
import textwrap
from collections import deque
from datetime import datetime
from functools import partial

import click

from receiver.app import Receiver
from receiver.cli.common import app_argument, load_app
from receiver.cli.exit_status import FINDING
from receiver.cli.local_service import run_local
from receiver.config.load_app import find_ivr
from receiver.declarations.introspection import from_here
from receiver.declarations.missing_action import missing_action
from receiver.execution.blocking_calls import BlockingCall, BlockingCallDetector
from receiver.pbx.callback_trace import Step, render
from receiver.simulator.event_sender import EventDelivery
from receiver.simulator.events import Event
from receiver.simulator.line import PhoneCall
from receiver.text import counted

from_option = click.option(
    "--from", "caller", default="101", show_default=True, help="The caller's number."
)
name_option = click.option("--name", "caller_name", default="", help="The caller's name.")
at_option = click.option(
    "--at",
    type=click.DateTime(["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S"]),
    metavar='"YYYY-MM-DD HH:MM"',
    help="The date and time at the PBX and for handlers; by default now.",
)


@click.command()
@app_argument
@click.argument("ivr")
@from_option
@name_option
@click.option("--press", multiple=True, help="Digits to key in; repeat it for each further prompt.")
@at_option
@click.option(
    "--talk",
    type=click.FloatRange(0),
    default=10.0,
    show_default=True,
    help="Seconds that the destination talks, for handlers of events; 0: it does not answer.",
)
def dial(
    target: str,
    ivr: str,
    caller: str,
    caller_name: str,
    press: tuple[str, ...],
    at: datetime | None,
    talk: float,
) -> None:
    """Call the extension IVR of a simulated PBX on which APP is registered.

    If APP has several PBXs, IVR is as in north/8000. Shows the requests, the answers and the end of
    the call, and calls that block the event loop.
    """
    app = load_app(target)
    call = asyncio.run(_dial(app, ivr, caller, caller_name, press, at, talk))
    if any(step.outcome.kind == "failed" for step in call.steps):
        raise SystemExit(FINDING)


async def _dial(
    app: Receiver,
    ivr: str,
    caller: str,
    caller_name: str,
    presses: tuple[str, ...],
    at: datetime | None,
    talk: float,
) -> PhoneCall:
    label, number = find_ivr(app, ivr)
    blocking = deque[BlockingCall]()

    def listen(_: PhoneCall, event: Event) -> None:
        if event.kind == "announcement":
            click.secho(event.text, dim=True)
        if event.step is not None:
            show(event.step)
            show_missing(app, label, number, event.step)
        while blocking:
            one = blocking.popleft()
            click.secho(f"{from_here(one.file)}:{one.line}: {one.problem}", fg="yellow")

    with BlockingCallDetector() as detector:
        wrap = partial(detector.watched, report=blocking.append)
        async with run_local(app, label, wrap=wrap, at=at) as local:
            await local.apply()
            call = await local.line.dial(
                number, caller=caller, caller_name=caller_name, listener=listen
            )
            for digits in presses:
                if call.ended:
                    click.echo(f"the call has ended, further keys are ignored: {len(digits)}")
                    break
                await call.press(digits)
            if app.event_endpoint(label) is not None:
                show_events(await local.report(call, talk))
            return call


def show_events(sent: list[EventDelivery]) -> None:
    """Print how many events of the call were acknowledged."""
    good = sum(one.acknowledged for one in sent)
    text = f"the PBX reported {counted(len(sent), 'event')} of the call, {good} acknowledged"
    click.secho(text, fg="green" if good == len(sent) else "red")


def show(step: Step) -> None:
    """Print a step, its outcome in colour."""
    if step.trigger == "arrival" and step.action is None and not step.rule:
        click.secho("the call arrives, the IVR plays its prompt", dim=True)
        return
    *lines, outcome = render(step)
    for line in lines:
        click.echo(click.style(line, dim=line.startswith("  ")))
    click.secho(outcome, fg="red" if step.outcome.kind == "failed" else "green")


def show_missing(app: Receiver, label: str, ivr: str, step: Step) -> None:
    """Print the declaration to paste after keys that no action and no menu entry matches."""
    if step.trigger != "press" or step.action is not None or step.outcome.kind != "menu":
        return
    if (found := missing_action(app, ivr, "DTMF", step.digits, pbx=label)) is not None:
        click.secho("no action matches these keys; one that does:", fg="yellow")
        click.echo(textwrap.indent(found.python, "  ").rstrip())
        if found.note:
            click.echo(f"  # {found.note}")
