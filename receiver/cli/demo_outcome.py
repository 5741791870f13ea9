"""The calls of ``receiver demo`` to a reception with a CRM, and what the CRM has afterwards."""

from __future__ import annotations

from functools import partial

import click

from receiver.calls import Call
from receiver.cli.dial import EventReport, show
from receiver.cli.local_service import LocalService
from receiver.declarations.announcement import Announcement
from receiver.declarations.call_events import CallEvent
from receiver.declarations.event_actions import Events
from receiver.declarations.ivr import Ivr
from receiver.declarations.speech import Speech
from receiver.replies import Forward, Reply
from receiver.simulator.call import PhoneCall
from receiver.simulator.events import Event

CALLER_NUMBER = "+4930123456"
TALK_SECONDS = 95.0
WELCOME = Speech("Welcome to Acme. Press 1 for your contact.")
ANSWERED = "A caller whom the CRM knows: spoken prompt, look-up, announcement, answered"
MISSED = "The same caller, who is not answered: a follow-up"


class SimulatedCrm:
    """Contacts by number, logged calls and tasks, in memory."""

    def __init__(self) -> None:
        self.contacts = {CALLER_NUMBER: ("Grace Hopper", "222")}
        self.calls = list[str]()
        self.tasks = list[str]()


crm = SimulatedCrm()
reception = Ivr("8200", name="Reception", prompt=WELCOME)
connecting = Announcement("8201", Speech("We connect you to your contact."), then="222")
events = Events(auth="digest")


@reception.dtmf("1", name="contact", fallback=Forward("0"))
async def contact(call: Call) -> Reply:
    return Forward(connecting) if call.caller in crm.contacts else Forward("0")


@events.on("call_ended", name="log-call")
async def log_call(event: CallEvent) -> None:
    name, _ = crm.contacts[event.caller]
    if person := event.answered_by:
        seconds = person.talk_duration or 0
        crm.calls.append(f"{name} talked with {person.number} for {seconds:g} s")


@events.on("call_missed", name="follow-up")
async def follow_up(event: CallEvent) -> None:
    name, owner = crm.contacts[event.caller]
    crm.tasks.append(f"{owner}: call back {name}")


async def place_with_outcome(local: LocalService) -> list[str]:
    """Place two calls, report their events, print what the CRM has; return those that failed."""
    crm.calls.clear()
    crm.tasks.clear()
    wrong = []
    for title, talk in ((ANSWERED, TALK_SECONDS), (MISSED, 0.0)):
        click.secho(f"\n{title}", bold=True)
        report = EventReport(local, talk)
        call = await local.line.dial("8200", caller=CALLER_NUMBER, listener=partial(_show, report))
        await report.arrived()
        await call.press("1")
        good = (call.announcements, call.forwarded_to) == (("8201",), "222")
        await report.end(call)
        wrong += [] if good and report.acknowledged else [title]
    logged, tasks = ["Grace Hopper talked with 222 for 95 s"], ["222: call back Grace Hopper"]
    for text in (*crm.calls, *crm.tasks):
        click.secho(f"in the CRM: {text}", fg="green")
    return wrong + ["the CRM after these calls"] * ((crm.calls, crm.tasks) != (logged, tasks))


def _show(report: EventReport, call: PhoneCall, event: Event) -> None:
    report.listen(call)
    if event.kind == "prompt":
        click.secho(f"the prompt: {WELCOME.text}", dim=True)
    elif event.kind == "announcement":
        click.secho(event.text, dim=True)
    if event.step is not None:
        show(event.step)
