"""Base of the connectors: options, clients, and one record for each key.

Rule 1: a record is searched for by its key before it is created. A lock for each key keeps the
        tasks of a process apart; the job queue does so with processes.
Rule 2: a record whose outcome is to be added must be found; a deleted one is no error.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

from handlers.crm.client import BEARER, ClientOptions, CrmClient, Options, none_if_404
from handlers.crm.contacts import Engagement, KeyLock
from handlers.crm.credentials import OAuth
from handlers.crm.outcomes import Task
from receiver import Secret, Unavailable


class Connector:
    """Options of a connector and what is made of them.

    Parameters:
        options: those of `handlers.crm.client.Options` that differ from ``defaults``.

    Attributes:
        name: see `handlers.crm.contacts.Crm`.
    """

    defaults: ClassVar[ClientOptions]

    def __init__(self, options: Options) -> None:
        self._options = replace(self.defaults, **options)
        self._lock = KeyLock()
        self.name = self._options.name

    def _connect(
        self,
        url: str,
        token: str | OAuth | None = None,
        header: tuple[str, str] = BEARER,
        *,
        per_second: float | None = None,
        burst: int = 10,
        headers: Mapping[str, str] | None = None,
    ) -> CrmClient:
        """Return a client with these options; ``per_second``: another rate limit than theirs."""
        options = self._options
        if per_second is not None:
            options = replace(options, per_second=per_second)
        name = type(self).__name__
        return CrmClient(name, url, options, token, header, burst=burst, headers=headers)

    def _token_source(
        self, token: str | Secret, url: str, grant: str, **secrets: str | Secret
    ) -> str | OAuth:
        """Return ``token``, or the tokens of a grant; as `OAuth.or_token`."""
        name, timeout, ca = type(self).__name__, self._options.timeout, self._options.ca
        return OAuth.or_token(token, name, url, grant, timeout=timeout, ca=ca, **secrets)


class KeyedConnector(Connector, ABC):
    """A connector whose CRM stores the keys of calls and tasks, and can be searched for them."""

    async def log(self, engagement: Engagement) -> str:
        async with self._lock(engagement.key):
            return await self._find_call(engagement) or await self._create_call(engagement)

    async def complete(self, record: str, engagement: Engagement) -> None:
        record = record or await self._find_call(engagement)
        if not record:
            raise Unavailable(f"{type(self).__name__} does not find the call yet")
        await none_if_404(self._update_call(record, engagement))

    async def add_task(self, task: Task) -> None:
        async with self._lock(task.key):
            if not await self._find_task(task):
                await self._create_task(task)

    @abstractmethod
    async def _find_call(self, engagement: Engagement) -> str:
        """Return the id of the call's record; empty without one."""

    @abstractmethod
    async def _create_call(self, engagement: Engagement) -> str:
        """Create the record of a call; return its id, empty if it is not known."""

    @abstractmethod
    async def _update_call(self, record: str, engagement: Engagement) -> object:
        """Add the outcome of a call to its record."""

    @abstractmethod
    async def _find_task(self, task: Task) -> str:
        """Return the id of the task; empty without one."""

    @abstractmethod
    async def _create_task(self, task: Task) -> object:
        """Create the task."""
