"""``receiver drain``, ``undrain`` and ``guard``: disable action URLs while the service is down."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

import click

from receiver.app import Receiver
from receiver.cli.common import app_argument, client, json_option, load_app
from receiver.cli.each_pbx import chosen, over_pbxs, pbx_option, registration_settings
from receiver.cli.guards import declared, guard_configs, watch, watch_as_worker
from receiver.cli.progress import Progress, say
from receiver.observability import log_setup
from receiver.registration.acceptance import check_enabling
from receiver.registration.changes import Change, Resource
from receiver.registration.failover_drain import OFF, ON, SwitchResult, SwitchRule, switch
from receiver.registration.failover_rules import Rules
from receiver.registration.probe import protocol_at
from receiver.registration.render import change_as_json
from receiver.server.worker import WORKER
from receiver.text import counted

_RULES = Rules()


@click.command()
@app_argument
@pbx_option
@json_option
def drain(target: str, only: str | None, machine: bool) -> None:
    """Disable all action URLs of APP: the IVRs' own menus handle the calls.

    The action URLs stay on the PBX, with a header that says what disabled them, so that no guard
    enables them. Calls in progress continue. If it is interrupted, run it again.
    """
    app = load_app(target)

    def one(label: str) -> tuple[dict[str, Any], int]:
        done = _switch(app, label, OFF, machine).done
        say(
            machine,
            f"{counted(len(done), 'action URL')} switched off, all others were off already. "
            f"Switch them on with receiver undrain {target}; receiver apply switches them on too, "
            "a running guard does not.",
        )
        return {"switched": [change_as_json(change) for change in done]}, 0

    over_pbxs(app, only, machine, one)


@click.command()
@app_argument
@pbx_option
@json_option
def undrain(target: str, only: str | None, machine: bool) -> None:
    """Enable all action URLs that APP declares enabled, if drain or a guard disabled them.

    Nothing else about them is changed. A probe is sent first: if the service refuses the
    credentials that the PBX has (or, where the PBX hides them, those of this command), nothing is
    changed. If it is interrupted, run it again.
    """
    app = load_app(target)

    def one(label: str) -> tuple[dict[str, Any], int]:
        result = _switch(app, label, ON, machine)
        say(
            machine,
            f"{counted(len(result.done), 'action URL')} switched on, all others were already in "
            "the declared state.",
        )
        absent = [f"{item.ivr}/{item.action.name}" for item in result.missing]
        if absent:
            say(machine, f"Not on the PBX: {', '.join(absent)}; receiver apply {target}")
        switched = [change_as_json(change) for change in result.done]
        return {"switched": switched, "missing": absent}, 0

    over_pbxs(app, only, machine, one)


@click.command(context_settings={"show_default": True})
@app_argument
@pbx_option
@click.option("--interval", default=3.0, type=click.FloatRange(0.1), help="Seconds between probes.")
@click.option("--failures", default=_RULES.failures, type=click.IntRange(1), help="In a row.")
@click.option("--failing", default=_RULES.failing, type=click.FloatRange(0), help="In seconds.")
@click.option("--answers", default=_RULES.answers, type=click.IntRange(1), help="In a row.")
@click.option("--hold", default=_RULES.hold, type=click.FloatRange(0), help="In seconds.")
@click.option("--restore", is_flag=True, help="At the end, enable what a guard disabled.")
@click.option(WORKER, nargs=3, type=int, hidden=True)
def guard(
    target: str,
    only: str | None,
    interval: float,
    failures: int,
    failing: float,
    answers: int,
    hold: float,
    restore: bool,
    as_worker: tuple[int, int, int] | None,
) -> None:
    """Watch APP: while it does not answer, its action URLs are disabled, and IVRs use their menus.

    Every --interval seconds the service gets a probe at its public URL, a callback marked so
    that no handler runs. After --failures in a row, over at least --failing seconds, all action
    URLs are disabled; after --answers good ones they are enabled again. Two such changes are at
    least --hold seconds apart. Action URLs that receiver drain disabled stay disabled.

    Run it in the network of the PBX: a service that it cannot reach counts as down. With
    RECEIVER_STORE several guards may run, and the one with the lease acts: on one machine with a
    file, on several with Redis. Without it, run one. SIGTERM ends it and does not change the PBX.
    """
    app = load_app(target)
    rules = Rules(failures, failing, answers, hold)
    for name in ("receiver", "receiver.pbx"):
        logging.getLogger(name).setLevel(logging.INFO)
    guarded = guard_configs(app, chosen(app, only), rules, interval)
    if as_worker:
        context, settings = click.get_current_context(), app.settings
        context.with_resource(log_setup.written(settings.log_format, settings.log_caller_data))
        asyncio.run(watch_as_worker(app, guarded, as_worker))
    else:
        asyncio.run(watch(app, guarded, asyncio.Event(), restore=restore))


def _switch(app: Receiver, label: str, turn: SwitchRule, machine: bool) -> SwitchResult:
    settings = registration_settings(app, label)
    progress = Progress(machine=True)  # its lines are written here

    def changed(change: Change[Resource]) -> None:
        say(machine, f"  {str(change).removeprefix('update ')} … {word}")
        progress.change(change)

    wanted = declared(app, label)

    async def check(changes: Sequence[Change[Resource]]) -> None:
        await check_enabling(changes, wanted, settings.secret, settings.epoch, protocol=protocol_at)

    async def work() -> SwitchResult:
        async with client(settings) as pbx:
            return await switch(
                pbx,
                wanted,
                settings.public_url,
                turn,
                "drain",
                pbx=label,
                check=check,
                progress=changed,
                reading=progress.reading,
            )

    word = "off" if turn is OFF else "on"
    return progress.run(work())
