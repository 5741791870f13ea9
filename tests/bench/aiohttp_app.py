"""The same as L1 with aiohttp: a route for each, its request, and its answer in JSON."""

from __future__ import annotations

import asyncio
import signal
import socket

from aiohttp import web

from tests.bench.minimal import Honest, handle


async def serve_aiohttp(listener: socket.socket) -> None:
    """Serve until SIGTERM."""
    honest = Honest()

    async def callback(request: web.Request) -> web.Response:
        _, check = honest.routes[request.path]
        scope = {"method": request.method, "raw_path": request.raw_path.encode()}
        if wanted := check(scope, request.headers.get("Authorization", "").encode("latin-1")):
            return web.Response(status=401, headers={"WWW-Authenticate": wanted.decode()})
        fields = request.query if request.method == "GET" else await request.json()
        destination = await handle(fields)
        return web.json_response(
            {"status_code": 200, "action": "call", "destination": destination}, dumps=honest.dumps
        )

    app = web.Application()
    for path, (method, _) in honest.routes.items():
        app.router.add_route(method, path, callback)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    await stopped.wait()
    await runner.cleanup()
