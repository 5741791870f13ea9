"""One recorded callback as a line of JSON: the format of the files, version 1.

Rule 1: a line stands for itself: its version, and what in it is masked, are in it.
Rule 2: what is masked is a `Veiled`: nothing that the caller keyed in, is called or calls from can
        be read from it, and who has the code can still make a stand-in that leads the same way.
Rule 3: a destination that may come from the caller is told in `Piece` s of what it came from.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import msgspec
from msgspec import Struct

from receiver.errors import ReceiverError

VERSION = 1


class RecordingError(ReceiverError):
    """A recording cannot be found or read."""

    exit_code = 2


class Like(Struct, frozen=True):
    """An entry of a match list that a text matched.

    Attributes:
        action: whose list, by its identity.
        entry: which of the list, from 0.
        shape: of the list, see `receiver.recordings.masking.shape`.
    """

    action: str
    entry: int
    shape: str


class Veiled(Struct, frozen=True, omit_defaults=True):
    """A text that is not shown.

    Attributes:
        form: a character for each of its own: ``d`` for a digit, ``a`` for anything else but
            ``+``, ``*`` and ``#``, which stand for themselves.
        alias: the same for the same text; empty where even that is not told.
        like: the entries that it matched.
    """

    form: str
    alias: str = ""
    like: tuple[Like, ...] = ()


class Piece(Struct, frozen=True, tag_field="type", tag="piece"):
    """The characters from ``start`` to before ``stop`` of what the caller keyed in, or calls from.

    They are counted without a ``+`` in front.
    """

    of: Literal["digits", "caller"]
    start: int
    stop: int


Text = str | Veiled
Destination = str | tuple[str | Piece, ...]


class Recorded(Struct, frozen=True, kw_only=True, tag_field="type", tag="callback"):
    """One callback that was answered.

    Attributes:
        v: the version of the format.
        time: when it was answered: RFC 3339, UTC, milliseconds.
        action: the identity.
        method: of the request.
        session: what the callbacks of one call have in common, not the PBX's own word for it.
        digits, caller, caller_name, ivr, ivr_name: of the call.
        matched: whether the action's match list matched what it goes by.
        masked: which of these are not shown.
        decision: ``call``, ``hangup`` or ``repeat``.
        reason: see `receiver.dispatch.dispatcher.Reason`.
        seconds: from its arrival to the answer; ``handler`` of them for the decision.
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
    decision: Literal["call", "hangup", "repeat"]
    destination: Destination = ""
    reason: str
    seconds: float
    handler: float

    @property
    def is_empty(self) -> bool:
        """Whether nothing is known of the call: its callback could not be read."""
        return not (self.session or self.ivr or self.caller or self.digits)


class Lost(Struct, frozen=True, kw_only=True, tag_field="type", tag="lost"):
    """So many callbacks before this line were not recorded."""

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
    """One line, with its end."""
    return _encode(line) + b"\n"


def decode(line: bytes) -> Line | None:
    """What a line says; None if it is damaged, as the last of a worker that was killed may be.

    Raises:
        RecordingError: it is of another version.
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
            f"the recording is of version {version}, this program reads {VERSION}: install the "
            "version of portsip-receiver that wrote it"
        )
    return None
