"""A Redis, 5.0 or later, that is asked with little time.

Rule 1: it is first connected to when it is first asked.
Rule 2: nothing is asked twice: a question whose answer got lost may have been carried out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from receiver.errors import SettingsError
from receiver.secrets import Secret
from receiver.shared.patience import SETTING, StoreError

PREFIX = "receiver:"
"""What all keys begin with."""

_TIMEOUT = 0.12  # seconds, within patience's limit, so that redis-py ends its own connections
_CONNECTIONS = 16

T = TypeVar("T")


def connect(url: Secret, setting: str = SETTING, seconds: float = 0) -> Any:
    """A client for the Redis at ``url``: ``redis://``, ``rediss://`` or ``unix://``.

    Half of its answers are typed "awaitable or not", so it is not typed at all.

    Parameters:
        url: it may hold a password.
        setting: the variable that names it, for the text of errors.
        seconds: for an answer, where no caller waits for it.

    Raises:
        SettingsError: redis-py cannot read the URL.
    """
    wait = seconds or _TIMEOUT
    try:
        pool = BlockingConnectionPool.from_url(
            url.reveal(),
            max_connections=_CONNECTIONS,
            timeout=wait,
            socket_timeout=wait,
            socket_connect_timeout=wait,
            retry=Retry(NoBackoff(), 0),
        )
        pool.connection_class(**pool.connection_kwargs)  # finds unknown options, sends nothing
    except (ValueError, TypeError, RedisError):
        raise SettingsError(
            f"{setting} is not a URL that redis-py can read, such as redis://127.0.0.1:6379/0"
        ) from None
    return Redis.from_pool(pool)


async def ask(answer: Awaitable[T]) -> T:
    """The answer of a client.

    Raises:
        StoreError: whatever went wrong.
        CancelledError: also where redis-py swallowed it, as `asyncio.wait_for` does before
            Python 3.12.
    """
    task = asyncio.current_task()
    cancelled = task.cancelling() if task else 0
    try:
        found = await answer
    except Exception as error:  # redis-py's own, the system's, TLS's
        # redis-py makes a ConnectionError of a wrong password; what it was made of says more.
        raise StoreError(type(error.__cause__ or error).__name__) from None
    if task and task.cancelling() > cancelled:
        raise asyncio.CancelledError
    return found
