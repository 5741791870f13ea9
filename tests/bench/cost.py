"""What a callback costs, in CPU time, against an app written by hand that does the least.

    python -m tests.bench.cost [--turns 9] [--way inside|wire]

L0 and L1 are those of `tests.bench.minimal`; on the wire they run under uvicorn as it comes, with
httptools and uvloop, and L1 once more on our connections. Everybody is asked in turns of about
100 ms in one run, and of each the median counts, for machines change their speed within seconds.
"L1 again" shows how much of a ratio is noise. The full receiver writes its log lines to /dev/null
and counts its metrics; the quiet one does neither; both have the deadline, and on the wire the
watchdog. The goals are for the wire: inside there is no server, for which both sides pay; what is
measured there tells where to look. Ends with status 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from statistics import median

import uvicorn
import uvloop
from starlette.types import ASGIApp

from receiver import Call, Forward, Receiver, Reply
from receiver.serving import listening
from receiver.serving import server as serving
from receiver.serving.watchdog import Watchdog
from receiver.serving.working import inherited
from receiver.telemetry import logs
from tests.bench.asked import KINDS, OWN_CORE, SERVERS_CORE, Inside, Kind, Way, pin, served, turn
from tests.bench.minimal import Honest, fixed
from tests.support import SETTINGS, make_app

TURN = 100_000.0
"""Microseconds of CPU."""

SESSION = 1.1
"""How much more than without a session a callback may cost."""

REFERENCES = ("L0", "L1", "L1 again")
CONNECTED = "L1 connected"  # L1 on our connections, which are none inside
OURS = ("quiet", "full", "session")

Costs = dict[str, list[float]]
"""By contestant: microseconds for a callback, turn by turn."""


async def _pick(call: Call) -> Reply:
    return Forward("222")


async def _remember(call: Call) -> Reply:
    async with call.session() as session:
        session["attempts"] = session.get("attempts", 0) + 1
    return Forward("222")


def app_of(name: str) -> ASGIApp:
    """The app of a contestant."""
    if name == "L0":
        return fixed
    if name not in OURS:
        return Honest()
    handler = _remember if name == "session" else _pick
    return make_app(handler, replace(SETTINGS, metrics=name != "quiet"))


# servers -------------------------------------------------------------------------------------


@contextmanager
def _logged() -> Iterator[None]:
    """Log lines are made, and written to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    logging.getLogger().setLevel(logging.INFO)
    try:
        with logs.written("people", fd=nowhere):
            yield
    finally:
        os.close(nowhere)


def serve(name: str, descriptor: int | None = None) -> None:
    """Be the contestant ``name`` until SIGTERM.

    Parameters:
        descriptor: of a listener that workers share; without one it is pinned to a core and
            listens on a free port.
    """
    if descriptor is None:
        pin(SERVERS_CORE)
        bound = listening.bind("127.0.0.1", 0)
    else:
        bound = inherited(descriptor)
    app = app_of(name)
    with bound as listener, _logged():
        _set_level(name)
        print(listener.getsockname()[1], flush=True)
        server: uvicorn.Server
        if name in OURS:
            server = serving.Server(serving.configure(app), watchdog=Watchdog())
        elif name == CONNECTED:
            server = serving.Server(serving.configure(app, lifespan="off"), watchdog=Watchdog())
        else:
            server = uvicorn.Server(
                uvicorn.Config(
                    *(app,), http="httptools", loop="uvloop", ws="none", lifespan="off",
                    access_log=False, log_config=None,
                )
            )  # fmt: skip
        with contextlib.suppress(KeyboardInterrupt):
            server.run(sockets=[listener])


def _set_level(name: str) -> None:
    quiet = name == "quiet"
    logging.getLogger("receiver").setLevel(logging.CRITICAL if quiet else logging.INFO)


# the measurement -----------------------------------------------------------------------------


def measure(kind: Kind, ways: dict[str, Way], turns: int, before: Callable[[str], None]) -> Costs:
    """Ask each in turn; ``before`` its turn something is done about it."""
    many: dict[str, int] = {}
    costs: Costs = {name: [] for name in ways}
    for number in range(turns + 2):
        for name, way in ways.items():
            before(name)
            cost = turn(way, kind, many.get(name, 300))
            if number < 2:  # to get warm, and to see how many it takes
                many[name] = int(TURN / cost)
            else:
                costs[name].append(cost)
    return costs


@contextmanager
def inside() -> Iterator[dict[str, Way]]:
    """All in this process."""
    loop = uvloop.new_event_loop()
    asyncio.set_event_loop(loop)
    apps = {name: app_of(name) for name in (*REFERENCES, *OURS)}
    with _logged(), ExitStack() as stack:
        for app in apps.values():
            if isinstance(app, Receiver):
                stack.enter_context(_started(app, loop))
        yield {name: Inside(app, loop) for name, app in apps.items()}
    loop.close()


@contextmanager
def _started(app: Receiver, loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    lifespan = app.starlette.router.lifespan_context(app.starlette)
    loop.run_until_complete(lifespan.__aenter__())
    yield
    loop.run_until_complete(lifespan.__aexit__(None, None, None))


@contextmanager
def wire() -> Iterator[dict[str, Way]]:
    """Each under uvicorn in a process of its own, over the loopback."""
    pin_to = os.sched_getaffinity(0)
    with ExitStack() as stack:
        names = (*REFERENCES, CONNECTED, *OURS)
        ways: dict[str, Way] = {name: stack.enter_context(served(name)) for name in names}
        pin(OWN_CORE)
        yield ways
    os.sched_setaffinity(0, pin_to)


def ratio(costs: Costs, name: str, to: str = "L1") -> float:
    """The speed of ``name``, where that of ``to`` is 1: the median over the turns."""
    return median(their / own for their, own in zip(costs[to], costs[name], strict=True))


def report(kind: Kind, costs: Costs) -> list[str]:
    """Print a row; what is missed."""
    speeds = " ".join(f"{ratio(costs, name):>{len(name) + 2}.2f}" for name in costs)
    more = 1 / ratio(costs, "session", "full")
    absolute = f"{median(costs['L1']):6.1f} {median(costs['full']):6.1f}"
    print(f"  {kind.name:40} {absolute} {speeds}  {kind.goal:5.2f}  {100 * (more - 1):+5.1f} %")
    missed = []
    if (reached := ratio(costs, "full")) < kind.goal:
        missed.append(f"{kind.name}: {reached:.2f} instead of {kind.goal:.2f}")
    if more > SESSION:
        missed.append(f"{kind.name}: a session costs {100 * (more - 1):.0f} % on top, not 10 %")
    return missed


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--turns", type=int, default=9)
    parser.add_argument("--way", choices=("inside", "wire"))
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    parser.add_argument("--descriptor", type=int, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.serve:
        serve(asked.serve, asked.descriptor)
        return
    missed = []
    for way in (inside, wire):
        if asked.way not in (None, way.__name__):
            continue
        with way() as ways:
            names = " ".join(f"{name:>{len(name) + 2}}" for name in ways)
            print(f"{way.__name__}: µs of CPU (L1, full); speed, L1 = 1.00; goal; session on top")
            print(f"  {'':40} {'L1':>6} {'full':>6} {names}   goal  session")
            for kind in KINDS:
                if kind.fresh and way is inside:
                    continue
                found = report(kind, measure(kind, ways, asked.turns, _set_level))
                missed += found if way is wire else []
    print("\n".join(("missed:", *missed)) if missed else "no goal is missed")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
