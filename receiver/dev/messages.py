"""The messages between ``receiver dev`` and the child process with the app: lines of JSON.

Rule 1: only the child has the app's code. It sends the declarations as data; the parent makes equal
        `Action` and `DesiredIvr` values, whose handlers cannot be called.
Rule 2: messages are not logged and do not leave the machine: they hold PINs and callers' digits.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from receiver.auth import Auth
from receiver.calls import Call
from receiver.declarations.actions import Action
from receiver.declarations.desired_ivr import DesiredIvr
from receiver.declarations.fallbacks import Fallback
from receiver.declarations.speech import Speech
from receiver.masks import Mask
from receiver.pbx.checks import parse
from receiver.pbx.models import write
from receiver.pbx.models_ivr import Ivr as Fields
from receiver.pbx.models_shared import Holiday
from receiver.phone_numbers.numbers import NumberFormat
from receiver.replies import Reply, is_reply

_COPIED = (
    *("ivr", "pbx", "name", "kind", "method", "auth", "request_timeout", "connection_timeout"),
    *("headers", "secret_header", "enabled", "where", "sensitive", "was"),
)
"""The fields that `DeclaredAction` and `Action` have in common."""


class DeclaredAction(Struct, frozen=True, kw_only=True):
    """An action without its function; ``handler`` and ``fallback`` are texts for the page."""

    ivr: str
    pbx: str
    name: str
    kind: str
    mask: str
    method: str
    auth: str | None
    request_timeout: int
    connection_timeout: int
    headers: dict[str, str]
    secret_header: str
    enabled: bool
    where: str
    sensitive: bool
    was: str = ""
    handler: str
    fallback: str

    @property
    def identity(self) -> str:
        return self.action().identity

    def action(self) -> Action:
        """Return the action to register."""
        values: dict[str, Any] = {name: getattr(self, name) for name in _COPIED}
        return Action(mask=Mask.parse(self.mask), handler=_in_child, **values)


class DeclaredIvr(Struct, frozen=True):
    """The declared fields of an IVR, as they are sent to the PBX.

    ``prompts`` are the paths of its recordings, ``speeches`` its spoken prompts.
    """

    pbx: str
    fields: dict[str, Any]
    prompts: dict[str, str]
    where: str
    speeches: dict[str, Speech] = {}
    holidays: list[dict[str, Any]] = []
    clear: tuple[str, ...] = ()

    def desired(self) -> DesiredIvr:
        """Return the IVR to register."""
        prompts: dict[str, Path | Speech] = dict(self.speeches)
        prompts |= {option: Path(path) for option, path in self.prompts.items()}
        return DesiredIvr(
            parse(Fields, self.fields),
            prompts.get("prompt"),
            self.where,
            transfer_prompt=prompts.get("transfer_prompt"),
            holidays=tuple(parse(Holiday, one) for one in self.holidays),
            clear=self.clear,
        )


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


def declared_action(action: Action, handler: str) -> DeclaredAction:
    """Return ``action`` as data; ``handler`` is its function's name and place."""
    return DeclaredAction(
        mask=str(action.mask),
        headers=dict(action.headers),
        handler=handler,
        fallback=_fallback_text(action.fallback or action.ivr_fallback),
        **{name: getattr(action, name) for name in _COPIED if name != "headers"},
    )


def declared_ivrs(by_pbx: Mapping[str, Iterable[DesiredIvr]]) -> list[DeclaredIvr]:
    """Return IVRs, by the label of their PBX, as data."""
    return [
        DeclaredIvr(
            label,
            write(one.fields),
            {option: f"{one}" for option, one in one.prompts.items() if isinstance(one, Path)},
            one.where,
            {option: one for option, one in one.prompts.items() if isinstance(one, Speech)},
            list(map(write, one.holidays)),
            one.clear,
        )
        for label, ivrs in by_pbx.items()
        for one in ivrs
    ]


def _fallback_text(fallback: Fallback | None) -> str:
    """Return a fallback as text."""
    if fallback is None:
        return ""
    if is_reply(fallback):
        return fallback.words
    return f"{getattr(fallback, '__name__', 'a function')}()"


async def _in_child(call: Call) -> Reply:
    raise AssertionError("the handler is in the child")
