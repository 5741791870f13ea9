"""Handler of the event ``call_missed`` that has the caller called back: a task, a request, a line.

::

    events = Events()
    events.add("call_missed", FollowUp(crm=HubSpot("$HUBSPOT_TOKEN"), region="DE"))
    events.add("call_missed", FollowUp(url="https://desk.example.com/hook"), name="desk")
    events.add("call_missed", FollowUp(file="missed-calls.csv"), name="list")

In a configuration file it is ``handler = "follow-up"`` in an entry of ``[[events.call_missed]]``.

Rule 1: There is one follow-up for each call, however often the PBX reports it. The key of a call is
        made from its session id; a task has it in its title, a request in the header
        ``Idempotency-Key``, a line of a file in its first column.
Rule 2: If a follow-up fails the event is handled again later, as a durable job is. A request whose
        answer was lost is sent again with the same key.
Rule 3: No log contains a number or a name. The file does; only its owner can read it.
"""

from __future__ import annotations

import asyncio
import csv
import hashlib
import io
import json
import os
import threading
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from handlers.crm.error_log import ErrorLog
from handlers.relay import origin_of
from receiver import Call, CallEvent, DeclarationError, Unavailable
from receiver.upstream import Client

if TYPE_CHECKING:  # they need an extra
    from handlers.crm.contacts import Contact, Number
    from handlers.crm.outcomes import Task

FIELDS = (
    "key",
    "time",
    "caller",
    "caller_name",
    "did",
    "callee",
    "forwarded_to",
    "rang",
    "ring_duration",
    "session_id",
)
"""The columns of a file, and the fields of a request."""

TAIL_SIZE = 1024 * 1024
"""Octets at the end of a file that are searched for the key of a call."""


class TaskCrm(Protocol):
    """A connector that finds contacts and creates tasks; see `handlers.crm.contacts.Crm`."""

    async def find(self, number: Number, call: Call | None = None) -> Sequence[Contact]: ...

    async def add_task(self, task: Task) -> None: ...


class FollowUp:
    """A handler of ``call_missed`` that creates a task, sends a request or writes a line.

    ::

        events.add("call_missed", FollowUp(file="missed-calls.csv"))

    Parameters:
        crm: a connector, such as `handlers.crm.hubspot.HubSpot`, or a table that describes one: a
            task for the owner of the caller's contact is created there. Or
        url: of a service that gets a POST with JSON; ``https``, or ``http`` on this machine. Or
        file: a path that ends with ``.csv`` or ``.jsonl``, to which a line is added.
        within: seconds after the call at which a task is due.
        unknown: whether callers without a contact get a task, too.
        region: region of numbers, see `receiver.PhoneNumbers`.
        headers: additional headers of a request, such as ``Authorization``.
        timeout: maximum seconds for the answer to a request.
        plain: True allows ``http`` to another machine, which exposes numbers on the network.
        ca: PEM file with the certificate of a private authority, for a request.

    In a file::

        handler = "follow-up"
        crm = {connector = "hubspot", token = "$HUBSPOT_TOKEN"}
        region = "DE"

    Raises:
        DeclarationError: an option is wrong, or not one of ``crm``, ``url`` and ``file`` is given.
    """

    def __init__(
        self,
        *,
        crm: TaskCrm | Mapping[str, Any] | None = None,
        url: str = "",
        file: str | Path = "",
        within: float = 86_400.0,
        unknown: bool = True,
        region: str = "",
        headers: Mapping[str, str] | None = None,
        timeout: float = 10.0,
        plain: bool = False,
        ca: str | Path | None = None,
    ) -> None:
        if sum(map(bool, (crm, url, str(file)))) != 1:
            raise DeclarationError("FollowUp: give one of crm=, url= and file=")
        self._within = timedelta(seconds=within)
        self._unknown, self._region = unknown, region
        self._crm = _task_creator(crm) if crm else None
        self._url, self._file = url, Path(file) if str(file) else None
        if self._file is not None and self._file.suffix not in (".csv", ".jsonl"):
            raise DeclarationError("FollowUp: file= must end with .csv or .jsonl")
        self._errors = ErrorLog()
        self._client: Client | None = None
        if url:
            origin = origin_of(url, plain, "FollowUp")
            self._client = Client(origin, headers=headers, timeout=timeout, ca=ca)

    async def __call__(self, event: CallEvent) -> None:
        try:
            await self._follow_up(event)
        except Unavailable as error:
            self._errors.warn("FollowUp: a missed call is not followed up yet", error)
            raise

    async def _follow_up(self, event: CallEvent) -> None:
        if self._crm is not None:
            await self._add_task(self._crm, event)
        elif self._client is not None:
            fields, headers = fields_of(event), {"Idempotency-Key": key_of(event)}
            await self._client.post(self._url, json=fields, headers=headers)
        elif self._file is not None:
            await asyncio.to_thread(add_line, self._file, event)

    async def _add_task(self, crm: TaskCrm, event: CallEvent) -> None:
        from handlers.crm.contacts import Number  # noqa: PLC0415 - needs an extra
        from handlers.crm.outcomes import Task  # noqa: PLC0415

        number = Number.parse(event.caller, self._region)
        contacts = await crm.find(number) if number.digits else ()
        contact = contacts[0] if contacts else None
        if contact is None and not (self._unknown and number.digits):
            return  # a withheld number cannot be called back
        name = (contact.name if contact else event.caller_name) or number.e164 or number.digits
        task = Task(
            key=key_of(event),
            due=_time(event) + self._within,
            title=f"Missed call: call back {name}",
            caller=number,
            contact=contact,
            owner=contact.owner if contact else "",
        )
        await crm.add_task(task)


