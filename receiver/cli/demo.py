"""``receiver demo``: register the service on a simulated PBX, place calls and check their ends."""

from __future__ import annotations

import asyncio

import click
import msgspec

from receiver.app import Receiver
from receiver.cli.common import coloured
from receiver.cli.demo_calls import CALLS, LOCKED, REPAIRED, DemoCall, sales, support
from receiver.cli.demo_outcome import connecting, events, place_with_outcome, reception
from receiver.cli.dial import show
from receiver.cli.local_service import LocalService, run_local
from receiver.credentials import Secret
from receiver.errors import ReceiverError
from receiver.execution.signals import on_stop
from receiver.pbx.callback_trace import Outcome, Step
from receiver.registration.render import render
from receiver.text import counted


@click.command()
@click.option("--keep", is_flag=True, help="Keep the PBX and the service running at the end.")
def demo(keep: bool) -> None:
    """Start a simulated PBX and a service, register over REST, and place calls."""
    wrong = asyncio.run(_demo(keep))
    if wrong:
        raise ReceiverError(
            f"{counted(len(wrong), 'call')} did not end as expected: {'; '.join(wrong)}"
        )


async def _demo(keep: bool) -> list[str]:
    async with run_local(Receiver(sales, support, reception, connecting, events)) as local:
        _title(f"A simulated PBX on {local.pbx_url}, the service on {local.url}")
        click.echo(coloured(render(await local.plan())))
        await local.apply()
        wrong = [call.title for call in CALLS if not await _place(local, call)]
        await _change_token(local, "locked")
        wrong += [LOCKED.title] * (not await _place(local, LOCKED))
        _title("plan shows the change, apply reverts it, and then nothing is left to do")
        click.echo(coloured(render(await local.plan())))
        await local.apply()
        wrong += [REPAIRED.title] * (not await _place(local, REPAIRED))
        wrong += await place_with_outcome(local)
        after = await local.plan()
        wrong += ["plan after apply"] * bool(after.pending)
        _title("The plan after the last apply")
        click.echo(coloured(render(after)))
        click.secho(f"\n{len(CALLS) + 4} calls, {len(wrong)} failed.", bold=True)
        if keep:
            await _stay(local)
        return wrong


async def _place(local: LocalService, expected: DemoCall) -> bool:
    """Place a call, print it, and return whether it ended as expected."""
    _title(expected.title)
    call = await local.line.dial(expected.ivr, caller=expected.caller, caller_name=expected.name)
    show(call.steps[-1])
    for digits in expected.presses:
        show(await call.press(digits))
    ends = [step.outcome for step in call.steps]
    good = len(ends) == len(expected.ends) and all(map(_is_expected, call.steps, expected.ends))
    if not good:
        click.secho(f"  ! this call should have ended with: {expected.ends[-1]}", fg="red")
    return good


def _is_expected(step: Step, expected: Outcome) -> bool:
    in_time = step.deadline is None or step.seconds < step.deadline
    if expected.kind == "failed":
        return step.outcome.kind == "failed" and expected.detail in step.outcome.detail
    return step.outcome == expected and in_time


async def _change_token(local: LocalService, name: str) -> None:
    """Change the token of an action URL, as an operator might in the PBX's portal."""
    for change in (await local.plan()).of("unchanged"):
        if change.resource.name == name:
            wrong = msgspec.structs.replace(change.resource, token=Secret("Changed-In-Portal"))
            await local.client.action_urls(change.ivr.id).put(wrong.id, wrong)


async def _stay(local: LocalService) -> None:
    click.echo(f"The service stays on {local.url}, the PBX on {local.pbx_url}. Ctrl-C stops both.")
    stop = asyncio.Event()
    on_stop(stop.set)
    await stop.wait()


def _title(text: str) -> None:
    click.secho(f"\n{text}", bold=True)
