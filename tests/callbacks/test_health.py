"""``/health`` and ``/ready``."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from receiver.auth import NONCE_LIFE
from receiver.callbacks.health import MAX_LAG, Ready, health_routes
from receiver.callbacks.request import STOPPING
from receiver.server.uvicorn_server import running
from receiver.storage.auth_fallback import AuthFallback
from receiver.storage.breaker import StoreError
from receiver.storage.memory import MemoryAuth
from tests.support import Counted, make_app


class Broken(MemoryAuth):
    """A store that is unavailable."""

    async def reach(self) -> None:
        raise StoreError("SQLITE_FULL")


def guarded(shared: MemoryAuth) -> AuthFallback:
    return AuthFallback(shared, "SQLite", MemoryAuth(life=NONCE_LIFE))


async def ask(app: Any, path: str = "/ready", method: str = "GET") -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        return await client.request(method, path)


async def test_an_app_is_alive_and_ready_also_where_it_is_mounted() -> None:
    app = make_app(Counted())
    mounted = Starlette(routes=[Mount("/calls", app)])
    for found in (await ask(app, "/health"), await ask(mounted, "/calls/health")):
        assert (found.status_code, found.content) == (200, b'{"alive":true}')
    found = await ask(mounted, "/calls/ready")
    assert found.status_code == 200
    assert found.json().keys() == {"ready", "stopping", "in_time", "lag_ms"}
    assert found.headers["cache-control"] == "no-store"
    assert (await ask(mounted, "/ready")).status_code == 404


@pytest.mark.parametrize("path", ["/health", "/ready"])
async def test_only_looking_is_allowed(path: str) -> None:
    app = make_app(Counted())
    assert (await ask(app, path, "HEAD")).status_code == 200
    found = await ask(app, path, "POST")
    assert (found.status_code, found.headers["allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize(("store", "works"), [(MemoryAuth, True), (Broken, False)])
async def test_a_store_that_is_down_is_reported_and_the_service_stays_ready(
    store: type[MemoryAuth], works: bool
) -> None:
    shared = guarded(store(life=NONCE_LIFE))
    found = await ask(Starlette(routes=[*health_routes({"store": shared.reachable})]))
    assert (found.status_code, found.json()["store"]) == (200, works)


async def test_a_crowd_costs_one_question() -> None:
    asked = []

    async def unknown() -> None:
        asked.append(1)

    app = Starlette(routes=[*health_routes({"pbx": unknown})])
    found = await asyncio.gather(*(ask(app) for _ in range(50)))
    assert {one.status_code for one in found} == {200}
    assert "pbx" not in found[0].json()
    assert len(asked) == 1


async def test_a_loop_that_is_late_is_not_ready() -> None:
    app = Ready({}, nap=0.1, lag=MAX_LAG)
    asyncio.get_running_loop().call_later(0.05, time.sleep, 2 * MAX_LAG)
    found = await ask(app)
    assert (found.status_code, found.json()["in_time"]) == (503, False)
    assert found.json()["lag_ms"] >= MAX_LAG * 1000


async def test_a_stopping_server_is_not_ready() -> None:
    stopping, app = asyncio.Event(), Starlette(routes=[*health_routes({})])

    async def server(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, "state": {STOPPING: stopping}}, receive, send)

    assert (await ask(server)).status_code == 200
    stopping.set()
    found = await ask(server)
    assert (found.status_code, found.json()["stopping"]) == (503, True)


async def test_ready_fails_during_graceful_shutdown() -> None:
    """A connection that was made before the shutdown began is answered."""
    async with running(make_app(Counted())) as url:
        _, port = url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection("127.0.0.1", int(port))
        async with httpx.AsyncClient() as client:
            assert (await client.get(f"{url}/ready")).status_code == 200

        async def call() -> bytes:
            with contextlib.suppress(OSError):  # nothing listens any more
                while True:
                    _, other = await asyncio.open_connection("127.0.0.1", int(port))
                    other.close()
                    await asyncio.sleep(0.01)
            writer.write(b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
            return await reader.read()

        task = asyncio.create_task(call())
    answer = await task
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"connection: close" in answer
    writer.close()
