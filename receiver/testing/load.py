"""Load: so many calls a second, and how many of their callbacks were answered in time.

Rule 1: a call begins when its moment has come, however slow those before it are: who waits for
        answers measures a service kinder than callers do. Being late oneself is reported.
Rule 2: nobody else's machine is loaded by mistake: a target that is not this one is told aloud.
"""

from __future__ import annotations

import asyncio
import ipaddress
import math
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from receiver.errors import SettingsError
from receiver.simulator.line import PhoneCall
from receiver.simulator.trace import Step

Dial = Callable[[], Awaitable[PhoneCall]]
"""Dials once more."""


@dataclass(frozen=True, slots=True)
class Load:
    """What was measured.

    Attributes:
        calls: how many there were.
        seconds: how long it took, until the last answer.
        took: seconds of each callback that was answered in time, sorted.
        shares: the same as shares of their deadlines.
        decisions: what the callbacks led to, in words, and how often.
        callbacks: how many there were.
        behind: seconds by which the call was late that was latest.
    """

    calls: int
    seconds: float
    took: tuple[float, ...]
    shares: tuple[float, ...]
    decisions: Counter[str] = field(repr=False)
    callbacks: int
    behind: float

    @property
    def in_time(self) -> float:
        """The share of callbacks that were answered in time; 1 if there were none."""
        return len(self.took) / self.callbacks if self.callbacks else 1.0

    def lines(self) -> list[str]:
        """For people."""
        if not self.callbacks:
            return [f"{self.calls} calls, and no action URL was asked: do the keys match a mask?"]
        ranks = ", ".join(f"{p} % within {percentile(self.took, p):.0f} ms" for p in (50, 95, 99))
        lines = [
            f"{self.calls} calls in {self.seconds:.1f} s, {self.callbacks} callbacks",
            f"answered in time: {len(self.took)}, {self.in_time:.2%}",
        ]
        if self.took:
            slowest, share = max(self.took) * 1000, max(self.shares)
            lines.append(f"{ranks}, the slowest {slowest:.0f} ms; at most {share:.0%} of the time")
        if self.behind > 0.05:
            lines.append(
                f"calls began up to {self.behind * 1000:.0f} ms late: this machine is busy"
            )
        return [*lines, *(f"{n:7}  {what}" for what, n in self.decisions.most_common())]


async def load(dial: Dial, presses: Sequence[str], *, rate: float, seconds: float) -> Load:
    """Place calls and measure their callbacks.

    Parameters:
        dial: makes a call; what it raises ends the load.
        presses: what each caller keys in, prompt by prompt.
        rate: calls a second.
        seconds: for how long calls begin.
    """
    steps: list[Step] = []
    behind = 0.0

    async def one() -> None:
        call = await dial()
        for digits in presses:
            if call.ended:
                break
            await call.press(digits)
        steps.extend(call.callbacks)

    begun = time.perf_counter()
    count = max(1, round(rate * seconds))
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                ahead = number / rate - (time.perf_counter() - begun)
                behind = max(behind, -ahead)
                await asyncio.sleep(max(0.0, ahead))
                group.create_task(one())
    except ExceptionGroup as error:
        raise error.exceptions[0] from None
    return _measured(count, time.perf_counter() - begun, steps, behind)


def _measured(calls: int, seconds: float, steps: Sequence[Step], behind: float) -> Load:
    good = [step for step in steps if step.outcome.kind != "failed"]
    return Load(
        calls=calls,
        seconds=seconds,
        took=tuple(sorted(step.seconds for step in good)),
        shares=tuple(step.seconds / (step.deadline or math.inf) for step in good),
        decisions=Counter(step.outcome.text for step in steps),
        callbacks=len(steps),
        behind=behind,
    )


def percentile(took: Sequence[float], percent: float) -> float:
    """Milliseconds within which ``percent`` of the sorted ``took`` (seconds) were done."""
    if not took:
        return math.nan
    return took[max(0, math.ceil(len(took) * percent / 100) - 1)] * 1000


def check_target(url: str, *, remote: bool) -> None:
    """Whether a service may be loaded.

    Parameters:
        url: where it is.
        remote: it was told aloud that it may be on another machine.

    Raises:
        SettingsError: the URL is none, or leads to another machine.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or parts.scheme not in ("http", "https"):
        raise SettingsError("--http is a URL such as http://127.0.0.1:8000")
    if not remote and not _is_loopback(host):
        raise SettingsError(
            f"{host} is not this machine: add --remote if that service is yours to load"
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
