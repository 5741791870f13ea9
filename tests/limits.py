"""Time limits of production, which a test on a busy machine must not meet by accident.

A store has 0.15 s, after which an app continues without it, a CRM 5 s, and a worker whose
event loop is 0.25 s late is not ready. Where a disk or the CPU is busy, a test would see an
outage. So the defaults are extended for all tests; one of such a limit gives its own.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from typing import Any

import httpx

from handlers.crm.credentials import OAuth
from handlers.relay import Relay
from receiver.background import BackgroundJobs, open_jobs
from receiver.callbacks.health import Ready
from receiver.dispatch.sessions import open_sessions
from receiver.storage.auth_fallback import AuthFallback
from receiver.storage.backends import open_auth_store, open_backend
from receiver.storage.breaker import CircuitBreaker
from receiver.upstream import Client

LONG = 60.0
"""Seconds."""

LIMITS: Iterable[tuple[Callable[..., Any], str]] = (
    (open_auth_store, "limit"),
    (open_backend, "limit"),
    (open_jobs, "limit"),
    (open_sessions, "limit"),
    (AuthFallback.__init__, "limit"),
    (BackgroundJobs.__init__, "accept_limit"),
    (CircuitBreaker.__init__, "limit"),
    (Client.__init__, "timeout"),
    (OAuth.__init__, "timeout"),
    (Ready.__init__, "lag"),
    (Relay.__init__, "timeout"),
    # Of the tests; the package makes no such clients.
    *((make, "timeout") for make in (httpx.AsyncClient.__init__, httpx.Client.__init__)),
    *((ask, "timeout") for ask in (httpx.get, httpx.post, httpx.request)),
)
"""Functions, and the option of each that is a limit."""


def extend_limits(
    setitem: Callable[[dict[str, Any], str, Any], None] = operator.setitem, seconds: float = LONG
) -> None:
    """Let the defaults of all limits be ``seconds``.

    Parameters:
        setitem: that of a `pytest.MonkeyPatch`; by default they stay as long as the process runs.
        seconds: at least those of production.
    """
    for function, option in LIMITS:
        defaults = function.__kwdefaults__
        assert defaults is not None
        assert option in defaults
        setitem(defaults, option, seconds)
