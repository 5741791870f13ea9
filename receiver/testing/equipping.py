"""A simulated PBX for an app: the IVRs that it declares, and its actions as they are registered."""

from __future__ import annotations

from receiver.app import Receiver
from receiver.pbx.models import write
from receiver.registration.wanting import wanted
from receiver.settings import Settings
from receiver.simulator.model import Pbx


def equip(app: Receiver, label: str) -> Pbx:
    """A PBX with the IVRs of ``app`` for the PBX of this label, as far as they are declared."""
    pbx = Pbx()
    declared = {one.number: write(one.fields) for one in app.receptionists(label)}
    for number in dict.fromkeys(ivr.number for ivr in app.ivrs if ivr.pbx == label):
        bare = {"name": f"Receptionist {number}", "extension_number": number, "enable_pin": False}
        pbx.ivrs.create(declared.get(number, bare))
    return pbx


def register(app: Receiver, label: str, pbx: Pbx, base: str, settings: Settings) -> None:
    """Put on ``pbx`` what ``receiver apply`` would.

    Parameters:
        app: the declarations.
        label: of the PBX that ``pbx`` stands for.
        base: where the service is reached.
        settings: its secret and epoch, from which the credentials are derived.
    """
    for item in wanted(app, base, settings.secret, settings.epoch, pbx=label):
        pbx.action_urls(pbx.at(item.ivr)["id"]).create(write(item.action))
