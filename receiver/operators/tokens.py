"""The doors for operators, such as ``/metrics``: who has the token of one may come in.

Rule: a token is derived from the service secret, one for each door, and goes with the epoch. An
action's identity has a slash in it, and a door's has none.
"""

from __future__ import annotations

from receiver.auth import Bearer
from receiver.auth.sources import Sources
from receiver.callbacks.admission import Admission
from receiver.secrets import Secret, derive
from receiver.settings import Settings
from receiver.stores import Store
from receiver.telemetry.seldom import Seldom


def token(door: str, secret: Secret, epoch: int) -> Secret:
    """What an operator has to send, as a bearer token."""
    return derive(secret, door, epoch).token


def admission(door: str, settings: Settings, store: Store, seldom: Seldom) -> Admission:
    """Who may come in: whoever has the token. That is not the PBX, and may be anywhere."""
    known = [derive(settings.secret, door, settings.epoch + more) for more in (0, 1)]
    return Admission(Bearer(known), Sources((), settings.trusted_proxies), store, seldom)
