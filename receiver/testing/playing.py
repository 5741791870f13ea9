"""Plays scenarios on a phone, and says in words where one did not go as it should.

Rule 1: each has a phone, and so an app and a PBX, of its own: none sees what another left behind.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from receiver.app import Receiver
from receiver.simulator.line import PhoneCall
from receiver.testing.faults import Faults
from receiver.testing.phone import Phone
from receiver.testing.scenarios import Act, Scenario, ScenarioError, Scenarios, parse


@dataclass(frozen=True, slots=True)
class Played:
    """What became of a scenario; ``problem`` is empty if it went as it should."""

    scenario: Scenario
    call: PhoneCall
    problem: str


def read(path: Path) -> Scenarios:
    """The scenarios in a file.

    Raises:
        ScenarioError: it cannot be read.
    """
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise ScenarioError(f"{path} cannot be read: {why}") from None


async def play(scenario: Scenario, app: Receiver) -> Played:
    """Place the call of ``scenario``.

    Parameters:
        scenario: the call.
        app: a copy of it is called.

    Raises:
        LoadError, LineError: the app has no such IVR.
    """
    async with Phone(app) as phone:
        if scenario.at is not None:
            phone.clock.now = scenario.at
        phone.faults = _faults(scenario)
        call = await phone.dial(
            scenario.ivr, caller=scenario.caller, caller_name=scenario.caller_name
        )
        unheard = await _act(call, scenario.acts)
        return Played(scenario, call, unheard or _problem(scenario, call))


def _faults(scenario: Scenario) -> Faults:
    fault = scenario.fault
    return Faults(
        slow=scenario.slow,
        dropped=fault == "dropped",
        refused=fault == "refused",
        wrong_password=fault == "wrong password",
        late=fault == "late",
    )


async def _act(call: PhoneCall, acts: Iterable[Act]) -> str:
    """Do what the caller does; why not all of it could be done, or nothing."""
    for act in acts:
        if call.outcome is not None:
            return f"nobody hears {str(act)!r}: before that the call was {call.outcome.text}"
        if act.keys:
            await call.press(act.keys)
        elif act.seconds:
            await call.wait(act.seconds)
        else:
            await call.hang_up()
    return ""


def _problem(scenario: Scenario, call: PhoneCall) -> str:
    if call.outcome != scenario.expect:
        wanted, got = (
            outcome.text if outcome else "still at the prompt"
            for outcome in (scenario.expect, call.outcome)
        )
        return f"expected: {wanted}; in fact: {got}"
    asked = tuple(step.action for step in call.callbacks)
    if scenario.asks is not None and asked != scenario.asks:
        wanted, got = (", ".join(map(str, names)) or "none" for names in (scenario.asks, asked))
        return f"expected to be asked: {wanted}; in fact: {got}"
    return ""
