"""Load: a number of calls per second, and the share of callbacks answered in time.

Rule 1: calls begin at a fixed rate, however slow the answers are: waiting for answers would hide
        slow ones (coordinated omission). The delay of this program itself is reported.
Rule 2: a target on another machine needs an explicit option.
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
from receiver.pbx.callback_trace import Step
from receiver.simulator.line import PhoneCall
from receiver.text import counted

Dial = Callable[[], Awaitable[PhoneCall]]
"""Places a call."""

Progress = Callable[[int, int], None]
"""Called with the number of calls that ended, and that of all."""


@dataclass(frozen=True, slots=True)
class Load:
    """The results.

    Attributes:
        calls: the number of calls.
        seconds: until the last answer.
        took: seconds of each callback that was answered in time, sorted.
        shares: the same as shares of their deadlines.
        decisions: the outcomes of callbacks, and how often each occurred.
        callbacks: the number of callbacks.
        behind: the maximum delay of a call's start, in seconds.
        deadline: seconds, if all callbacks had the same; else None.
    """

    calls: int
    seconds: float
    took: tuple[float, ...]
    shares: tuple[float, ...]
    decisions: Counter[str] = field(repr=False)
    callbacks: int
    behind: float
    deadline: float | None = None

    @property
    def in_time(self) -> float:
        """The share of callbacks that were answered in time; 1 without callbacks."""
        return len(self.took) / self.callbacks if self.callbacks else 1.0

    def passed(self, least: float) -> bool:
        """Return whether callbacks were sent, and at least ``least`` percent answered in time."""
        return bool(self.callbacks) and self.in_time * 100 >= least

    def lines(self) -> list[str]:
        """Return the results as text."""
        return [*self.summary(), *(f"{n:7}  {what}" for what, n in self.decisions.most_common())]

    def summary(self) -> list[str]:
        """Return the totals as text."""
        if not self.callbacks:
            return [f"{counted(self.calls, 'call')} without a callback: do the keys match a mask?"]
        ranks = ", ".join(f"{p} % within {percentile(self.took, p):.0f} ms" for p in (50, 95, 99))
        lines = [
            f"{counted(self.calls, 'call')} in {self.seconds:.1f} s, "
            f"{counted(self.callbacks, 'callback')}",
            f"answered in time: {len(self.took)}, {self.in_time:.2%}",
        ]
        if self.took:
            slowest, share = max(self.took) * 1000, max(self.shares)
            lines.append(
                f"{ranks}, the slowest {slowest:.0f} ms; at most {share:.0%} of the deadline"
                + (", connecting included, which the PBX does not count" if share > 1 else "")
            )
        if self.behind > 0.05:
            lines.append(
                f"calls began up to {self.behind * 1000:.0f} ms late: this machine is overloaded"
            )
        return lines


async def load(
    dial: Dial,
    presses: Sequence[str],
    *,
    rate: float,
    seconds: float,
    progress: Progress = lambda done, total: None,
) -> Load:
    """Place calls and measure their callbacks.

    Parameters:
        dial: places a call; an exception ends the load.
        presses: the keys of each caller, prompt by prompt.
        rate: calls per second.
        seconds: during which calls begin.
        progress: called with the number of calls that ended, and that of all.
    """
    steps: list[Step] = []
    behind, ended = 0.0, 0
    count = max(1, round(rate * seconds))

    async def one() -> None:
        nonlocal ended
        call = await dial()
        for digits in presses:
            if call.ended:
                break
            await call.press(digits)
        steps.extend(call.callbacks)
        ended += 1
        progress(ended, count)

    begun = time.perf_counter()
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
    deadlines = {step.deadline for step in steps}
    return Load(
        calls=calls,
        seconds=seconds,
        took=tuple(sorted(step.seconds for step in good)),
        shares=tuple(step.seconds / (step.deadline or math.inf) for step in good),
        decisions=Counter(step.result for step in steps),
        callbacks=len(steps),
        behind=behind,
        deadline=deadlines.pop() if len(deadlines) == 1 else None,
    )


def percentile(took: Sequence[float], percent: float) -> float:
    """Return a percentile of the sorted ``took`` (seconds) in milliseconds."""
    if not took:
        return math.nan
    return took[max(0, math.ceil(len(took) * percent / 100) - 1)] * 1000


def check_target(url: str, *, remote: bool) -> None:
    """Check the target of a load.

    Parameters:
        url: of the service.
        remote: whether it may be on another machine.

    Raises:
        SettingsError: the URL is invalid, or names another machine.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or parts.scheme not in ("http", "https"):
        raise SettingsError("--http needs a URL such as http://127.0.0.1:8000")
    if not remote and not _is_loopback(host):
        raise SettingsError(f"{host} is another machine: add --remote if you may send load to it")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
