"""A CRM in memory that counts its requests."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from handlers.crm.contacts import Contact, Engagement, Number, Owner
from handlers.crm.outcomes import Task
from receiver import Call


class MemoryCrm:
    """Attributes: ``contacts`` by the digits of a number; ``error`` is raised by all, if set."""

    def __init__(self, name: str = "memory") -> None:
        self.name = name
        self.contacts: dict[str, tuple[Contact, ...]] = {}
        self.owners: dict[str, Owner] = {}
        self.engagements: list[Engagement] = []
        self.completed: list[str] = []
        self.tasks: list[Task] = []
        self.finds = 0
        self.owner_requests = 0
        self.error: Exception | None = None

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error

    async def find(self, number: Number, call: Call | None = None) -> Sequence[Contact]:
        self.finds += 1
        self._fail()
        return self.contacts.get(number.digits, ())

    async def owner(self, contact: Contact, call: Call | None = None) -> Owner | None:
        self.owner_requests += 1
        self._fail()
        return self.owners.get(contact.owner)

    async def log(self, engagement: Engagement) -> str:
        self._fail()
        keys = [one.key for one in self.engagements]
        if engagement.key not in keys:
            self.engagements.append(engagement)
            return str(len(keys))
        return str(keys.index(engagement.key))

    async def complete(self, record: str, engagement: Engagement) -> None:
        self._fail()
        self.completed.append(record)
        logged = self.engagements[int(record)]
        self.engagements[int(record)] = replace(logged, end=engagement.end)

    async def add_task(self, task: Task) -> None:
        self._fail()
        if all(task.key != one.key for one in self.tasks):
            self.tasks.append(task)
