"""One recorded callback as a line of JSON: the format of the files, version 1.

Rule 1: a line is self-contained: it has its version, and the list of its masked fields.
Rule 2: a masked text is a `Masked`: it shows no digits, number or name. With the declarations, a
        placeholder can be made that matches the same mask entries.
Rule 3: a destination that may be derived from caller data is written as `Piece` s of that data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec
from msgspec import Struct

from receiver.errors import ReceiverError
from receiver.replies import KINDS

VERSION = 1


class RecordingError(ReceiverError):
    """A recording cannot be found or read."""

    exit_code = 2


class EntryMatch(Struct, frozen=True):
    """A mask entry that a text matched.

    Attributes:
        action: the identity of the action with the mask.
        entry: its index in the mask.
        shape: of the mask, see `receiver.recording.masking.shape`.
    """

    action: str
    entry: int
    shape: str


class Masked(Struct, frozen=True, omit_defaults=True):
    """A text that is not shown.

    Attributes:
        form: ``d`` for each digit, ``a`` for other characters except ``+``, ``*`` and ``#``, which
            are kept.
        alias: equal for equal texts; empty if that would reveal too much.
        matches: the mask entries that the text matched.
    """

    form: str
    alias: str = ""
    matches: tuple[EntryMatch, ...] = ()


class Piece(Struct, frozen=True, tag_field="type", tag="piece"):
    """The characters from ``start`` to before ``stop`` of the digits or the caller's number.

    Indexes do not count a leading ``+``.
    """

    of: Literal["digits", "caller"]
    start: int
    stop: int


class UpstreamAnswer(Struct, frozen=True, omit_defaults=True):
    """A request of the handler to another service, and its answer.

    Attributes:
        method, host: of the request.
        path: of it, with ``*`` for parts that are not shown.
        status: of the answer; None if there was none.
        body: masked JSON, see `receiver.recording.upstream_answers`.
        left_out: whether the answer had a body that is not recorded.
        retry_after: seconds, of an answer that is not 2xx.
        is_late: whether there was no answer in time.
    """

    method: str
    host: str
    path: str
    status: int | None = None
    body: str = ""
    left_out: bool = False
    retry_after: float | None = None
    is_late: bool = False


Text = str | Masked
Destination = str | tuple[str | Piece, ...]


class Recorded(Struct, frozen=True, kw_only=True, tag_field="type", tag="callback"):
    """One callback that was answered.

    Attributes:
        v: the version of the format.
        time: when it was answered: RFC 3339, UTC, milliseconds.
        action: the identity.
        method: of the request.
        session: equal for the callbacks of one call; derived from the PBX's session id.
        digits, caller, caller_name, ivr, ivr_name: of the call.
        matched: whether the action's mask matched.
        masked: the names of the masked fields.
        decision: the action on the wire, one of `receiver.replies.KINDS`.
        reason: see `receiver.dispatch.dispatcher.Reason`.
        seconds: from arrival to answer; ``handler`` is the decision's part.
        upstream: the requests of the handler to other services, and their answers; none of a
            sensitive action.
    """

    v: Literal[1] = 1
    time: str
    action: str
    pbx: str
    kind: str
    method: str
    session: str
    ivr: str
    ivr_name: str
    caller: Text
    caller_name: Text
    digits: Text
    matched: bool
    masked: tuple[str, ...]
    decision: str
    destination: Destination = ""
    reason: str
    seconds: float
    handler: float
    upstream: tuple[UpstreamAnswer, ...] = ()

    def __post_init__(self) -> None:
        if self.decision not in KINDS:
            raise ValueError("decision is the action of no known reply")

    @property
    def is_empty(self) -> bool:
        """Whether the record has no call data: the callback could not be parsed."""
        return not (self.session or self.ivr or self.caller or self.digits)


class Lost(Struct, frozen=True, kw_only=True, tag_field="type", tag="lost"):
    """The number of callbacks before this line that were not recorded."""

    v: Literal[1] = 1
    time: str
    lost: int


class _Version(Struct):
    v: int = 0


Line = Recorded | Lost

_encode = msgspec.json.Encoder().encode
_decode: Callable[[bytes], Line] = msgspec.json.Decoder(Line).decode
_version = msgspec.json.Decoder(_Version).decode
_DAMAGED = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def encode(line: Line) -> bytes:
    """Return a line, with its newline."""
    return _encode(line) + b"\n"


def decode(line: bytes) -> Line | None:
    """Return the record in a line; None if it is damaged (a worker may be killed while it writes).

    Raises:
        RecordingError: the line has a newer version.
    """
    try:
        return _decode(line)
    except _DAMAGED:
        try:
            version = _version(line).v
        except _DAMAGED:
            return None
    if version > VERSION:
        raise RecordingError(
            f"the recording has version {version}, this program reads {VERSION}: install the "
            "version of portsip-receiver that wrote it"
        )
    return None
