"""Callbacks and their outcomes as the console's page shows them: pure."""

from __future__ import annotations

from typing import Any

from receiver.pbx.callback_trace import Outcome

Json = dict[str, Any]

AFTER_FAILURE = {
    "prompt": "the IVR plays its prompt again and accepts further keys",
    "failure_rule": "the IVR follows its rule for failures",
    "menu": "the IVR's own menu handles the digits",
    "hang_up": "the PBX hangs up",
}
"""The PBX's reaction to a failed callback, by the simulator's ``Behaviour.after_failure``."""

_GUESS = " (what a real PBX does then is not documented)"


def outcome_json(outcome: Outcome, after_failure: str, kind: str) -> Json:
    """Return the outcome of a callback of ``kind``, and after a failure what the PBX does next."""
    then = AFTER_FAILURE[after_failure] + _GUESS if outcome.kind == "failed" else ""
    return {"kind": outcome.kind, "text": outcome.text_of(kind), "then": then}


_NO_DETAILS: Json = {
    "exchanges": [],
    "stages": None,
    "log": [],
    "error": None,
    "upstream": [],
    "blocking": [],
}


def callback_step(at: float, text: str, **callback: Any) -> Json:
    """Return the step of a callback; details that ``callback`` lacks are empty."""
    return {"at": at, "type": "callback", "text": text, "callback": {**_NO_DETAILS, **callback}}
