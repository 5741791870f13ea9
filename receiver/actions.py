"""What to route here and to register there: one declaration for both.

Rule 1: the data is the table of `Action` values, which `receiver.ivrs` adds to.
Rule 2: no two enabled actions of one kind on one IVR share an input: which of them the PBX would
        ask is not documented.
Rule 3: an IVR is one of one PBX: the same number on two PBXs is two IVRs.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple
from urllib.parse import quote

from receiver import limits
from receiver.auth import Algorithm, Auth
from receiver.calls import Call
from receiver.errors import DeclarationError
from receiver.functions.manners import Manner, manner_of
from receiver.ladders import Fallback
from receiver.masks import Mask
from receiver.replies import Reply
from receiver.secrets import Secret

Kind = Literal["DTMF", "CALLER"]
"""When the PBX asks: after the caller keyed digits, or because of the caller's number."""

Method = Literal["GET", "POST"]

Late = Literal["cancel", "hand-over"]
"""What becomes of a handler that is late."""

Handler = Callable[[Call], Awaitable[Reply]] | Callable[[Call], Reply]
"""One typed `Call` in, one `Reply` out; plain functions run in threads of their own."""

_PATH = re.compile(
    r"(/action/((?:([a-z][a-z0-9]{0,15})/)?[0-9]{3,64}/[^/\\?#%]{1,64}))(?:/([2-9]|[1-9][0-9]))?"
)


@dataclass(frozen=True, slots=True)
class Action:
    """One row of the table: an action URL of one IVR and the function that answers it.

    Made by `receiver.ivrs.Ivr`, where the parameters are explained.

    Attributes:
        manner: in which the handler is asked, see `receiver.functions.manners`.
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
    secret_header: str = ""
    fallback: Fallback | None = None
    ivr_fallback: Fallback | None = None
    late: Late = "cancel"
    at_once: int = 0
    repeats: int = 3
    sensitive: bool = False
    enabled: bool = True
    where: str = field(default="", compare=False)
    pbx: str = ""
    manner: Manner = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "manner", manner_of(self.handler))

    @property
    def identity(self) -> str:
        """What credentials are bound to and registration goes by: PBX, IVR and name."""
        whole = f"{self.ivr}/{self.name}"
        return f"{self.pbx}/{whole}" if self.pbx else whole

    @property
    def path(self) -> str:
        """The path on this service, decoded.

        The PBX's API shows a pattern for URLs that wants six lower-case letters or digits in a
        row; "action" supplies them, should a PBX enforce it.
        """
        return f"/action/{self.identity}"

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
        """The action URL for a service that is reached at ``base`` (without a slash at its end).

        Parameters:
            base: as in ``https://ivr.example.com``.
            part: which of `parts`; from the second on it stands at the end of the path.

        Raises:
            DeclarationError: it is longer than the 128 characters that the PBX takes.
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
        """The headers that the PBX shall send, with ``key`` in the one that holds a secret."""
        secret = {self.secret_header: key.reveal()} if self.secret_header else {}
        return {**self.headers, **secret}


def is_sensitive(*handlers: object) -> bool:
    """Whether one of them says of itself that its calls are: by an attribute ``sensitive``."""
    return any(getattr(handler, "sensitive", False) is True for handler in handlers)


def part_path(path: str, part: int) -> str:
    """The path of one part of an action: its own, from the second part on with ``/2`` and so on."""
    return path if part == 1 else f"{path}/{part}"


class Target(NamedTuple):
    """What a path stands for, whether there is such an action or not.

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
    """What ``path`` stands for; None if no action can have it.

    A part that a smaller mask no longer needs is still one: the PBX may ask for it until ``apply``.
    """
    found = _PATH.fullmatch(path)
    if found is None or not path.isprintable():
        return None
    return Target(found[1], found[2], found[3] or "", int(found[4] or 1))


def check_neighbours(action: Action, others: Iterable[Action]) -> None:
    """Refuse an action whose name or inputs one of ``others`` on the same IVR has already.

    Raises:
        DeclarationError: with a number that both would match, as a counter-example.
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
        if other.kind != action.kind or not (other.enabled and action.enabled):
            continue
        if (number := action.mask.overlap(other.mask)) is not None:
            raise DeclarationError(
                f"the masks of {action.name!r} and {other.name!r} ({other.where}) on IVR "
                f'{action.ivr} both match "{number}": make them disjoint',
                action.where,
            )
