"""The three answers a PBX understands, and how they go on the wire.

Rule 1: a reply is a value; what a handler returns is the answer.
Rule 2: a reply that exists can be carried out: a destination is checked when it is made.
Rule 3: on the wire ``status_code`` is always 200. The PBX takes anything else for a failure, and
        what the caller then hears is not documented ("Managing Virtual Receptionist").
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import assert_never

from receiver.errors import CallbackError, ReplyError

_DIALABLE = re.compile(r"\+?[0-9*#]{1,64}")


@dataclass(frozen=True, slots=True)
class Forward:
    """Connect the caller to ``destination``: an extension, a queue, another IVR, or a number.

    Parameters:
        destination: 1 to 64 of ``0-9 * #``, with a ``+`` in front or not.

    Raises:
        ReplyError: the destination cannot be dialled. The text does not repeat it, for it may
            hold what the caller keyed in.
    """

    destination: str

    def __post_init__(self) -> None:
        if not isinstance(self.destination, str):
            kind = type(self.destination).__name__
            raise ReplyError(f'Forward wants a string such as Forward("222"), not {kind}')
        if not _DIALABLE.fullmatch(self.destination):
            raise ReplyError(
                f"Forward got a destination of {len(self.destination)} characters that cannot be "
                "dialled: use 1 to 64 digits, * or #, with a + in front or not"
            )


@dataclass(frozen=True, slots=True)
class Hangup:
    """End the call."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """Play the IVR's prompt again and wait for the next key."""


Reply = Forward | Hangup | Repeat


_WORDS: dict[str, Reply] = {"hangup": Hangup(), "repeat": Repeat()}


def read_word(text: str) -> Reply:
    """The reply that is meant by ``"hangup"``, ``"repeat"``, or a destination such as ``"222"``.

    Raises:
        ReplyError: none is.
    """
    word = text.strip().lower()
    if word not in _WORDS and not _DIALABLE.fullmatch(word):
        raise ReplyError(
            'neither "hangup", nor "repeat", nor a destination of 1 to 64 digits, * or #, with a + '
            "in front or not"
        )
    return _WORDS.get(word) or Forward(word)


def encode(reply: Reply) -> bytes:
    """The JSON body that tells the PBX to carry out ``reply``."""
    match reply:
        case Forward(destination):
            return b'{"status_code":200,"action":"call","destination":"%b"}' % destination.encode()
        case Hangup():
            return b'{"status_code":200,"action":"hangup","destination":""}'
        case Repeat():
            return b'{"status_code":200,"action":"repeat","destination":""}'
        case _:
            assert_never(reply)


def decode(body: bytes) -> Reply:
    """Read an answer as the PBX would.

    Raises:
        CallbackError: the body is not an answer; the text says why.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise CallbackError("the answer is not JSON") from None
    if not isinstance(answer, dict):
        raise CallbackError("the answer is not a JSON object")
    if answer.get("status_code") != 200:
        raise CallbackError("the answer's status_code is not 200")
    action = answer.get("action")
    if action == "hangup":
        return Hangup()
    if action == "repeat":
        return Repeat()
    if action != "call":
        raise CallbackError("the answer's action is none of call, hangup, repeat")
    try:
        return Forward(answer.get("destination", ""))
    except ReplyError:
        raise CallbackError("the answer's destination cannot be dialled") from None
