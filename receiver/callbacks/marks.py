"""The mark by which ``receiver doctor`` says: this is a check, run no handler.

Rule 1: a mark is an HMAC of the service secret over the action's identity and a moment. Nobody
        else can make one, it is good for one action only, and for two minutes.
Rule 2: it opens no door. It is looked at after authentication, and all that it does is that the
        handler is left alone; so does one that is wrong.

Values in, values out: the time is passed in.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from typing import Literal

from receiver.secrets import Secret, derive_key

HEADER = "Receiver-Check"
"""The header of the request that holds the mark, and of the answer that holds the `Judgement`."""

SOURCE = "source "
"""How that answer begins where the request was turned away for its source, which it then names."""

LIFE = 120
"""Seconds for which a mark is good, and by which two clocks may differ."""

Judgement = Literal["ok", "expired", "wrong"]

_MARK = re.compile(r"([0-9]{1,12})-([0-9a-f]{64})")


def make_mark(secret: Secret, identity: str, now: float) -> str:
    """A mark for the action ``identity``, made ``now`` (seconds since the epoch)."""
    moment = str(int(now))
    return f"{moment}-{_sign(secret, identity, moment)}"


def judge(secret: Secret, identity: str, mark: str, now: float) -> Judgement:
    """What ``mark`` is worth at the action ``identity``, ``now`` (seconds since the epoch)."""
    found = _MARK.fullmatch(mark.strip())
    if found is None or not hmac.compare_digest(_sign(secret, identity, found[1]), found[2]):
        return "wrong"
    return "ok" if abs(now - int(found[1])) <= LIFE else "expired"


def _sign(secret: Secret, identity: str, moment: str) -> str:
    key = derive_key(secret, "check", identity)
    return hmac.digest(key, moment.encode(), hashlib.sha256).hex()
