"""The servers that the benchmarks compare, each in a separate process.

    python -m tests.bench.contestants NAME [--descriptor N]

All answer the same callbacks (see `tests.bench.minimal`). L0, L1, Starlette and FastAPI run under
uvicorn with httptools and uvloop, without an access log; aiohttp with its own server and uvloop.
Ours has everything on: deadline, watchdog, metrics, and log lines, which go to /dev/null; "ours,
quiet" does without log lines and metrics.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib.util import find_spec

import uvicorn
import uvloop
from starlette.types import ASGIApp

from receiver import Call, Forward, Reply
from receiver.observability import log_setup
from receiver.server import sockets
from receiver.server import uvicorn_server as serving
from receiver.server.watchdog import Watchdog
from receiver.server.worker import inherited
from tests.bench.minimal import Honest, by_hand, fixed
from tests.bench.requests_sent import SERVERS_CORE, pin
from tests.support import SETTINGS, make_app

OURS = ("ours", "ours, quiet", "ours, handler awaits", "ours, session in memory")
PEERS = ("Starlette", "aiohttp", "FastAPI")


def names() -> tuple[str, ...]:
    """Return all contestants that are installed."""
    peers = [name for name in PEERS if find_spec(name.lower())]
    return ("L0", "L1", "L1 again", *OURS, *peers)


async def _pick(call: Call) -> Reply:
    return Forward("222")


async def _await(call: Call) -> Reply:
    await asyncio.sleep(0)
    return Forward("222")


async def _remember(call: Call) -> Reply:
    async with call.session() as session:
        session["attempts"] = session.get("attempts", 0) + 1
    return Forward("222")


def app_of(name: str) -> ASGIApp:
    """Return the ASGI app of a contestant."""
    if name == "L0":
        return fixed
    if name == "Starlette":
        return by_hand()
    if name == "FastAPI":
        from tests.bench.fastapi_app import fastapi_app

        app: ASGIApp = fastapi_app()  # Any where the extra is not installed
        return app
    if name not in OURS:
        return Honest()
    handler = {"ours, session in memory": _remember, "ours, handler awaits": _await}
    return make_app(handler.get(name, _pick), replace(SETTINGS, metrics=name != "ours, quiet"))


@contextmanager
def logged(name: str) -> Iterator[None]:
    """Have log lines made, except for a quiet contestant, and written to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    logging.getLogger().setLevel(logging.INFO)
    logging.getLogger("receiver").setLevel(
        logging.CRITICAL if name.endswith("quiet") else logging.INFO
    )
    try:
        with log_setup.written("text", fd=nowhere):
            yield
    finally:
        os.close(nowhere)


def serve(name: str, listener: socket.socket) -> None:
    """Serve the contestant ``name`` until SIGTERM."""
    if name == "aiohttp":
        from tests.bench.aiohttp_app import serve_aiohttp

        uvloop.run(serve_aiohttp(listener))
        return
    app = app_of(name)
    server: uvicorn.Server
    if name in OURS:
        server = serving.Server(serving.configure(app), watchdog=Watchdog())
    else:
        server = uvicorn.Server(
            uvicorn.Config(
                *(app,), http="httptools", loop="uvloop", ws="none", lifespan="off",
                access_log=False, log_config=None,
            )
        )  # fmt: skip
    server.run(sockets=[listener])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("name", choices=names())
    parser.add_argument("--descriptor", type=int, help="of a listener that workers share")
    asked = parser.parse_args()
    if asked.descriptor is None:
        pin(SERVERS_CORE)
        bound = sockets.bind("127.0.0.1", 0)
    else:
        bound = inherited(asked.descriptor)
    with bound as listener, logged(asked.name), contextlib.suppress(KeyboardInterrupt):
        print(listener.getsockname()[1], flush=True)
        # What was imported for the comparison is no part of any contestant.
        gc.collect()
        gc.freeze()
        serve(asked.name, listener)


if __name__ == "__main__":
    main()
