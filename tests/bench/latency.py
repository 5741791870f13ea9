"""Measure the answer times at a fixed rate, beside apps written by hand.

    python -m tests.bench.latency [--rates 50,500] [--seconds 3] [--turns 5]
        [--contestants 'L1|ours']

Bearer callbacks, each on a new connection, begun at fixed times whether earlier ones were
answered or not; the time of each runs from when it was to begin. All contestants have
turns in one run, one at a time. Prints a table in Markdown with the 99th percentile and the median.
On a machine that does other work, too, ``chrt -f 10`` (root) in front keeps that out of the times.
"""

from __future__ import annotations

import argparse
import selectors
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from statistics import quantiles

from tests.bench.contestants import names
from tests.bench.requests_sent import KINDS, OWN_CORE, pin, served
from tests.support import ANSWER

LEFT_OUT = ("L0", "L1 again", "ours, quiet")


class Caller:
    """Sends callbacks to ``port`` at a rate, and takes the time of each answer."""

    def __init__(self, port: int) -> None:
        self._address = ("127.0.0.1", port)
        self._octets = KINDS[0].request(0).octets()
        self._ready = selectors.DefaultSelector()
        self._begun: dict[socket.socket, float] = {}
        self.seconds: list[float] = []

    def run(self, rate: float, seconds: float) -> None:
        """Send for ``seconds``, and wait for what is not answered then."""
        start = time.monotonic()
        for number in range(int(rate * seconds)):
            due = start + number / rate
            while (left := due - time.monotonic()) > 0:
                self._read(left)
            self._send(due)
        while self._begun:
            self._read(1.0)

    def _send(self, due: float) -> None:
        connection = socket.create_connection(self._address)
        connection.sendall(self._octets)
        connection.setblocking(False)
        self._begun[connection] = due
        self._ready.register(connection, selectors.EVENT_READ)

    def _read(self, timeout: float) -> None:
        for key, _ in self._ready.select(timeout):
            connection = key.fileobj
            assert isinstance(connection, socket.socket)
            answer = connection.recv(65536)
            assert answer, "the server has closed the connection"
            if answer.endswith(ANSWER):
                self.seconds.append(time.monotonic() - self._begun.pop(connection))
                self._ready.unregister(connection)
                connection.close()


def table(found: dict[str, dict[float, list[float]]], rates: Sequence[float]) -> str:
    """Return the percentiles as a table in Markdown."""
    rows = [
        ["ms: 99th percentile (median)", *(f"{rate:g}/s" for rate in rates)],
        ["---", *("---:" for _ in rates)],
    ]
    for name, times in found.items():
        cuts = [quantiles(times[rate], n=100) for rate in rates]
        rows.append([name, *(f"{cut[98] * 1000:.2f} ({cut[49] * 1000:.2f})" for cut in cuts)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rates", default="50,500")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--turns", type=int, default=5)
    contestants = "|".join(name for name in names() if name not in LEFT_OUT)
    parser.add_argument("--contestants", default=contestants, help="as in 'L1|ours'")
    asked = parser.parse_args(arguments)
    rates = [float(rate) for rate in asked.rates.split(",")]
    found: dict[str, dict[float, list[float]]] = {}
    with ExitStack() as stack:
        ports = {
            name: stack.enter_context(served(name)).port for name in asked.contestants.split("|")
        }
        pin(OWN_CORE)
        for port in ports.values():
            Caller(port).run(rates[-1], asked.seconds / 4)  # to get warm
        for rate in rates:
            for _ in range(asked.turns):
                for name, port in ports.items():
                    caller = Caller(port)
                    caller.run(rate, asked.seconds)
                    found.setdefault(name, {}).setdefault(rate, []).extend(caller.seconds)
    print(table(found, rates))
    return 0


if __name__ == "__main__":
    sys.exit(main())
