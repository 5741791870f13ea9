"""The five undocumented names of uvicorn that are used: a version without one fails here."""

from __future__ import annotations

import asyncio
import inspect
import re
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

import receiver.server
from receiver.server import Http
from receiver.server.uvicorn_server import configure

SOURCES = list(Path(receiver.server.__file__).parent.glob("*.py"))


async def app(scope: Any, receive: Any, send: Any) -> None:
    """Never called."""


def loaded() -> uvicorn.Config:
    config = configure(app)
    config.load()
    return config


def test_1_a_protocol_is_made_with_these_arguments() -> None:
    """uvicorn calls the class that ``http=`` names; its signature is written nowhere."""
    theirs = inspect.signature(HttpToolsProtocol.__init__).parameters
    ours = inspect.signature(Http.__init__).parameters
    assert list(ours) == ["self", "config", "server_state", "app_state", "_loop"]
    assert set(ours) <= set(theirs)


def test_2_a_config_has_its_app() -> None:
    """`Config.loaded_app`: the app, below middleware of uvicorn."""
    assert loaded().loaded_app is app


def test_3_a_server_waits_for_its_connections() -> None:
    """`Server.server_state.connections`: uvicorn waits for them when it stops, and tells them."""
    state = uvicorn.Server(loaded()).server_state
    assert state.connections == set()
    assert "connection.shutdown()" in inspect.getsource(uvicorn.Server.shutdown)


async def test_4_the_lifespan_has_the_state_of_the_app() -> None:
    """`Server.lifespan.state`: what the app left there is in the scope of each request."""
    config = configure(app, "off")
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    assert server.lifespan.state == {}
    await asyncio.wait_for(server.startup([]), 60)
    assert server.started
    assert server.servers == []


def test_5_the_proxy_middleware_can_be_unwrapped() -> None:
    """`ProxyHeadersMiddleware.app`: where the app itself decides which proxy is trusted."""
    inside: Any = app
    assert ProxyHeadersMiddleware(inside).app is inside


def test_nothing_else_is_used_from_inside_uvicorn_or_asyncio() -> None:
    text = "".join(path.read_text() for path in sorted(SOURCES))
    assert set(re.findall(r"^from uvicorn.*$", text, re.M)) == {
        "from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware",
        "from uvicorn.server import ServerState",
    }
    assert not re.search(
        r"\b(asyncio|uvicorn)\._\w+|super\(\)\._\w+\b(?<!__init__)|_captured", text
    )
