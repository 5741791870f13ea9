"""``receiver demo``: a simulated PBX, the service, registration, and calls that must end well."""

from __future__ import annotations

import asyncio
import signal

import click
import msgspec

from receiver.app import Receiver
from receiver.cli.common import coloured
from receiver.cli.demo_calls import CALLS, LOCKED, MENDED, DemoCall, sales, support
from receiver.cli.dialing import show
from receiver.cli.stage import Stage, set_stage
from receiver.errors import ReceiverError
from receiver.registration.printout import render
from receiver.secrets import Secret
from receiver.simulator.trace import Outcome, Step


@click.command()
@click.option("--keep", is_flag=True, help="Leave the PBX and the service running at the end.")
def demo(keep: bool) -> None:
    """Start a simulated PBX and a service, register over REST, and place calls.

    Exits with 0 only if every call ended as it should.
    """
    wrong = asyncio.run(_demo(keep))
    if wrong:
        raise ReceiverError(f"{len(wrong)} calls did not end as they should: {'; '.join(wrong)}")


async def _demo(keep: bool) -> list[str]:
    async with set_stage(Receiver(sales, support)) as stage:
        _title(f"A simulated PBX on {stage.pbx_url}, the service on {stage.url}")
        click.echo(coloured(render(await stage.plan())))
        await stage.apply()
        wrong = [call.title for call in CALLS if not await _place(stage, call)]
        await _change_token(stage, "locked")
        wrong += [LOCKED.title] * (not await _place(stage, LOCKED))
        _title("plan sees what was changed, apply puts it right, and then there is nothing to do")
        click.echo(coloured(render(await stage.plan())))
        await stage.apply()
        wrong += [MENDED.title] * (not await _place(stage, MENDED))
        after = await stage.plan()
        wrong += ["plan after apply"] * bool(after.pending)
        _title("The plan after the last apply")
        click.echo(coloured(render(after)))
        click.secho(f"\n{len(CALLS) + 2} calls, {len(wrong)} ended wrong.", bold=True)
        if keep:
            await _stay(stage)
        return wrong


async def _place(stage: Stage, wanted: DemoCall) -> bool:
    """Place a call, show it, and say whether it ended as it should."""
    _title(wanted.title)
    call = await stage.line.dial(wanted.ivr, caller=wanted.caller, caller_name=wanted.name)
    show(call.steps[-1])
    for digits in wanted.presses:
        show(await call.press(digits))
    ends = [step.outcome for step in call.steps]
    good = len(ends) == len(wanted.ends) and all(map(_as_wanted, call.steps, wanted.ends))
    if not good:
        click.secho(f"  ! this call should have ended in {wanted.ends[-1]}", fg="red")
    return good


def _as_wanted(step: Step, wanted: Outcome) -> bool:
    in_time = step.deadline is None or step.seconds < step.deadline
    if wanted.kind == "failed":
        return step.outcome.kind == "failed" and wanted.detail in step.outcome.detail
    return step.outcome == wanted and in_time


async def _change_token(stage: Stage, name: str) -> None:
    """What an operator might do in the PBX's portal."""
    for change in (await stage.plan()).of("keep"):
        if change.action.name == name:
            wrong = msgspec.structs.replace(change.action, token=Secret("Changed-In-Portal"))
            await stage.client.update_action_url(change.ivr.id, wrong)


async def _stay(stage: Stage) -> None:
    click.echo(f"The service stays on {stage.url}, the PBX on {stage.pbx_url}. Ctrl-C ends both.")
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def _title(text: str) -> None:
    click.secho(f"\n{text}", bold=True)
