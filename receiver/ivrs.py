"""Declares actions on an IVR: by decorator, or by `Ivr.add`, which the decorators call.

Rule 1: a decorator hands the function back untouched.
Rule 2: what the PBX would refuse is refused at import, with the file and line.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TypedDict, TypeVar, Unpack, get_args

from receiver import limits, receptionists
from receiver.actions import Action, Handler, Kind, Late, Method, check_neighbours, is_sensitive
from receiver.auth import Algorithm, Auth
from receiver.errors import DeclarationError, MaskError
from receiver.ladders import Fallback, problem_of_fallback
from receiver.masks import Mask

H = TypeVar("H", bound=Handler)

_HERE = Path(__file__).parent
_said: ContextVar[str] = ContextVar("said", default="")


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
        secret_header: the name of a header in which the PBX shall send a secret, derived like the
            credentials, that every callback must have on top of them.
        algorithms: of digest, in the order in which they are offered: ``("MD5",)`` (the default),
            ``("SHA-256",)``, which 9 of 23 measured clients do not know, or ``("MD5", "SHA-256")``.
        fallback: the answer if the handler is late, raises or returns nonsense: a reply, or a plain
            function of the call that gives one at once.
        late: ``"cancel"`` (the default) ends a handler that is late. With ``"hand-over"`` it goes
            on, the caller hears the prompt again, and its answer is given when the call asks again.
        at_once: how many calls may be with the handler at the same time; what comes on top gets the
            fallback at once. By default any number.
        repeats: how often in a row a call may be told to repeat before it gets the fallback, by
            default 3.
        sensitive: True never shows digits and numbers in a log, whatever the settings say; by
            default if the handler has an attribute of this name that is True.
        enabled: False keeps the action URL on the PBX but switched off.
    """

    name: str
    method: Method
    auth: Auth | None
    request_timeout: int
    connection_timeout: int
    headers: Mapping[str, str]
    secret_header: str
    algorithms: tuple[Algorithm, ...]
    fallback: Fallback | None
    late: Late
    at_once: int
    repeats: int
    sensitive: bool
    enabled: bool


class Ivr:
    """A virtual receptionist of the PBX, by its extension number, and the actions declared on it.

    Parameters:
        number: the extension number, 3 to 64 digits.
        pbx: which PBX it is on, where one app serves several (or several tenants): a label of up
            to 16 lower-case letters and digits, such as ``"north"``. By default the only one.
        fallback: the answer of its actions that have none of their own, as for an action.
        options: see `receiver.receptionists.Options`. With them it declares the receptionist
            itself, which ``apply`` then creates or updates; without, it is only looked up.

    Attributes:
        receptionist: what is declared of it; None if nothing is.

    Raises:
        DeclarationError: the number or the label is none, or the PBX would not take an option.
    """

    def __init__(
        self,
        number: str,
        *,
        pbx: str = "",
        fallback: Fallback | None = None,
        **options: Unpack[receptionists.Options],
    ) -> None:
        if not isinstance(number, str) or not limits.EXTENSION.fullmatch(number):
            raise DeclarationError(
                f'an Ivr has an extension number of 3 to 64 digits, as in Ivr("8000"): {number!r}',
                _where(),
            )
        if problem := limits.problem_of_label(pbx):
            raise DeclarationError(problem, _where())
        if fallback is not None and (problem := problem_of_fallback(fallback)):
            raise DeclarationError(problem, _where())
        self.number = number
        self.pbx = pbx
        self.fallback = fallback
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
        options.setdefault("sensitive", is_sensitive(handler))
        action = Action(
            ivr=self.number,
            pbx=self.pbx,
            kind=kind,
            mask=_mask(mask),
            handler=handler,
            ivr_fallback=self.fallback,
            where=_where(),
            **options,
        )
        _check(action)
        check_neighbours(action, self)
        self._actions[action.name] = action
        return action

    def _decorate(self, kind: Kind, mask: str, handler: H, options: Options) -> H:
        self.add(kind, mask, handler, **options)
        return handler


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
        limits.problem_of_secret_header(action.secret_header, action.headers),
        limits.problem_of_algorithms(action.algorithms, action.auth),
        limits.problem_of_handler(action.handler),
        "" if isinstance(enabled, bool) else f"enabled={enabled!r} is neither True nor False",
        "" if fallback is None else problem_of_fallback(fallback),
        limits.problem_of_choice("late", action.late, get_args(Late)),
        limits.problem_of_count("at_once", action.at_once, range(10_000)),
        limits.problem_of_count("repeats", action.repeats, range(1, 100)),
        "" if isinstance(action.sensitive, bool) else f"sensitive={action.sensitive!r} is no bool",
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


@contextmanager
def declared_at(where: str) -> Iterator[None]:
    """Have what is declared meanwhile stand at ``where``, a ``file:line`` that is no code."""
    token = _said.set(where)
    try:
        yield
    finally:
        _said.reset(token)


def _where() -> str:
    """``file:line`` of the code outside this package that is running now."""
    if said := _said.get():
        return said
    frame = sys._getframe(1)
    while frame.f_back and _HERE in Path(frame.f_code.co_filename).parents:
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"
