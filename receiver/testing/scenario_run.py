"""Run scenarios on a phone, and describe how one differs from its expectation.

Rule 1: each scenario has a new phone, app and PBX, so that scenarios are independent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from receiver.app import Receiver
from receiver.pbx.callback_trace import Outcome
from receiver.simulator.events import ENDS
from receiver.simulator.line import PhoneCall
from receiver.testing.phone import Phone
from receiver.testing.phone_controls import Faults
from receiver.testing.scenarios import Act, Scenario, ScenarioError, Scenarios, parse


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """The result of a scenario; ``problem`` is empty if it ended as expected."""

    scenario: Scenario
    call: PhoneCall
    problem: str


def read(path: Path) -> Scenarios:
    """Read a scenario file.

    Raises:
        ScenarioError: the file cannot be read.
    """
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not text in UTF-8"
        raise ScenarioError(f"{path} cannot be read: {why}") from None


async def run_scenario(scenario: Scenario, app: Receiver) -> ScenarioResult:
    """Run the call of ``scenario``.

    Parameters:
        scenario: the call.
        app: of which a copy is called.

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
        problem = await _act(call, scenario.acts)
        return ScenarioResult(scenario, call, problem or _problem(scenario, call))


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
    """Carry out the acts of the caller; return why one was impossible, or ``""``."""
    for act in acts:
        if call.outcome is not None:
            what = "'press'" if call.hides_keys else repr(str(act))
            return f"{what} is impossible: the call was {_end(call)} before"
        if act.keys:
            await call.press(act.keys)
        elif act.seconds:
            await call.wait(act.seconds)
        else:
            await call.hang_up()
    return ""


def _end(call: PhoneCall) -> str:
    """Return how a call has ended, without digits of a sensitive action."""
    ends = (one.text for one in reversed(call.events) if one.kind == "ended")
    at_prompt = f"forwarded to {call.forwarded_to}" if call.forwarded_to else "still at the prompt"
    return next(ends, at_prompt).removeprefix(ENDS)


def _problem(scenario: Scenario, call: PhoneCall) -> str:
    result = call.outcome
    if result is None and call.forwarded_to:
        result = Outcome("forwarded", call.forwarded_to)  # it is in another IVR
    if result != scenario.expect:
        expected = scenario.expect.text if scenario.expect else "still at the prompt"
        return f"expected: {expected}; got: {_end(call)}"
    actions = tuple(step.action for step in call.callbacks)
    if scenario.asks is not None and actions != scenario.asks:
        expected, got = (", ".join(map(str, names)) or "none" for names in (scenario.asks, actions))
        return f"expected callbacks: {expected}; got: {got}"
    return ""