def key_of(event: CallEvent) -> str:
    """Return the key of a missed call, ``[0-9a-f]{32}``; other records of the call share it."""
    identity = event.session_id or event.cdr_id or f"{event.caller} {_time(event).isoformat()}"
    text = f"missed {event.pbx} {identity}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:32]


def fields_of(event: CallEvent) -> dict[str, Any]:
    """Return what a request or a line has of a missed call, by `FIELDS`."""
    rang = [one.number for one in event.targets if not one.is_ivr and one.number]
    seconds = event.ring_duration
    values = (
        *(key_of(event), _time(event).isoformat(), event.caller, event.caller_name, event.did),
        *(event.callee, event.forwarded_to, " ".join(dict.fromkeys(rang)), seconds),
        event.session_id,
    )
    return dict(zip(FIELDS, values, strict=True))


def add_line(path: Path, event: CallEvent) -> None:
    """Add a line for a missed call to a file, unless the file has one; made for its owner only.

    Raises:
        OSError: the file cannot be written.
    """
    with _lock, open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        _lock_file(file.fileno())
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - TAIL_SIZE))
        tail = file.read()
        if key_of(event).encode() in tail:
            return
        line = _as_csv(event, header=not size) if path.suffix == ".csv" else _as_json(event)
        begin = (
            b"\n" if tail and not tail.endswith(b"\n") else b""
        )  # after a line cut off by a kill
        file.write(begin + line.encode("utf-8", "replace"))
        file.flush()
        os.fsync(file.fileno())


_lock = threading.Lock()


def _lock_file(file: int) -> None:
    """Wait for other processes; the lock ends with the file."""
    try:
        import fcntl  # noqa: PLC0415 - not on Windows
    except ImportError:
        return
    fcntl.flock(file, fcntl.LOCK_EX)


def _as_json(event: CallEvent) -> str:
    return json.dumps(fields_of(event)) + "\n"


def _as_csv(event: CallEvent, *, header: bool) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    if header:
        writer.writerow(FIELDS)
    writer.writerow([_as_cell(value) for value in fields_of(event).values()])
    return out.getvalue()


def _as_cell(value: object) -> str:
    """Return a value that a spreadsheet does not run as a formula, on one line."""
    text = "" if value is None else " ".join(str(value).split())
    bare = text.removeprefix("+").replace(" ", "")
    return f"'{text}" if text[:1] in "=+-@" and text and not bare.isdigit() else text


def _time(event: CallEvent) -> datetime:
    return event.ended or event.time or event.started or datetime.now(UTC)


def _task_creator(crm: TaskCrm | Mapping[str, Any]) -> TaskCrm:
    """Return the connector, which must be able to create tasks."""
    from handlers.crm.connectors import connect  # noqa: PLC0415 - needs an extra

    connector: Any = connect(crm) if isinstance(crm, Mapping) else crm
    if not hasattr(connector, "add_task"):
        raise DeclarationError("FollowUp: crm= is a connector that can create tasks (add_task)")
    made: TaskCrm = connector
    return made
