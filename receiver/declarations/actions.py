"""Actions: one declaration for the route of this service and for the action URL on the PBX.

Rule 1: the data is the table of `Action` values, which `receiver.declarations.ivr` adds to.
Rule 2: no two enabled actions of one kind on one IVR share an input: which of them would
        get the callback is not documented.
Rule 3: an IVR is one of one PBX: the same number on two PBXs is two IVRs.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, NamedTuple, Protocol
from urllib.parse import quote

from receiver.auth import Algorithm, Auth
from receiver.calls import Call, FinishKey, Kind
from receiver.credentials import Secret
from receiver.declarations import limits
from receiver.declarations.fallbacks import Fallback
from receiver.errors import DeclarationError
from receiver.execution.kinds import Manner, manner_of
from receiver.masks import ANY_CALLER, Mask
from receiver.replies import Reply

Method = Literal["GET", "POST"]

OnTimeout = Literal["cancel", "continue"]
"""The treatment of a handler that exceeds its deadline."""

Handler = Callable[[Call], Awaitable[Reply]] | Callable[[Call], Reply]
"""One typed `Call` in, one `Reply` out; plain functions run in threads."""

MAX_REPEATS = 3
"""The most `Repeat` replies in a row, unless the action or its handler sets another limit."""

_PATH = re.compile(
    r"(/action/((?:([a-z][a-z0-9]{0,15})/)?[0-9]{3,64}/[^/\\?#%]{1,64}))(?:/([2-9]|[1-9][0-9]))?"
)


@dataclass(frozen=True, slots=True)
class Action:
    """One row of the table: an action URL of one IVR and the function that answers it.

    Made by `receiver.declarations.ivr.Ivr`, where the parameters are explained.

    Attributes:
        was: the name that it had before; empty if it was not renamed.
        manner: how the handler is called, see `receiver.execution.kinds`.
    """

    ivr: str
    name: str
    kind: Kind
    mask: Mask
    handler: Handler
    method: Method = "POST"
    auth: Auth | None = "bearer"
    request_timeout: int = 2
    connection_timeout: int = 2
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)  # may hold secrets
    algorithms: tuple[Algorithm, ...] = ("MD5",)
    uri_without_query: bool = False
    secret_header: str = ""
    fallback: Fallback | None = None
    ivr_fallback: Fallback | None = None
    on_timeout: OnTimeout = "cancel"
    max_concurrency: int = 0
    max_repeats: int = MAX_REPEATS
    finish_key: FinishKey = ""
    sensitive: bool = False
    enabled: bool = True
    where: str = field(default="", compare=False)
    pbx: str = ""
    was: str = ""
    manner: Manner = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "manner", manner_of(self.handler))

    @property
    def identity(self) -> str:
        """The key of credentials and registration: PBX, IVR and name."""
        whole = f"{self.ivr}/{self.name}"
        return f"{self.pbx}/{whole}" if self.pbx else whole

    @property
    def path(self) -> str:
        """The path on this service, decoded.

        The PBX's API shows a pattern for URLs that requires six lower-case letters or digits in a
        row; "action" supplies them, should a PBX enforce it.
        """
        return f"/action/{self.identity}"

    @property
    def former(self) -> Action | None:
        """The same action under the name that it had before; None if it was not renamed."""
        return replace(self, name=self.was, was="") if self.was else None

    @property
    def parts(self) -> tuple[tuple[str, Mask], ...]:
        """The action URLs that this action needs on the PBX: a name and a mask for each.

        More than one only if the mask is longer than the PBX takes; they share the credentials.
        """
        masks = self.mask.split(limits.MASK)
        return tuple(
            (self.name if part == 1 else f"{self.name}~{part}", mask)
            for part, mask in enumerate(masks, 1)
        )

    def url(self, base: str, part: int = 1) -> str:
        """Return the action URL for a service at ``base`` (without a trailing slash).

        Parameters:
            base: as in ``https://ivr.example.com``.
            part: which of `parts`; from the second on it is appended to the path.

        Raises:
            DeclarationError: it is longer than the 128 characters that the PBX accepts.
        """
        url = base + quote(part_path(self.path, part))
        if len(url) > limits.URL:
            raise DeclarationError(
                f"the URL of action {self.name!r} has {len(url)} characters, the PBX takes "
                f"{limits.URL}: choose a shorter name or a shorter RECEIVER_PUBLIC_URL",
                self.where,
            )
        return url

    def sent_headers(self, key: Secret) -> dict[str, str]:
        """Return the headers that the PBX sends, with ``key`` in the one that holds a secret."""
        secret = {self.secret_header: key.reveal()} if self.secret_header else {}
        return {**self.headers, **secret}


def by_identity(actions: Iterable[Action]) -> dict[str, Action]:
    """Return ``actions`` by identity, a renamed one by that of its former name too."""
    found = {action.identity: action for action in actions}
    former = {one.identity: action for action in found.values() if (one := action.former)}
    return former | found


def is_sensitive(*handlers: object) -> bool:
    """Return whether one of ``handlers`` has an attribute ``sensitive`` that is True. ::

        assert not is_sensitive(pick)

    Digits and numbers of the calls of such a handler are never logged.
    """
    return any(getattr(handler, "sensitive", False) is True for handler in handlers)


def repeats_of(*handlers: object) -> int:
    """Return how often in a row one of ``handlers`` repeats the prompt on purpose, at most. ::

        assert repeats_of(pick) == 0

    A handler has it as its attribute ``repeats``, such as `handlers.account.Account` with its
    attempts; 0 without one.
    """
    found = (getattr(handler, "repeats", 0) for handler in handlers)
    return max((one for one in found if type(one) is int), default=0)


class NamedAction(Protocol):
    """An action, or what is known of one in another process."""

    @property
    def ivr(self) -> str: ...

    @property
    def pbx(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def sensitive(self) -> bool: ...


def sensitive_names(actions: Iterable[NamedAction], pbx: str, ivr: str) -> frozenset[str]:
    """Return the names of the sensitive actions of an IVR of the PBX with a label."""
    return frozenset(
        one.name for one in actions if one.sensitive and (one.pbx, one.ivr) == (pbx, ivr)
    )


def part_path(path: str, part: int) -> str:
    """Return the path of one part of an action: from the second on with ``/2`` and so on."""
    return path if part == 1 else f"{path}/{part}"


class Target(NamedTuple):
    """The parts of a path; the action need not exist.

    Attributes:
        whole: the path of the action.
        identity: of that action.
        pbx: the label in it.
        part: which part of the action's mask.
    """

    whole: str
    identity: str
    pbx: str
    part: int


def split_path(path: str) -> Target | None:
    """Split ``path``; return None if no action can have it.

    A part that a smaller mask no longer needs is still one: the PBX may ask for it until ``apply``.
    """
    found = _PATH.fullmatch(path)
    if found is None or not path.isprintable():
        return None
    return Target(found[1], found[2], found[3] or "", int(found[4] or 1))


def check_neighbours(action: Action, others: Iterable[Action]) -> None:
    """Check that no other action of the same IVR has the name or an input of ``action``.

    Raises:
        DeclarationError: two have one name, a former name included, or both would match a number,
            which the text has as a counter-example.
    """
    for other in others:
        if (other.pbx, other.ivr) != (action.pbx, action.ivr):
            continue
        if other.name.lower() == action.name.lower():
            raise DeclarationError(
                f"IVR {action.ivr} has an action named {other.name!r} already ({other.where}): "
                "give one of them another name=",
                action.where,
            )
        if problem := _clash_of_former(action, other) or _clash_of_former(other, action):
            raise DeclarationError(problem, action.where)
        if other.kind != action.kind or not (other.enabled and action.enabled):
            continue
        if (number := action.mask.overlap(other.mask)) is not None:
            cure = "make them disjoint"
            if ANY_CALLER in (action.mask, other.mask):
                cure += ', or compare call.caller in the handler of "any"'
            raise DeclarationError(
                f"the masks of {action.name!r} and {other.name!r} ({other.where}) on IVR "
                f'{action.ivr} both match "{number}": {cure}',
                action.where,
            )


def _clash_of_former(one: Action, other: Action) -> str:
    """Return why ``one`` cannot have its former name beside ``other``; empty if it can."""
    was = one.was.lower()
    if was and was == other.name.lower():
        return (
            f"was={one.was!r} of {one.name!r} on IVR {one.ivr} names an action that is declared "
            f"({other.where}): remove was=, or rename that action"
        )
    if was and was == other.was.lower():
        return (
            f"{one.name!r} and {other.name!r} ({other.where}) on IVR {one.ivr} both have "
            f"was={one.was!r}: only one action can be the renamed one"
        )
    return ""
