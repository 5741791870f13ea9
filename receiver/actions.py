"""What to route here and to register there: one declaration for both.

Rule 1: the data is the table of `Action` values; the decorators only add to it and hand the
        function back untouched.
Rule 2: what the PBX would refuse is refused at import, with the file and line.
Rule 3: no two enabled actions of one kind on one IVR share an input: which of them the PBX would
        ask is not documented.
Rule 4: an IVR is one of one PBX: the same number on two PBXs is two IVRs.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypedDict, TypeVar, Unpack, get_args
from urllib.parse import quote

from receiver import limits, receptionists
from receiver.auth import Auth
from receiver.calls import Call
from receiver.errors import DeclarationError, MaskError
from receiver.masks import Mask
from receiver.replies import Reply

Kind = Literal["DTMF", "CALLER"]
"""When the PBX asks: after the caller keyed digits, or because of the caller's number."""

Method = Literal["GET", "POST"]

Handler = Callable[[Call], Awaitable[Reply]] | Callable[[Call], Reply]
"""One typed `Call` in, one `Reply` out; plain functions run in threads of their own."""

H = TypeVar("H", bound=Handler)

_PART = re.compile(r"(/action/(?:[a-z][a-z0-9]*/)?[0-9]+/[^/]+)/([2-9]|[1-9][0-9])")
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Action:
    """One row of the table: an action URL of one IVR and the function that answers it.

    Made by `Ivr.add`, `Ivr.dtmf` and `Ivr.caller`, where the parameters are explained.
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
    fallback: Reply | None = None
    enabled: bool = True
    where: str = field(default="", compare=False)
    pbx: str = ""

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

    @property
    def header_text(self) -> str:
        """The headers as the PBX's API takes them: ``key1:value1&key2:value2``."""
        return "&".join(f"{key}:{value}" for key, value in self.headers.items())


class Options(TypedDict, total=False):
    """What a declaration may say on top of its mask.

    Keys:
        name: 1 to 64 characters, the identity on the PBX; by default the function's name.
        method: ``"POST"`` (the default), or ``"GET"``, which puts what the caller keyed in into
            URLs.
        auth: ``"bearer"`` (the default), ``"basic"``, ``"digest"``, or None for no authentication.
        request_timeout: seconds that the PBX waits for the answer, 1 to 30, by default 2.
        connection_timeout: seconds that the PBX waits for a connection, 1 to 30, by default 2.
        headers: further headers that the PBX shall send.
        fallback: the answer if the handler is late, raises or returns nonsense.
        enabled: False keeps the action URL on the PBX but switched off.
    """

    name: str
    method: Method
    auth: Auth | None
    request_timeout: int
    connection_timeout: int
    headers: Mapping[str, str]
    fallback: Reply | None
    enabled: bool


