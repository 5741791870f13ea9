"""A Redis that workers and machines share, as all that ask it do.

Rule 1: whatever goes wrong is a `StoreError` that names the kind of error and nothing else.
Rule 2: nothing is asked twice: what is repeated behind the asker's back may be done twice.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any, TypeVar

from redis.asyncio import BlockingConnectionPool
from redis.asyncio import Redis as Client
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from receiver.errors import SettingsError
from receiver.secrets import Secret
from receiver.stores.store import StoreError

_TIMEOUT = 0.12  # seconds, within the limit of who asks, so that redis-py ends its own connections
_CONNECTIONS = 16

T = TypeVar("T")


def connect(url: Secret, setting: str) -> Any:  # half of its answers are typed "awaitable or not"
    """A client, which connects when it is first asked; ``setting`` names the URL in errors.

    Raises:
        SettingsError: redis-py cannot read the URL.
    """
    try:
        pool = BlockingConnectionPool.from_url(
            url.reveal(),
            max_connections=_CONNECTIONS,
            timeout=_TIMEOUT,
            socket_timeout=_TIMEOUT,
            socket_connect_timeout=_TIMEOUT,
            retry=Retry(NoBackoff(), 0),
        )
        pool.connection_class(**pool.connection_kwargs)  # finds unknown options, sends nothing
    except (ValueError, TypeError):
        raise SettingsError(
            f"{setting} is not a URL that redis-py can read, such as redis://127.0.0.1:6379/0"
        ) from None
    return Client.from_pool(pool)


async def ask(answer: Awaitable[T]) -> T:
    """Redis's answer.

    Raises:
        StoreError: there is none.
    """
    try:
        return await answer
    except Exception as error:  # redis-py's own, the system's, TLS's
        # redis-py makes a ConnectionError of a wrong password; what it was made of says more.
        raise StoreError(type(error.__cause__ or error).__name__) from None
