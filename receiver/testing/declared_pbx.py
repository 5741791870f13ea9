"""A simulated PBX for an app: with its declared IVRs, and its actions registered."""

from __future__ import annotations

from receiver.app import Receiver
from receiver.declarations.desired_ivr import holidays_of
from receiver.declarations.ivr import desired_ivrs
from receiver.pbx.models import write
from receiver.registration.desired import desired_action_urls
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
    """Create on ``pbx`` the action URLs that ``receiver apply`` would create.

    Parameters:
        app: the declarations.
        label: of the PBX.
        pbx: the simulated PBX.
        base: the service's URL.
        settings: have the secret and the epoch of the credentials.
    """
    for item in desired_action_urls(app, base, settings.secret, settings.epoch, pbx=label):
        pbx.action_urls(pbx.at(item.ivr)["id"]).create(write(item.action))
