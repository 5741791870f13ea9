"""What ``receiver dev`` and the child with the app say to each other: JSON, a line each.

Rule 1: the code of the app is in the child alone. What it declares goes to the parent as data, and
        there becomes the same `Action` and `Receptionist` values, whose handlers cannot be asked.
Rule 2: nothing of this leaves the machine or is logged: it holds a PIN, and what callers keyed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import msgspec
from msgspec import Struct, field

from receiver.actions import Action, Kind, Method
from receiver.auth import Auth
from receiver.calls import Call
from receiver.ladders import Fallback
from receiver.masks import Mask
from receiver.pbx.checks import parse
from receiver.pbx.models import write
from receiver.pbx.models_ivr import Ivr as Fields
from receiver.receptionists import Receptionist
from receiver.replies import Forward, Hangup, Reply


class DeclaredAction(Struct, frozen=True):
    """An action, without its function. ``handler`` and ``fallback`` are for people."""

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
    handler: str
    fallback: str

    @property
    def identity(self) -> str:
        return self.action().identity

    def action(self) -> Action:
        """What there is to register."""
        return Action(
            ivr=self.ivr,
            pbx=self.pbx,
            name=self.name,
            kind=cast("Kind", self.kind),
            mask=Mask.parse(self.mask),
            handler=_elsewhere,
            method=cast("Method", self.method),
            auth=cast("Auth | None", self.auth),
            request_timeout=self.request_timeout,
            connection_timeout=self.connection_timeout,
            headers=self.headers,
            secret_header=self.secret_header,
            enabled=self.enabled,
            where=self.where,
        )


class DeclaredReceptionist(Struct, frozen=True):
    """A receptionist that there shall be; ``fields`` as they go to the PBX."""

    pbx: str
    fields: dict[str, Any]
    prompt: str | None
    where: str

    def receptionist(self) -> Receptionist:
        """What there is to register."""
        prompt = None if self.prompt is None else Path(self.prompt)
        return Receptionist(parse(Fields, self.fields), prompt, self.where)


# From the child ------------------------------------------------------------------------------


class Ready(Struct, frozen=True, tag="ready"):
    """It serves.

    Attributes:
        ivrs: label and number of each IVR.
        actions, receptionists: what is declared.
        files: the files of the code that is loaded, but for that of packages.
    """

    ivrs: list[tuple[str, str]]
    actions: list[DeclaredAction]
    receptionists: list[DeclaredReceptionist]
    files: list[str]


class Failed(Struct, frozen=True, tag="failed"):
    """It does not start.

    Attributes:
        text: why, with its place.
        file: of that place; empty if there is none: then the command is wrong, not the code.
        files: as for `Ready`, as far as it came.
    """

    text: str
    file: str
    files: list[str]


class Line(Struct, frozen=True):
    """A line that was logged; ``at`` in seconds since the callback came."""

    at: float
    level: str
    logger: str
    message: str


class Error(Struct, frozen=True):
    """What a handler raised, or a module when it was loaded."""

    type: str
    text: str
    file: str
    line: int
    function: str
    code: str
    trace: str


class Asked(Struct, frozen=True):
    """What a handler asked somebody else, as `receiver.upstream.witness.Asked` says."""

    at: float
    method: str
    host: str
    path: str
    status: int | None
    seconds: float
    source: str = field(name="from")


class Report(Struct, frozen=True, tag="report"):
    """All that is known of a callback so far; a later one with the same ``id`` replaces it."""

    id: int
    action: str
    session: str
    handler: str
    stages: dict[str, float] | None
    reason: str | None
    log: list[Line]
    error: Error | None
    upstream: list[Asked]


class Retired(Struct, frozen=True, tag="retired"):
    """It takes no further callbacks."""


# To the child --------------------------------------------------------------------------------


class Load(Struct, frozen=True, tag="load"):
    """Load the app and serve it. Until then a child has only loaded what all apps need."""


class Retire(Struct, frozen=True, tag="retire"):
    """Take no further callbacks, answer those in hand, and go."""


class Mischief(Struct, frozen=True, tag="mischief"):
    """What shall go wrong: the seconds that a handler takes longer, and how the CRM is."""

    slow: float = 0.0
    crm: str = "ok"


Up = Ready | Failed | Report | Retired
Down = Load | Retire | Mischief

_up: msgspec.json.Decoder[Up] = msgspec.json.Decoder(Up)
_down: msgspec.json.Decoder[Down] = msgspec.json.Decoder(Down)


def encode(message: Up | Down) -> bytes:
    """A line. Lone surrogates, which a text of the app's may have, are escaped as in Python."""
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


def decode_up(line: bytes) -> Up:
    """What the child says."""
    return _up.decode(line)


def decode_down(line: bytes) -> Down:
    """What the parent says."""
    return _down.decode(line)


def declared_action(action: Action, handler: str) -> DeclaredAction:
    """``action`` as data."""
    return DeclaredAction(
        ivr=action.ivr,
        pbx=action.pbx,
        name=action.name,
        kind=action.kind,
        mask=str(action.mask),
        method=action.method,
        auth=action.auth,
        request_timeout=action.request_timeout,
        connection_timeout=action.connection_timeout,
        headers=dict(action.headers),
        secret_header=action.secret_header,
        enabled=action.enabled,
        where=action.where,
        handler=handler,
        fallback=_words(action.fallback or action.ivr_fallback),
    )


def declared_receptionists(
    by_pbx: Mapping[str, Iterable[Receptionist]],
) -> list[DeclaredReceptionist]:
    """Receptionists, by the label of their PBX, as data."""
    return [
        DeclaredReceptionist(
            label, write(one.fields), None if one.prompt is None else str(one.prompt), one.where
        )
        for label, people in by_pbx.items()
        for one in people
    ]


def _words(fallback: Fallback | None) -> str:
    """What a fallback does, for people."""
    if fallback is None:
        return ""
    if isinstance(fallback, Forward):
        return f"call {fallback.destination}"
    if isinstance(fallback, Reply):
        return "hang up" if isinstance(fallback, Hangup) else "repeat"
    return f"{getattr(fallback, '__name__', 'a function')}()"


async def _elsewhere(call: Call) -> Reply:
    raise AssertionError("the handler is in the child")
