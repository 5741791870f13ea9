"""The guards of an app, for ``receiver guard`` and for the one that ``receiver serve`` keeps.

Rule 1: what is wrong with one of them is said before any begins.
Rule 2: beside the workers of a service a guard is a process of its own, started and watched as they
        are: no callback waits for it, and where none of them answers it still does. It ends with
        the service, and leaves the PBX as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Iterable, Sequence

from receiver.app import Receiver
from receiver.cli.several import title
from receiver.guard.deadman import Rules
from receiver.guard.guarding import Guard, Post
from receiver.guard.leases import Hold, open_lease
from receiver.pbx.accounts import client, tokens
from receiver.pbx.client import PbxClient
from receiver.registration.carrying import together
from receiver.registration.probing import make_courier
from receiver.registration.wanting import Wanted, wanted
from receiver.serving.working import Channel, inherited

TELLING = "--telling"
"""The option by which a parent names the socket between the workers and the console."""

WORKER = "--as-worker"
"""The option by which a parent tells a worker its number, listener and channel."""


class _Stop:
    """What ends the guards, in the shape of a server that is told to exit."""

    def __init__(self) -> None:
        self.event = asyncio.Event()

    @property
    def should_exit(self) -> bool:
        return self.event.is_set()

    @should_exit.setter
    def should_exit(self, told: bool) -> None:
        if told:
            self.event.set()


def declared(app: Receiver, label: str) -> tuple[Wanted, ...]:
    """What an app declares for a PBX.

    Raises:
        SettingsError: where the service or the PBX is, is not set.
    """
    settings = app.settings_for(label).need("public_url", "pbx_url")
    return wanted(app, settings.public_url, settings.secret, settings.epoch, pbx=label)


def posts(
    app: Receiver, labels: Iterable[str], rules: Rules | None = None, interval: float = 3.0
) -> list[Post]:
    """What is to be guarded on the PBXs of these labels.

    Raises:
        SettingsError: a variable that a guard needs is not set.
        RegistrationError: nothing is declared that could be asked.
    """

    def post(label: str) -> Post:
        items, settings = declared(app, label), app.settings_for(label)
        tokens(settings)
        name = title(app, label) if label else "the PBX"
        base, secret = settings.public_url, settings.secret
        return Post(items, base, secret, label, name, rules or Rules(), interval)

    return [post(label) for label in labels]


async def watch(
    app: Receiver, guarded: Sequence[Post], stop: asyncio.Event, *, restore: bool = False
) -> None:
    """Guard until ``stop``, SIGTERM or SIGINT; ``restore`` as in `Guard.run`."""
    loop = asyncio.get_running_loop()

    async def one(post: Post, hold: Hold, pbx: PbxClient) -> None:
        async with pbx:
            await Guard(post, pbx, make_courier(), hold).run(stop, restore=restore)

    watches = []
    for post in guarded:
        settings = app.settings_for(post.pbx)
        hold = Hold(open_lease(settings.store, post.base, post.pbx))
        watches.append((post, hold, client(settings)))
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows
            loop.add_signal_handler(number, stop.set)
    await together(one(*item) for item in watches)


async def watch_as_worker(
    app: Receiver, guarded: Sequence[Post], place: tuple[int, int, int]
) -> None:
    """Guard until the parent says so, or is gone; ``place`` is what `WORKER` gave."""
    _, listener, channel = place
    inherited(listener).close()  # a guard answers nobody
    stop = _Stop()
    beat = asyncio.create_task(Channel(channel).beat(stop))
    try:
        await watch(app, guarded, stop.event)
    finally:
        beat.cancel()
        await asyncio.gather(beat, return_exceptions=True)
