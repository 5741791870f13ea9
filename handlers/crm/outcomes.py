"""The abilities of a connector once a call is over: complete its record, and create a task.

Rule 1: both are optional for a connector. Without `CallCompleter` a record stays as it was made
        when the call was forwarded; without `TaskCreator` there are no tasks.
Rule 2: both may be called any number of times, and have one effect.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, runtime_checkable

from handlers.crm.contacts import Contact, Engagement, Number, Outcome
from receiver import CallEvent


@runtime_checkable
class CallCompleter(Protocol):
    """A connector that can add to the record of a call how the call ended."""

    async def complete(self, record: str, engagement: Engagement) -> None:
        """Add ``engagement.end`` to the record of a call that was logged.

        Contact, owner and start of the record are left as they are. A record that was deleted in
        the CRM is no error.

        Parameters:
            record: the id that `handlers.crm.contacts.Crm.log` returned; empty to search for the
                record by ``engagement.key``.
            engagement: the call, with its ``end``; it may lack contact and owner.

        Raises:
            Unavailable: the record may not be complete, or cannot be found yet; try again later.
        """
        ...


@dataclass(frozen=True, slots=True)
class Task:
    """A task for people.

    Attributes:
        key: as for `handlers.crm.contacts.Engagement`.
        due: with a time zone.
        title: one line.
        caller: the number to call back.
        contact: None for an unknown caller.
        owner: the id of who has to do it, in the CRM; may be empty.
    """

    key: str
    due: datetime
    title: str = field(repr=False)
    caller: Number
    contact: Contact | None = None
    owner: str = ""

    @property
    def text(self) -> str:
        """The title with the key, by which the task is found again."""
        return f"{self.title} ({self.key})"


@runtime_checkable
class TaskCreator(Protocol):
    """A connector that can create a task."""

    async def add_task(self, task: Task) -> None:
        """Create a task, once for each key, however often this is called.

        Raises:
            Unavailable: the task may not exist; try again later.
        """
        ...


def outcome_of(event: CallEvent) -> Outcome:
    """Return how a call ended, by its final record."""
    person = event.answered_by
    if person is None and (event.missed or event.targets or event.status != "answered"):
        return Outcome(False, recording=event.recording)
    talked = [person.talk_duration if person else None, event.talk_duration]
    seconds = next((one for one in talked if one is not None), 0.0)
    return Outcome(True, person.number if person else "", seconds, event.recording)
