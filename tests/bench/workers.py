"""Measure the gain of a second worker, for this package and for L1.

    python -m tests.bench.workers [--turns 7] [--seconds 1]

Bearer POSTs over kept connections, as many as `CONNECTIONS`, from one process that sends what it
made before. Workers share a listener and are not pinned; on two cores the sender takes a part of
what a second worker could use, more of it the faster the server is. So the gain of L1 tells what
is available here. All have turns, and the median counts.
"""

from __future__ import annotations

import argparse
import selectors
import socket
import time
from contextlib import ExitStack
from statistics import median

from receiver.server import sockets
from tests.bench.requests_sent import KINDS, served
from tests.support import ANSWER

CONNECTIONS = 32
SERVERS = ("L1", "ours")


def rate(port: int, seconds: float) -> float:
    """Callbacks answered in a second."""
    octets = KINDS[0].request(0).octets()
    done = 0
    with ExitStack() as stack, selectors.DefaultSelector() as ready:
        for _ in range(CONNECTIONS):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            ready.register(connection, selectors.EVENT_READ, connection)
            connection.sendall(octets)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            for key, _ in ready.select():
                connection = key.data
                answer = connection.recv(4096)
                assert answer, "the server has closed the connection"
                if answer.endswith(ANSWER):  # the head may come before it
                    connection.sendall(octets)
                    done += 1
    return done / seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--turns", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    asked = parser.parse_args()
    found: dict[tuple[str, int], list[float]] = {}
    for _ in range(asked.turns):
        for name in SERVERS:
            for workers in (1, 2):
                with ExitStack() as stack:
                    listener = stack.enter_context(sockets.bind("127.0.0.1", 0))
                    for _worker in range(workers):
                        stack.enter_context(served(name, listener))
                    port = listener.getsockname()[1]
                    rate(port, asked.seconds / 4)  # to get warm
                    speed = rate(port, asked.seconds)
                found.setdefault((name, workers), []).append(speed)
    for name in SERVERS:
        one, two = found[name, 1], found[name, 2]
        gain = median(more / less for less, more in zip(one, two, strict=True))
        print(f"{name:6} {median(one):8,.0f}/s  {median(two):8,.0f}/s  gain {gain:.2f}")


if __name__ == "__main__":
    main()