class Ivr:
    """A virtual receptionist of the PBX, by its extension number, and the actions declared on it.

    Parameters:
        number: the extension number, 3 to 64 digits.
        pbx: which PBX it is on, where one app serves several (or several tenants): a label of up
            to 16 lower-case letters and digits, such as ``"north"``. By default the only one.
        options: see `receiver.receptionists.Options`. With them it declares the receptionist
            itself, which ``apply`` then creates or updates; without, it is only looked up.

    Attributes:
        receptionist: what is declared of it; None if nothing is.

    Raises:
        DeclarationError: the number or the label is none, or the PBX would not take an option.
    """

    def __init__(
        self, number: str, *, pbx: str = "", **options: Unpack[receptionists.Options]
    ) -> None:
        if not isinstance(number, str) or not limits.EXTENSION.fullmatch(number):
            raise DeclarationError(
                f'an Ivr has an extension number of 3 to 64 digits, as in Ivr("8000"): {number!r}',
                _where(),
            )
        if problem := limits.problem_of_label(pbx):
            raise DeclarationError(problem, _where())
        self.number = number
        self.pbx = pbx
        self.receptionist = receptionists.declare(number, options, _where())
        self._actions: dict[str, Action] = {}

    def __repr__(self) -> str:
        return f"Ivr({self.number!r}, pbx={self.pbx!r})" if self.pbx else f"Ivr({self.number!r})"

    def __iter__(self) -> Iterator[Action]:
        return iter(self._actions.values())

    def dtmf(self, mask: str, **options: Unpack[Options]) -> Callable[[H], H]:
        """Have the decorated function asked when the caller keys in what ``mask`` matches.

        Parameters and errors as for `add`.
        """
        _mask(mask)  # now: a decorator without its parentheses would declare nothing
        return lambda handler: self._decorate("DTMF", mask, handler, options)

    def caller(self, mask: str, **options: Unpack[Options]) -> Callable[[H], H]:
        """Have the decorated function asked when ``mask`` matches the caller's number.

        Parameters and errors as for `add`.
        """
        _mask(mask)
        return lambda handler: self._decorate("CALLER", mask, handler, options)

    def add(self, kind: Kind, mask: str, handler: Handler, **options: Unpack[Options]) -> Action:
        """Declare an action; the decorators do no more than call this.

        Parameters:
            kind: ``"DTMF"`` or ``"CALLER"``.
            mask: the match list, see `receiver.masks`.
            handler: a function of one `Call` that returns a `Reply`, async or plain.
            options: see `Options`.

        Raises:
            DeclarationError: the PBX would not take it, or it clashes with another action of this
                IVR. The text begins with the file and line.
        """
        if unknown := options.keys() - Options.__annotations__.keys():
            known = ", ".join(Options.__annotations__)
            raise DeclarationError(
                f"{min(unknown)}= is no option of an action: there are {known}", _where()
            )
        if "name" not in options:
            options["name"] = _default_name(handler)
        of = {"pbx": self.pbx, "ivr": self.number, "where": _where()}
        action = Action(kind=kind, mask=_mask(mask), handler=handler, **of, **options)
        _check(action)
        check_neighbours(action, self)
        self._actions[action.name] = action
        return action

    def _decorate(self, kind: Kind, mask: str, handler: H, options: Options) -> H:
        self.add(kind, mask, handler, **options)
        return handler


def part_path(path: str, part: int) -> str:
    """The path of one part of an action: its own, from the second part on with ``/2`` and so on."""
    return path if part == 1 else f"{path}/{part}"


def split_path(path: str) -> tuple[str, int]:
    """The path of the action that ``path`` is a part of, and which part that is.

    A part that a smaller mask no longer needs is still one: the PBX may ask for it until ``apply``.
    """
    found = _PART.fullmatch(path)
    return (found[1], int(found[2])) if found else (path, 1)


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


def _check(action: Action) -> None:
    fallback, enabled = action.fallback, action.enabled
    for problem in (
        limits.problem_of_name(action.name),
        limits.problem_of_choice("kind", action.kind, get_args(Kind)),
        limits.problem_of_choice("method", action.method, get_args(Method)),
        limits.problem_of_choice("auth", action.auth, (*get_args(Auth), None)),
        limits.problem_of_timeout("request_timeout", action.request_timeout),
        limits.problem_of_timeout("connection_timeout", action.connection_timeout),
        limits.problem_of_mask(action.kind, action.name, action.mask),
        limits.problem_of_headers(action.headers, action.auth),
        limits.problem_of_handler(action.handler),
        "" if isinstance(enabled, bool) else f"enabled={enabled!r} is neither True nor False",
        ""
        if fallback is None or isinstance(fallback, Reply)
        else 'fallback must be a reply such as Forward("0"), Hangup() or Repeat()',
    ):
        if problem:
            raise DeclarationError(problem, action.where)
    action.url("http://x", len(action.parts))  # the shortest base there is


def _default_name(handler: object) -> str:
    name = getattr(handler, "__name__", "")
    if name.isidentifier():
        return str(name)
    raise DeclarationError("this handler has no name of its own: pass name=", _where())


def _mask(text: str) -> Mask:
    try:
        return Mask.parse(text)
    except MaskError as error:
        raise MaskError(error.problem, _where()) from None


def _where() -> str:
    """``file:line`` of the code outside this package that is running now."""
    frame = sys._getframe(1)
    while frame.f_back and _HERE in Path(frame.f_code.co_filename).parents:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
