"""A client of Redis, 5.0 or later, with short timeouts.

Rule 1: it connects at the first request.
Rule 2: no request is retried: one whose answer was lost may have been carried out.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable
from typing import Any, TypeVar
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from receiver.credentials import Secret
from receiver.errors import SettingsError
from receiver.storage.breaker import REQUEST_TIMEOUT, SETTING, StoreError

PREFIX = "receiver:"
"""The prefix of all keys."""

# Share of the circuit breaker's time limit, so that redis-py closes its own connections.
_TIMEOUT_SHARE = 0.8
_MAX_CONNECTIONS = 16
_DATABASE = re.compile("[0-9]*")  # redis-py takes anything else for 0, or for another number

T = TypeVar("T")

# By the class of an error, or by words of a ResponseError.
_ADVICE = {
    "AuthenticationError": "the user or the password in its URL is refused",
    "NoPermissionError": "the user in its URL may not run all commands: see the ACL of Redis",
    "ReadOnlyError": "it is a replica: name the primary",
    "OutOfMemoryError": "its memory is full: raise maxmemory of Redis",
    "ConnectionError": "is Redis running at its URL, and does a firewall let it through?",
    "DB index is out of range": "Redis has no database of the number in its URL",
    "MISCONF": "Redis cannot write to its disk: see its log",
}


def connect(url: Secret, setting: str = SETTING, limit: float = REQUEST_TIMEOUT) -> Any:
    """Return a client for the Redis at ``url``: ``redis://``, ``rediss://`` or ``unix://``.

    redis-py types half of the answers as "awaitable or not", so the client is typed as Any.

    Parameters:
        url: it may hold a password.
        setting: the variable that names it, for the text of errors.
        limit: seconds in which a request ends, whether it is answered or not.

    Raises:
        SettingsError: redis-py cannot read the URL.
    """
    wait = limit * _TIMEOUT_SHARE
    try:
        pool = BlockingConnectionPool.from_url(
            url.reveal(),
            max_connections=_MAX_CONNECTIONS,
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
    parts = urlsplit(url.reveal())
    if parts.scheme != "unix" and not _DATABASE.fullmatch(parts.path.strip("/")):
        raise SettingsError(
            f"{setting}: the path is not the number of a database, as in redis://127.0.0.1:6379/0"
        )
    return Redis.from_pool(pool)


async def answer_of(request: Awaitable[T]) -> T:
    """Return the answer of a request.

    Raises:
        StoreError: the request failed.
        CancelledError: also where redis-py swallowed it, as `asyncio.wait_for` does before
            Python 3.12.
    """
    task = asyncio.current_task()
    cancelled = task.cancelling() if task else 0
    try:
        answer = await request
    except Exception as error:  # redis-py's own, the system's, TLS's
        # redis-py wraps a wrong password in a ConnectionError; its cause is more exact.
        cause = error.__cause__ or error
        kind, text = type(cause).__name__, str(cause)
        known = (advice for words, advice in _ADVICE.items() if kind == words or words in text)
        raise StoreError(kind, next(known, "")) from None
    if task and task.cancelling() > cancelled:
        raise asyncio.CancelledError
    return answer
