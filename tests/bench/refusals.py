"""Does the time of a refusal tell more than its answer does?

    python -m tests.bench.refusals [--runs 4000] [--seed N]

Pairs of refusals that must look alike are sent in random order, inside this process and over a
connection to a service; so is each request against itself, which shows the noise. Every request
names another client address, so that the throttle does not apply. Ends with status 1 if a pair
can be distinguished over the connection; what is seen inside only, some microseconds, shows where
to look.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import logging
import random
import socket
import sys
import time
from base64 import b64encode
from collections.abc import Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from receiver.auth.client_address import read_networks
from tests.asgi import http_scope, status_of
from tests.bench.attacks import digest_header
from tests.bench.numbers import Compared, compare
from tests.bench.served import pick
from tests.bench.service import serving
from tests.support import SETTINGS, credentials, make_app

Request = tuple[str, bytes]
"""The name of an action of IVR 888, and the Authorization header."""

Ask = Callable[[Request, bytes], Awaitable[int]]
"""Sends it with such an address; the nanoseconds that it took."""

PROXIES = "127.0.0.0/8"
_STRANGER = "a" * 16  # as long as our user names


def pairs() -> dict[str, tuple[Request, Request]]:
    """Return pairs that must be indistinguishable: only the first of each knows a secret."""
    known = credentials("888/post-basic")
    name, password = known.username, known.password.reveal()
    near, far = password[:-1] + "0", "0" * len(password)
    now = time.time()
    bearer = credentials("888/post-bearer").token.reveal()
    token = b"Bearer " + b"0" * len(bearer)
    digests = [digest_header(now, right=False, username=user) for user in ("", _STRANGER, "b")]
    absent = {scheme: _absent(scheme) for scheme in ("bearer", "basic", "digest")}
    return {
        "basic: a user, a stranger": (_basic(name, far), _basic(_STRANGER, far)),
        "basic: a password almost right, all wrong": (_basic(name, near), _basic(name, far)),
        "bearer: a token almost right, all wrong": (
            ("post-bearer", f"Bearer {bearer[:-1]}0".encode()),
            ("post-bearer", token),
        ),
        "digest: a user, a stranger": (("post-digest", digests[0]), ("post-digest", digests[1])),
        "digest: a user, a short name": (("post-digest", digests[0]), ("post-digest", digests[2])),
        "bearer: an action, none": (("post-bearer", token), (absent["bearer"], token)),
        "basic: an action, none": (_basic(name, far), (absent["basic"], _basic(name, far)[1])),
        "digest: an action, none": (
            ("post-digest", digest_header(now, right=False)),
            (absent["digest"], digest_header(now, right=False, action=absent["digest"])),
        ),
        "no credentials: an action, none": (("post-digest", b""), (absent["digest"], b"")),
    }


def _basic(name: str, password: str) -> Request:
    return "post-basic", b"Basic " + b64encode(f"{name}:{password}".encode())


def _absent(scheme: str) -> str:
    """The name of an action that there is not, asked for the same credentials as the others."""
    app = make_app(pick)

    async def challenges(name: str) -> list[str]:
        found: list[Any] = []

        async def send(message: Any) -> None:
            found.append(message)

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        scope = http_scope(f"/action/888/{name}".encode(), b"", "POST", [(b"host", b"x")])
        await app(scope, receive, send)
        return [value.decode() for key, value in found[0]["headers"] if key == b"www-authenticate"]

    names = (f"post-{number:0{len(scheme)}}" for number in itertools.count())
    for name in names:
        first, *more = asyncio.run(challenges(name))
        if first.startswith(scheme.title()) and not more and "SHA-256" not in first:
            break
    return name


# both ways to ask ----------------------------------------------------------------------------


@asynccontextmanager
async def inside() -> Any:
    """The app, asked in this process."""
    app = make_app(pick, replace(SETTINGS, trusted_proxies=read_networks(PROXIES)))

    async def ask(request: Request, address: bytes) -> int:
        name, authorization = request
        headers = [(b"host", b"x"), (b"x-forwarded-for", address), (b"content-length", b"0")]
        headers += [(b"authorization", authorization)] if authorization else []
        path = f"/action/888/{name}".encode()
        scope = http_scope(path, b"", "POST", headers, client=("127.0.0.1", 1))
        begun = time.perf_counter_ns()
        status = await status_of(app, scope)
        took = time.perf_counter_ns() - begun
        assert status == 401, status
        return took

    yield ask


@asynccontextmanager
async def outside() -> Any:
    """A service, asked over one connection that stays open."""
    with serving("memory", TRUSTED_PROXIES=PROXIES) as service:
        connection = socket.create_connection(("127.0.0.1", service.port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        async def ask(request: Request, address: bytes) -> int:
            name, authorization = request
            header = b"Authorization: %b\r\n" % authorization if authorization else b""
            octets = b"POST /action/888/%b HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: %b\r\n%b" % (
                *(name.encode(), address, header),
            )
            octets += b"Content-Length: 0\r\n\r\n"
            begun = time.perf_counter_ns()
            connection.sendall(octets)
            answer = connection.recv(65536)
            took = time.perf_counter_ns() - begun
            assert answer.startswith(b"HTTP/1.1 401 "), answer[:40]
            assert answer.endswith(b"\r\n\r\n")
            return took

        with connection:
            yield ask


def _addresses() -> Iterator[bytes]:
    """Never the same, always as long."""
    for parts in itertools.product(range(100, 228), repeat=3):
        yield b"100.%d.%d.%d" % parts


# the comparison ------------------------------------------------------------------------------


async def _take(
    ask: Ask, both: tuple[Request, Request], runs: int, addresses: Iterator[bytes]
) -> list[tuple[int, int, int]]:
    """Return the times of the first, the second and the first again, in random order, by run."""
    kinds = (both[0], both[1], both[0])
    taken = []
    for _ in range(runs):
        shuffled = random.sample(range(3), 3)
        times = {which: await ask(kinds[which], next(addresses)) for which in shuffled}
        taken.append((times[0], times[1], times[2]))
    return taken


async def _all(
    way: Callable[[], Any],
    asked: dict[str, tuple[Request, Request]],
    runs: int,
    chance: random.Random,
) -> bool:
    """Return whether no pair can be distinguished."""
    found: dict[str, Compared] = {}
    controls = []
    addresses = _addresses()
    async with way() as ask:
        for name, both in asked.items():
            await _take(ask, both, 200, addresses)  # to get warm
            first, second, again = zip(*await _take(ask, both, runs, addresses), strict=True)
            found[name] = compare(first, second, chance)
            controls.append(compare(first, again, chance))
    print(f"{way.__name__}: {runs} runs each; µs, the second less the first, and with itself")
    distinct = [name for name, one in found.items() if one.exceeds(controls)]
    for (name, one), control in zip(found.items(), controls, strict=True):
        print(
            f"  {name:44} {_text(one)}   itself {_text(control)}"
            f"{'   DISTINGUISHABLE' if name in distinct else ''}"
        )
    return not distinct


def _text(one: Compared) -> str:
    low, middle, high = (n / 1000 for n in (one.low, one.difference, one.high))
    return f"{middle:+7.2f} [{low:+7.2f}, {high:+7.2f}] z {one.z:+6.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--runs", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=None)
    asked = parser.parse_args()
    random.seed(asked.seed)
    logging.disable()
    chance = random.Random(asked.seed)
    compared = pairs()
    _, good = (asyncio.run(_all(way, compared, asked.runs, chance)) for way in (inside, outside))
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
