"""The messages between ``receiver dev`` and the child process with the app: lines of JSON.

Rule 1: only the child has the app's code. It sends the declarations as data; the parent makes equal
        `Action` and `DesiredIvr` values, whose handlers cannot be called.
Rule 2: messages are not logged and do not leave the machine: they hold PINs and callers' digits.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

import msgspec
from msgspec import Struct, field

from receiver.auth import Auth
from receiver.dev.declaration_messages import DeclaredAction, DeclaredIvr
from receiver.phone_numbers.numbers import NumberFormat

# From the child ------------------------------------------------------------------------------


class Ready(Struct, frozen=True, tag="ready"):
    """The child serves the app.

    Attributes:
        ivrs: the PBX's label and the number of each IVR.
        actions, desired_ivrs: the declarations.
        files: the developer's files that are loaded.
        number_formats: as of `receiver.Receiver.number_formats`.
        events: the PBX's label and the authentication of each event URL.
    """

    ivrs: list[tuple[str, str]]
    actions: list[DeclaredAction]
    desired_ivrs: list[DeclaredIvr]
    files: list[str]
    number_formats: dict[str, NumberFormat] = {}
    events: list[tuple[str, Auth | None]] = []


class StartFailed(Struct, frozen=True, tag="failed"):
    """The app does not load.

    Attributes:
        text: why, with file and line.
        file: where; empty if the command is wrong and not the code.
        files: as of `Ready`, as far as they were loaded.
    """

    text: str
    file: str
    files: list[str]


class Line(Struct, frozen=True):
    """A log record; ``at`` in seconds since the callback arrived."""

    at: float
    level: str
    logger: str
    message: str


class Error(Struct, frozen=True):
    """An exception of a handler, or of a module that was loaded."""

    type: str
    text: str
    file: str
    line: int
    function: str
    code: str
    trace: str


class UpstreamRequest(Struct, frozen=True):
    """A request of a handler to a service such as a CRM (`receiver.upstream.request_observer`)."""

    at: float
    method: str
    host: str
    path: str
    status: int | None
    seconds: float
    source: str = field(name="from")


class Blocking(Struct, frozen=True):
    """A call that blocked the event loop, as `receiver.execution.blocking_calls.BlockingCall`."""

    file: str
    line: int
    problem: str


class Report(Struct, tag="report"):
    """The report on a callback so far; a later one with the same ``id`` replaces it."""

    id: int
    action: str
    handler: str
    session: str = ""
    stages: dict[str, float] | None = None
    reason: str | None = None
    log: list[Line] = []
    error: Error | None = None
    upstream: list[UpstreamRequest] = []
    blocking: list[Blocking] = []


class Retired(Struct, frozen=True, tag="retired"):
    """The child accepts no further callbacks."""


# To the child --------------------------------------------------------------------------------


class Load(Struct, frozen=True, tag="load"):
    """Load the app and serve it. Until then a child has only loaded this package."""


class Retire(Struct, frozen=True, tag="retire"):
    """Accept no further callbacks, answer those in progress, and end."""


class SimulatedTime(Struct, frozen=True):
    """A date and time that was set, and advances in real time.

    Attributes:
        at: the time that was set, without a zone.
        since: when, in seconds of ``time.monotonic``, which the processes of a machine share.
    """

    at: datetime
    since: float

    def now(self) -> datetime:
        """Return the time now."""
        return self.at + timedelta(seconds=time.monotonic() - self.since)


class Simulation(Struct, frozen=True, tag="simulation"):
    """The faults and the time that the child simulates.

    Attributes:
        slow: seconds that each handler takes longer.
        crm: ok, slow or down, for all requests over HTTP with httpx.
        time: the date and time; None for this machine's.
    """

    slow: float = 0.0
    crm: str = "ok"
    time: SimulatedTime | None = None

    def now(self) -> datetime:
        """Return the date and time, for `receiver.Call.now`."""
        return self.time.now() if self.time else datetime.now()


MessageFromChild = Ready | StartFailed | Report | Retired
MessageToChild = Load | Retire | Simulation

_from_child: msgspec.json.Decoder[MessageFromChild] = msgspec.json.Decoder(MessageFromChild)
_to_child: msgspec.json.Decoder[MessageToChild] = msgspec.json.Decoder(MessageToChild)


def encode(message: MessageFromChild | MessageToChild) -> bytes:
    """Return a message as a line. Lone surrogates in texts of the app are escaped as in Python."""
    try:
        return msgspec.json.encode(message) + b"\n"
    except UnicodeEncodeError:
        return msgspec.json.encode(_escaped(msgspec.to_builtins(message))) + b"\n"


def _escaped(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_escaped(key): _escaped(one) for key, one in value.items()}
    return [_escaped(one) for one in value] if isinstance(value, list) else value


def decode_from_child(line: bytes) -> MessageFromChild:
    """Return a message of the child."""
    return _from_child.decode(line)


def decode_to_child(line: bytes) -> MessageToChild:
    """Return a message of the parent."""
    return _to_child.decode(line)
