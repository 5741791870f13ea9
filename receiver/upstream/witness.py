"""Somebody who sees what a handler asks other services, and can have them fail: ``receiver dev``.

Rule 1: a witness is there only where one was set in the context of a callback; nobody else pays
        more than the look into a context variable.
Rule 2: it is told the host and the path, without the query, where callers' numbers stand.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Literal, NamedTuple, Protocol, TypeVar

import httpx

from receiver.errors import CircuitOpen, UpstreamRefused

T = TypeVar("T")


class Asked(NamedTuple):
    """One thing that a handler wanted to know.

    Attributes:
        method, host, path: of the request; for an answer that was kept, ``host`` is the name of
            the function that found it, and the others are empty.
        status: of the answer; None if none came, or none was asked for.
        seconds: how long it took.
        source: who answered; ``circuit`` is nobody, since the host is left alone.
    """

    method: str
    host: str
    path: str
    status: int | None
    seconds: float
    source: Literal["network", "cache", "circuit"]


class Witness(Protocol):
    """Sees what is asked."""

    def asked(self, what: Asked) -> None:
        """Be told of something that was asked, after its end."""
        ...

    async def before(self) -> None:
        """Hold a request up, or raise what the network might raise (`httpx.TransportError`)."""
        ...


WITNESS: ContextVar[Witness | None] = ContextVar("receiver.upstream.witness", default=None)
"""Who sees what is asked in this context."""


async def witnessed(request: httpx.Request, send: Callable[[], Awaitable[T]]) -> T:
    """What ``send`` gives for ``request``; the witness, if there is one, is told."""
    witness = WITNESS.get()
    if witness is None:
        return await send()
    clock = asyncio.get_running_loop().time
    begun = clock()
    status: int | None = None
    source: Literal["network", "circuit"] = "network"
    try:
        answer = await send()
        status = getattr(answer, "status", None)
        return answer
    except UpstreamRefused as error:
        status = error.status
        raise
    except CircuitOpen:
        source = "circuit"
        raise
    finally:
        url = request.url
        host = url.netloc.decode("ascii")
        witness.asked(Asked(request.method, host, url.path, status, clock() - begun, source))


def kept(name: str) -> None:
    """Tell the witness, if there is one, of an answer that was there already."""
    if (witness := WITNESS.get()) is not None:
        witness.asked(Asked("", name, "", None, 0.0, "cache"))
