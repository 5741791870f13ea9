"""Does a worker need more memory the longer it serves?

    python -m tests.bench.memory [--calls 1000000] [--server session]

Every callback is one of a new call, with a session; the log line goes to /dev/null and the metrics
are counted. What is bounded (sessions, repeats) fills up within the first ten thousands.
Ends with status 1 if more than `GROWTH` came on top in the last half.
"""

from __future__ import annotations

import argparse
import sys
import time

from tests.bench.contestants import OURS
from tests.bench.requests_sent import KINDS, OWN_CORE, Request, Wire, pin, served

GROWTH = 1.02
MARKS = (0.001, 0.01, 0.1, 0.5, 1.0)
"""Parts of all callbacks after which the memory is looked at."""


_MODEL = KINDS[0].request(0)


def callback(number: int) -> Request:
    """A bearer POST of a call that there never was before."""
    return _MODEL._replace(body=_MODEL.body.replace(b"10000000", b"%08d" % number))


def measure(way: Wire, calls: int) -> list[int]:
    """The resident bytes at each of the marks."""
    found: list[int] = []
    marks = [int(calls * part) for part in MARKS]
    done = 0
    way.renew()
    begun = time.monotonic()
    for mark in marks:
        while done < mark:
            way.round([callback(done + more) for more in range(way.at_once)])
            done += way.at_once
        found.append(way.memory())
        rate = done / (time.monotonic() - begun)
        print(f"{done:>9,} callbacks  {found[-1] / 2**20:6.1f} MiB  {rate:6,.0f}/s", flush=True)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", type=int, default=1_000_000)
    parser.add_argument("--server", default=OURS[-1], choices=("L1", *OURS))
    asked = parser.parse_args()
    with served(asked.server) as way:
        pin(OWN_CORE)
        *_, half, end = measure(way, asked.calls)
    sys.exit(end > half * GROWTH)


if __name__ == "__main__":
    main()
