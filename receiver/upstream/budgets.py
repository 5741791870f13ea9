"""How long a handler may wait for somebody else."""

from __future__ import annotations

import math

from receiver.calls import Call

RESERVE = 0.05
"""Seconds of a call that waiting never uses up: the handler needs them to answer all the same."""


def wait_for(call: Call | None, most: float = math.inf) -> float:
    """Seconds to wait on behalf of ``call``, ``most`` of them; 0 or less if its time is up."""
    return most if call is None else min(most, call.remaining() - RESERVE)
