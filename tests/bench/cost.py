"""Measure the CPU time of a callback, beside apps written by hand.

    python -m tests.bench.cost [--turns 9] [--turn 0.1] [--only NAME] [--contestants 'L1|ours']

Prints a table in Markdown: a row for each contestant (`tests.bench.contestants`), a column for each
kind of callback, and in it the speed relative to L1, the least app that does the job by hand. All
have turns of about 100 ms in one run, and the median of the turns counts, for machines
change their speed within seconds. "L1 again" shows how much of a ratio is noise. Ends with status 1
if a goal is missed.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from statistics import median

from tests.bench.contestants import names
from tests.bench.requests_sent import KINDS, OWN_CORE, Kind, Wire, pin, served, turn

SESSION = 1.12
"""The most that a session in memory may cost, relative to another handler that awaits."""

AWAITING = 0.75
"""The least speed relative to L1 of a handler that awaits, with bearer and keep-alive."""

Costs = dict[str, list[float]]
"""By contestant: microseconds for a callback, turn by turn."""


def measure(kind: Kind, servers: dict[str, Wire], turns: int, seconds: float) -> Costs:
    """Ask each in turn; a turn is about that many seconds of CPU."""
    many: dict[str, int] = {}
    costs: Costs = {name: [] for name in servers}
    for number in range(turns + 2):
        for name, server in servers.items():
            cost = turn(server, kind, many.get(name, min(300, int(seconds * 1e4))))
            if number < 2:  # to get warm, and to see how many it takes
                many[name] = max(int(seconds * 1e6 / cost), server.at_once)
            else:
                costs[name].append(cost)
    return costs


def ratio(costs: Costs, name: str, to: str = "L1") -> float:
    """Return the speed of ``name``, where that of ``to`` is 1: the median over the turns."""
    return median(their / own for their, own in zip(costs[to], costs[name], strict=True))


def table(found: dict[Kind, Costs]) -> str:
    """Return the speeds as a table in Markdown."""
    rows = [["speed, L1 = 1", *(kind.name for kind in found)], ["---", *("---:" for _ in found)]]
    contestants = dict.fromkeys(name for costs in found.values() for name in costs)
    for name in contestants:
        cells = (f"{ratio(costs, name):.2f}" if name in costs else "" for costs in found.values())
        rows.append([name, *cells])
    rows.append(["L1, µs of CPU", *(f"{median(costs['L1']):.0f}" for costs in found.values())])
    rows.append(["goal", *(f"{kind.goal:.2f}" for kind in found)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def missed(found: dict[Kind, Costs]) -> list[str]:
    """Return a line for each goal that is not reached."""
    lines = []
    for kind, costs in found.items():
        if "ours" in costs and (reached := ratio(costs, "ours")) < kind.goal:
            lines.append(f"{kind.name}: {reached:.2f}, not {kind.goal:.2f}")
    costs = found.get(KINDS[0], {})
    awaits, session = "ours, handler awaits", "ours, session in memory"
    if awaits in costs and (reached := ratio(costs, awaits)) < AWAITING:
        lines.append(f"a handler that awaits: {reached:.2f}, not {AWAITING:.2f}")
    # A session is opened with ``async with``, so its handler is one that awaits.
    if session in costs and (more := 1 / ratio(costs, session, awaits)) > SESSION:
        lines.append(f"a session in memory: {100 * more - 100:.0f} % on top, not 12 %")
    return lines


def can(name: str, kind: Kind) -> bool:
    """Return whether a contestant has the scheme: FastAPI has no digest."""
    return name != "FastAPI" or kind.scheme != "digest"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--turn", type=float, default=0.1, help="seconds of CPU")
    parser.add_argument("--only", default="", help="kinds of callbacks with this in their name")
    parser.add_argument("--contestants", default="|".join(names()), help="as in 'L1|ours'")
    asked = parser.parse_args(arguments)
    may_run_on = os.sched_getaffinity(0)
    found: dict[Kind, Costs] = {}
    with ExitStack() as stack:
        servers = {name: stack.enter_context(served(name)) for name in asked.contestants.split("|")}
        stack.callback(os.sched_setaffinity, 0, may_run_on)
        pin(OWN_CORE)
        for kind in KINDS:
            if asked.only in kind.name:
                able = {name: one for name, one in servers.items() if can(name, kind)}
                found[kind] = measure(kind, able, asked.turns, asked.turn)
    print(table(found))
    lines = missed(found)
    print("\n".join(("missed:", *lines)) if lines else "no goal is missed")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
