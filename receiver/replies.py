"""The replies that a PBX understands, each with the words in which it is written everywhere.

Rule 1: a reply is a value; what a handler returns is the reply.
Rule 2: a reply that exists can be carried out: its destination is checked by the constructor.
Rule 3: on the wire ``status_code`` is always 200. The PBX takes anything else for a failure, and
        what the caller then hears is not documented ("Managing Virtual Receptionist").
Rule 4: a subclass of `BaseReply` names its words, and is registered in `KINDS`; wire, log, metrics,
        recordings, configuration files, console and simulator read them there. A new reply is one
        class, and one more member of `Reply`.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, cast

from receiver.errors import CallbackError, ReplyError
from receiver.text import counted

if TYPE_CHECKING:
    from typing_extensions import TypeIs

_DIALABLE = re.compile(r"\+?[0-9*#]{1,64}")

KINDS: dict[str, type[BaseReply]] = {}
"""The kinds of replies by their `BaseReply.action`."""


class BaseReply:
    """Base of the replies: frozen dataclasses with one field, the destination, or with none.

    A subclass names its words in the class statement; without them it cannot be defined, and mypy
    reports the missing ones. They become class attributes. ::

        @dataclass(frozen=True)  # no slots=True: that would define the class twice
        class Hangup(BaseReply, action="hangup", keyword="hangup", outcome="hung up", …):
            ...

    Parameters:
        action: on the wire, in the log, in metrics and recordings, such as ``"call"``.
        keyword: in configuration files, such as ``"forward"``.
        outcome: the kind of outcome that the simulator and the console show, ``"forwarded"``.
        outcome_text: the outcome in a sentence; ``{}`` is the destination.
        label: the reply in a list of destinations, such as ``"hang up"``; ``{}`` as before.
        summary: the effect, for the editor of a configuration file.
        rule: in the rules of an IVR (`receiver.pbx.models_ivr.ForwardAction`); empty if it cannot
            be used there.
        caller_text: the outcome in a CALLER callback, where it differs.
        ends_call: whether the IVR's part of the call ends.

    Raises:
        ReplyError: the destination cannot be dialled. The text does not repeat it, because it may
            hold what the caller keyed in.
    """

    __match_args__: ClassVar[tuple[str, ...]] = ()

    action: ClassVar[str]
    keyword: ClassVar[str]
    rule: ClassVar[str]
    outcome: ClassVar[str]
    outcome_text: ClassVar[str]
    caller_text: ClassVar[str]
    label: ClassVar[str]
    summary: ClassVar[str]
    ends_call: ClassVar[bool]

    def __init_subclass__(
        cls,
        *,
        action: str,
        keyword: str,
        outcome: str,
        outcome_text: str,
        label: str,
        summary: str,
        rule: str = "",
        caller_text: str = "",
        ends_call: bool = True,
    ) -> None:
        cls.action, cls.keyword, cls.rule = action, keyword, rule
        cls.outcome, cls.outcome_text, cls.caller_text = outcome, outcome_text, caller_text
        cls.label, cls.summary, cls.ends_call = label, summary, ends_call
        KINDS[action] = cls

    def __post_init__(self) -> None:
        name = type(self).__name__
        for field in self.__match_args__:
            value = getattr(self, field)
            if not isinstance(value, str):
                kind = type(value).__name__
                raise ReplyError(f'{name} wants a string such as {name}("222"), not {kind}')
            if not _DIALABLE.fullmatch(value):
                raise ReplyError(
                    f"{name} got a destination of {counted(len(value), 'character')} that cannot "
                    "be dialled: use 1 to 64 digits, * or #, with or without a leading +"
                )

    @classmethod
    def has_target(cls) -> bool:
        """Return whether this kind of reply has a destination."""
        return bool(cls.__match_args__)

    @classmethod
    def of(cls, *target: str) -> Reply:
        """Return a reply of this kind."""
        return cast("Reply", cls(*target))

    @property
    def target(self) -> str:
        """The destination; empty if this kind of reply has none."""
        return getattr(self, self.__match_args__[0]) if self.__match_args__ else ""

    @property
    def words(self) -> str:
        """The reply in a list of destinations, such as ``222`` or ``hang up``."""
        return self.label.format(self.target)


class Destination(Protocol):
    """A declaration with an extension number: an `Ivr`, or an `Announcement`.

    Attributes:
        number: the extension number.
    """

    number: str


@dataclass(frozen=True, init=False)
class Forward(
    BaseReply,
    action="call",
    keyword="forward",
    rule="FORWARD_TO_NUMBER",
    outcome="forwarded",
    outcome_text="forwarded to {}",
    label="{}",
    summary="Connect the caller to it.",
):
    """Connect the caller to ``destination``: an extension, a queue, another IVR, or a number.

    ::

        reply = Forward("222")

    Parameters:
        destination: 1 to 64 of ``0-9 * #``, with or without a leading ``+``; or an `Ivr` or an
            `Announcement`, of which the number counts.

    Raises:
        ReplyError: the destination cannot be dialled. The text does not repeat it.
    """

    destination: str

    def __init__(self, destination: str | Destination) -> None:
        number = getattr(destination, "number", destination)
        object.__setattr__(self, "destination", number)
        self.__post_init__()


@dataclass(frozen=True)
class Hangup(
    BaseReply,
    action="hangup",
    keyword="hangup",
    rule="HANGUP",
    outcome="hung up",
    outcome_text="hung up",
    label="hang up",
    summary="End the call.",
):
    """End the call.

    ::

        reply = Hangup()
    """


@dataclass(frozen=True)
class Repeat(
    BaseReply,
    action="repeat",
    keyword="repeat",
    rule="REPEAT",
    outcome="repeated",
    outcome_text="the prompt is repeated",
    caller_text="the call continues to the prompt",
    label="repeat",
    summary="Play the prompt again.",
    ends_call=False,
):
    """Play the IVR's prompt again and wait for the next key.

    In a CALLER handler, which runs before the prompt, it means: continue to the prompt. ::

        reply = Repeat()
    """


Reply = Forward | Hangup | Repeat


def is_reply(value: object) -> TypeIs[Reply]:
    """Return whether ``value`` is a reply of any registered kind."""
    return issubclass(type(value), BaseReply)  # an object may lie about its __class__


def keywords() -> dict[str, type[BaseReply]]:
    """Return the kinds of replies by their keyword in a configuration file."""
    return {kind.keyword: kind for kind in KINDS.values()}


def outcomes() -> dict[str, type[BaseReply]]:
    """Return the kinds of replies by their outcome."""
    return {kind.outcome: kind for kind in KINDS.values()}


def read_word(text: str) -> Reply:
    """Return the reply for ``"hangup"``, ``"repeat"``, or a destination such as ``"222"``.

    Raises:
        ReplyError: the text is neither.
    """
    word = text.strip().lower()
    kind = keywords().get(word)
    if kind is not None and not kind.has_target():
        return kind.of()
    if _DIALABLE.fullmatch(word):
        return Forward(word)
    plain = " nor ".join(f'"{name}",' for name, one in keywords().items() if not one.has_target())
    raise ReplyError(
        f"neither {plain} nor a destination of 1 to 64 digits, * or #, with or without a leading +"
    )


def encode(reply: Reply) -> bytes:
    """Return the JSON body that tells the PBX to carry out ``reply``."""
    return b'{"status_code":200,"action":"%b","destination":"%b"}' % (
        reply.action.encode(),
        reply.target.encode(),
    )


def decode(body: bytes) -> Reply:
    """Parse the body of a response as the PBX does.

    Raises:
        CallbackError: the body is not a reply; the text says why.
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        raise CallbackError("the answer is not JSON") from None
    if not isinstance(answer, dict):
        raise CallbackError("the answer is not a JSON object")
    if answer.get("status_code") != 200:
        raise CallbackError("the answer's status_code is not 200")
    action: Any = answer.get("action")
    kind = KINDS.get(action) if isinstance(action, str) else None
    if kind is None:
        raise CallbackError(f"the answer's action is none of {', '.join(KINDS)}")
    try:
        return kind.of(answer.get("destination", "")) if kind.has_target() else kind.of()
    except ReplyError:
        raise CallbackError("the answer's destination cannot be dialled") from None
