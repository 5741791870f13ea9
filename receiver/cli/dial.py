"""``receiver dial``: a call on a simulated PBX."""

from __future__ import annotations

import asyncio
import textwrap
import time
from collections import deque
from datetime import datetime
from functools import partial
from typing import Any

import click

from receiver.app import Receiver
from receiver.cli.common import app_argument, load_app
from receiver.cli.exit_status import FINDING
from receiver.cli.local_service import LocalService, find_declared_ivr, run_local
from receiver.declarations.introspection import from_here
from receiver.declarations.missing_action import missing_action
from receiver.execution.blocking_calls import BlockingCall, BlockingCallDetector
from receiver.pbx.callback_trace import Step, render
from receiver.simulator.event_records import CallEnd, EventRecords, Json
from receiver.simulator.event_sender import reported
from receiver.simulator.events import Event
from receiver.simulator.line import PhoneCall
from receiver.text import counted


class _DateTime(click.DateTime):
    """A date and time; the error has an example in place of the codes of the formats."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter:
            self.fail(f'write a date and time, as in "2026-11-22 09:00", not {value!r}', param, ctx)


from_option = click.option(
    "--from", "caller", default="101", show_default=True, help="The caller's number."
)
name_option = click.option("--name", "caller_name", default="", help="The caller's name.")
at_option = click.option(
    "--at",
    type=_DateTime(["%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S"]),
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
    label, number = find_declared_ivr(app, ivr)
    blocking = deque[BlockingCall]()

    def listen(call: PhoneCall, event: Event) -> None:
        report.listen(call)
        if event.kind in ("announcement", "ivr"):
            click.secho(event.text, dim=True)
        if event.step is not None:
            show(event.step)
            show_missing(app, label, call.ivr, event.step)
        while blocking:
            one = blocking.popleft()
            click.secho(f"{from_here(one.file)}:{one.line}: {one.problem}", fg="yellow")

    with BlockingCallDetector() as detector:
        wrap = partial(detector.watched, report=blocking.append)
        async with run_local(app, label, wrap=wrap, at=at) as local:
            report = EventReport(local, talk)
            await local.apply()
            call = await local.line.dial(
                number, caller=caller, caller_name=caller_name, listener=listen
            )
            await report.arrived()
            for done, digits in enumerate(presses):
                if call.ended:
                    ignored = counted(sum(map(len, presses[done:])), "further key")
                    click.echo(f"the call has ended: {ignored} not pressed")
                    break
                await call.press(digits)
            await report.end(call)
            return call


class EventReport:
    """Reports a call to the app's handlers of events while it happens, and prints the events.

    Without handlers of events nothing is reported.

    Parameters:
        local: has the PBX that sends them.
        talk: seconds that the destination talks; 0 if it does not answer.

    Attributes:
        acknowledged: whether every event was.
    """

    def __init__(self, local: LocalService, talk: float) -> None:
        self._local = local
        self._end = CallEnd(talk or None)
        self._arrival: asyncio.Task[None] | None = None
        self.acknowledged = True

    def listen(self, call: PhoneCall) -> None:
        """Begin at the first event of ``call``; further ones change nothing."""
        if self._arrival is None and self._local.app.event_endpoint(self._local.label):
            self._records = EventRecords(call.call, time.time())
            self._arrival = asyncio.create_task(self._send(self._records.arrived()))

    async def arrived(self) -> None:
        """Wait for the events of the arrival, and for their handlers."""
        if self._arrival is not None:
            await self._arrival

    async def end(self, call: PhoneCall) -> None:
        """Hang up, and report the events from the end of the IVR's part."""
        if self._arrival is not None:
            await call.hang_up()
            destination = call.forwarded_to or ""
            for _, events in self._records.after_ivr(call.in_ivr, destination, self._end):
                await self._send(events)

    async def _send(self, events: list[Json]) -> None:
        click.secho(reported(events), dim=True)
        missed = sum(not one.acknowledged for one in await self._local.send(events))
        if missed:
            click.secho(f"{missed} of {len(events)} not acknowledged", fg="red")
            self.acknowledged = False


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
