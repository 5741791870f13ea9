"""A simulated PBX for an app, with its actions registered; copies of its IVRs."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from receiver.app import Receiver
from receiver.credentials import Secret
from receiver.declarations.actions import Action, Handler
from receiver.declarations.desired_ivr import holidays_of
from receiver.declarations.ivr import Ivr, desired_ivrs
from receiver.pbx.models import write
from receiver.registration.desired import desired_action_urls, desired_event_url
from receiver.settings import Settings
from receiver.simulator.model import Pbx


def make_pbx(app: Receiver, label: str) -> Pbx:
    """Return a simulated PBX with the IVRs that ``app`` declares for the label."""
    pbx = Pbx()
    ivrs = desired_ivrs(app.ivrs, label)
    ids = {one.name: pbx.holidays.create(write(one)) for one in holidays_of(ivrs)}
    declared = {one.number: write(one.with_holiday_ids(ids)) for one in ivrs}
    for number in dict.fromkeys(ivr.number for ivr in app.ivrs if ivr.pbx == label):
        if number in declared:
            pbx.ivrs.create(declared[number])
        else:
            pbx.add_ivr(number)
    return pbx


def register(app: Receiver, label: str, pbx: Pbx, base: str, settings: Settings) -> None:
    """Create on ``pbx`` the action URLs that ``receiver apply`` would create, and the event URL.

    Parameters:
        app: the declarations.
        label: of the PBX.
        pbx: the simulated PBX.
        base: the service's URL.
        settings: have the secret and the epoch of the credentials.
    """
    for item in desired_action_urls(app, base, settings.secret, settings.epoch, pbx=label):
        pbx.action_urls(pbx.at(item.ivr)["id"]).create(write(item.action))
    if endpoint := app.event_endpoint(label):
        event_url = desired_event_url(endpoint, base, settings.secret, settings.epoch)
        pbx.update_tenant({"cdr_event": write(event_url)})


def phone_settings(folder: Path) -> Settings:
    """Return the settings of an app that a simulated PBX calls; its jobs are in ``folder``."""
    jobs = Secret(str(folder / "jobs.db"))
    return Settings(secret=_secret(), jobs=jobs, log_caller_data=True)


@cache
def _secret() -> Secret:
    """Return the secret of all such apps of a process: deriving keys from a new one takes 40 ms."""
    return Secret(secrets.token_hex(32))


class IvrCopy(Ivr):
    """A copy of an IVR whose handlers are wrapped; the original's declarations were checked.

    Parameters:
        ivr: the original.
        wrap: returns the function to call instead of a handler.
    """

    def __init__(self, ivr: Ivr, wrap: Callable[[Handler], Handler]) -> None:
        super().__init__(ivr.number, pbx=ivr.pbx, fallback=ivr.fallback)
        self.desired = ivr.desired
        self._actions: dict[str, Action] = {
            action.name: replace(action, handler=wrap(action.handler)) for action in ivr
        }
