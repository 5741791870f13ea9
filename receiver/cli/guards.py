"""The guards of an app, for ``receiver guard`` and for the guard that ``receiver serve`` runs.

Rule 1: errors of any guard are reported before the first one starts.
Rule 2: a guard of ``receiver serve`` is a separate process, started and supervised like a worker:
        no callback waits for it, and it runs even if no worker answers. It ends with the service,
        and does not change the PBX then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

from receiver.app import Receiver
from receiver.cli.each_pbx import registration_settings, title
from receiver.cli.serve_options import WorkerArguments
from receiver.execution.signals import on_stop
from receiver.pbx.accounts import client
from receiver.pbx.pbx_client import PbxClient
from receiver.registration.concurrency import together
from receiver.registration.desired import DesiredActionUrl, desired_action_urls
from receiver.registration.failover_guard import Guard, GuardConfig
from receiver.registration.failover_rules import Rules
from receiver.registration.probe import make_callback_client
from receiver.server.worker import Channel, inherited
from receiver.storage.leases import HeldLease, open_lease


class _Stop:
    """Stops the guards; it has the interface of a server."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    @property
    def should_exit(self) -> bool:
        return self.event.is_set()

    @should_exit.setter
    def should_exit(self, value: bool) -> None:
        if value:
            self.event.set()


def declared(app: Receiver, label: str) -> tuple[DesiredActionUrl, ...]:
    """Return the desired action URLs of an app on a PBX.

    Raises:
        SettingsError: settings that a registration needs are missing or wrong.
    """
    settings = registration_settings(app, label)
    return desired_action_urls(app, settings.public_url, settings.secret, settings.epoch, pbx=label)


def guard_configs(
    app: Receiver, labels: Iterable[str], rules: Rules | None = None, interval: float = 3.0
) -> list[GuardConfig]:
    """Return the configurations of the guards for the PBXs of these labels.

    Raises:
        SettingsError: a variable that a guard needs is not set.
        RegistrationError: no enabled action is declared.
    """

    def config(label: str) -> GuardConfig:
        items, settings = declared(app, label), app.settings_for(label)
        name = title(app, label) if label else "the PBX"
        base, secret = settings.public_url, settings.secret
        return GuardConfig(
            items, base, secret, label, name, rules or Rules(), interval, settings.epoch
        )

    return [config(label) for label in labels]


async def watch(
    app: Receiver, guarded: Sequence[GuardConfig], stop: asyncio.Event, *, restore: bool = False
) -> None:
    """Guard until ``stop``, SIGTERM or SIGINT; ``restore`` as in `Guard.run`."""

    async def one(config: GuardConfig, hold: HeldLease, pbx: PbxClient) -> None:
        async with pbx:
            await Guard(config, pbx, make_callback_client(), hold).run(stop, restore=restore)

    watches = []
    for config in guarded:
        settings = app.settings_for(config.pbx)
        hold = HeldLease(open_lease(settings.store, config.base, config.pbx))
        watches.append((config, hold, client(settings)))
    on_stop(stop.set)
    await together(one(*item) for item in watches)


async def watch_as_worker(
    app: Receiver, guarded: Sequence[GuardConfig], worker: WorkerArguments
) -> None:
    """Guard until the parent process stops the guard, or has ended."""
    _, listener, channel = worker
    inherited(listener).close()  # a guard answers no requests
    stop = _Stop()
    beat = asyncio.create_task(Channel(channel).beat(stop))
    try:
        await watch(app, guarded, stop.event)
    finally:
        beat.cancel()
        await asyncio.gather(beat, return_exceptions=True)
