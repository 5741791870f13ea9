"""Declare actions on an IVR: by decorator, or by `Ivr.add`, which the decorators call.

Rule 1: a decorator returns the function unchanged.
Rule 2: what the PBX would refuse is an error at import, with the file and line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar, Unpack, get_args

from receiver.auth import Auth
from receiver.calls import FinishKey, Kind
from receiver.declarations import desired_ivr, limits
from receiver.declarations.action_options import ActionOptions
from receiver.declarations.actions import (
    MAX_REPEATS,
    Action,
    Handler,
    Method,
    OnTimeout,
    check_neighbours,
    is_sensitive,
    repeats_of,
)
from receiver.declarations.fallbacks import Fallback, problem_of_fallback
from receiver.declarations.source_location import place_of_call
from receiver.errors import DeclarationError, MaskError
from receiver.masks import Mask, declared_mask
from receiver.pbx.checks import nearest

H = TypeVar("H", bound=Handler)


class Ivr:
    """A virtual receptionist of the PBX, by its extension number, and the actions declared on it.

    ::

        sales = Ivr("8000")                                       # it is on the PBX already
        support = Ivr("8001", name="Support", language="en-US")   # ``apply`` creates or updates it

    Parameters:
        number: the extension number, 3 to 64 digits.
        pbx: which PBX it is on, where one app serves several (or several tenants): a label of up
            to 16 lower-case letters and digits, such as ``"north"``. By default the only one.
        fallback: the fallback of its actions that declare none, as for an action.
        options: see `IvrOptions`. With them ``apply`` creates or
            updates the IVR; without, it is only looked up.

    Attributes:
        desired: the declared fields; None without options.

    Raises:
        DeclarationError: the number or the label is none, or the PBX would not take an option.
    """

    def __init__(
        self,
        number: str,
        *,
        pbx: str = "",
        fallback: Fallback | None = None,
        **options: Unpack[desired_ivr.IvrOptions],
    ) -> None:
        if not isinstance(number, str):
            kind = type(number).__name__
            raise DeclarationError(
                f'an Ivr takes its extension number as a string, as in Ivr("8000"), not {kind}',
                place_of_call(),
            )
        if not limits.EXTENSION.fullmatch(number):
            raise DeclarationError(
                f'an Ivr has an extension number of 3 to 64 digits, as in Ivr("8000"): {number!r}',
                place_of_call(),
            )
        if problem := limits.problem_of_label(pbx):
            raise DeclarationError(problem, place_of_call())
        if fallback is not None and (problem := problem_of_fallback(fallback)):
            raise DeclarationError(problem, place_of_call())
        self.number = number
        self.pbx = pbx
        self.fallback = fallback
        self.desired = desired_ivr.declare(number, options, place_of_call())
        self._actions: dict[str, Action] = {}

    def __repr__(self) -> str:
        return f"Ivr({self.number!r}, pbx={self.pbx!r})" if self.pbx else f"Ivr({self.number!r})"

    def __iter__(self) -> Iterator[Action]:
        return iter(self._actions.values())

    def dtmf(self, mask: str, **options: Unpack[ActionOptions]) -> Callable[[H], H]:
        """Declare the decorated function for key presses that ``mask`` matches.

        ::

            @ivr.dtmf("1;22;1000-1999", fallback=Forward("0"))
            async def pick(call: Call) -> Reply:
                return Forward("222") if call.digits == "22" else Repeat()

        The function gets a `receiver.Call` and returns `Forward`, `Hangup` or `Repeat`. It may be
        async, or a plain ``def``, which runs in a thread. The decorator returns it unchanged.

        Parameters:
            mask: what the caller keys in: numbers, ranges of equally long numbers, and patterns
                with a ``*`` for each digit, separated by ``;``; ``"ALL"`` alone for any keys (PBX
                22.6). Masks of one IVR do not overlap.
            options: all optional: ``name``, ``was`` (the former name), ``method``, ``auth``,
                ``request_timeout`` (seconds that the PBX waits, by default 2),
                ``connection_timeout``, ``headers``,
                ``secret_header``, ``algorithms``, ``uri_without_query``, ``fallback`` (the reply if
                the function is late or raises), ``on_timeout``, ``max_concurrency``,
                ``max_repeats``, ``finish_key``, ``sensitive``, ``enabled``. `ActionOptions` says
                what each means.

        Raises:
            DeclarationError: as for `add`.
        """
        _mask("DTMF", mask)  # now: a decorator without its parentheses would declare nothing
        return lambda handler: self._decorate("DTMF", mask, handler, options)

    def caller(self, mask: str, **options: Unpack[ActionOptions]) -> Callable[[H], H]:
        """Declare the decorated function for caller numbers that ``mask`` matches.

        It is called before the prompt. `Repeat` means: continue to the prompt. ::

            @ivr.caller("any")
            async def arrive(call: Call) -> Reply:
                return Forward("300") if call.caller == "+4930123456" else Repeat()

        Parameters:
            mask: callers' numbers, as the trunk writes them: ``"+49301234"``, ``"100-199"``, and
                ``"+49*********"`` with a ``*`` for each digit (PBX 22.2.19). ``"any"`` alone means
                all callers whose number is not withheld.
            options: as for `dtmf`.

        Raises:
            DeclarationError: as for `add`.
        """
        _mask("CALLER", mask)
        return lambda handler: self._decorate("CALLER", mask, handler, options)

    def add(
        self, kind: Kind, mask: str, handler: Handler, **options: Unpack[ActionOptions]
    ) -> Action:
        """Declare an action; the decorators do no more than call this.

        ::

            menu = Menu({"1": "222", "2": "333"})
            ivr.add("DTMF", menu.mask, menu, name="menu")

        Parameters:
            kind: ``"DTMF"`` or ``"CALLER"``.
            mask: the match list, see `receiver.masks`.
            handler: a function of one `Call` that returns a `Reply`, async or plain.
            options: see `ActionOptions`.

        Raises:
            DeclarationError: the PBX would not take it, or it clashes with another action of this
                IVR. The text begins with the file and line.
        """
        if unknown := options.keys() - ActionOptions.__annotations__.keys():
            hint = nearest(min(unknown), ActionOptions.__annotations__)
            raise DeclarationError(
                f"{min(unknown)}= is no option of an action: {hint}", place_of_call()
            )
        if "name" not in options:
            options["name"] = _default_name(handler)
        options.setdefault("sensitive", is_sensitive(handler))
        options.setdefault("max_repeats", max(MAX_REPEATS, repeats_of(handler)))
        action = Action(
            ivr=self.number,
            pbx=self.pbx,
            kind=kind,
            mask=_mask(kind, mask),
            handler=handler,
            ivr_fallback=self.fallback,
            where=place_of_call(),
            **options,
        )
        _check(action)
        check_neighbours(action, self)
        self._actions[action.name] = action
        return action

    def _decorate(self, kind: Kind, mask: str, handler: H, options: ActionOptions) -> H:
        self.add(kind, mask, handler, **options)
        return handler


def desired_ivrs(ivrs: Iterable[Ivr], pbx: str = "") -> tuple[desired_ivr.DesiredIvr, ...]:
    """Return what those of ``ivrs`` that are on one PBX declare of the IVR itself.

    Raises:
        DeclarationError: two of them are for one IVR and differ.
    """
    on_pbx = (ivr.desired for ivr in ivrs if ivr.pbx == pbx)
    return desired_ivr.check_together(desired for desired in on_pbx if desired)


def _check(action: Action) -> None:
    fallback, enabled = action.fallback, action.enabled
    for problem in (
        limits.problem_of_name(action.name),
        limits.problem_of_former_name(action.was, action.name),
        limits.problem_of_choice("kind", action.kind, get_args(Kind)),
        limits.problem_of_choice("method", action.method, get_args(Method)),
        limits.problem_of_choice("auth", action.auth, (*get_args(Auth), None)),
        limits.problem_of_count("request_timeout", action.request_timeout, limits.TIMEOUTS),
        limits.problem_of_count("connection_timeout", action.connection_timeout, limits.TIMEOUTS),
        limits.problem_of_mask(action.kind, action.name, action.mask),
        limits.problem_of_headers(action.headers, action.auth),
        limits.problem_of_secret_header(action.secret_header, action.headers),
        limits.problem_of_algorithms(action.algorithms, action.auth),
        limits.problem_of_uri(action.uri_without_query, action.auth),
        limits.problem_of_handler(action.handler),
        "" if isinstance(enabled, bool) else f"enabled={enabled!r} is neither True nor False",
        "" if fallback is None else problem_of_fallback(fallback),
        limits.problem_of_choice("on_timeout", action.on_timeout, get_args(OnTimeout)),
        limits.problem_of_count("max_concurrency", action.max_concurrency, range(10_000)),
        limits.problem_of_repeats(action.max_repeats, repeats_of(action.handler)),
        limits.problem_of_choice("finish_key", action.finish_key, get_args(FinishKey)),
        "" if isinstance(action.sensitive, bool) else f"sensitive={action.sensitive!r} is no bool",
    ):
        if problem:
            raise DeclarationError(problem, action.where)
    action.url("http://x", len(action.parts))  # the shortest base there is


def _default_name(handler: object) -> str:
    name = getattr(handler, "__name__", "")
    if name.isidentifier():
        return str(name)
    raise DeclarationError("this handler has no name: pass name=", place_of_call())


def _mask(kind: Kind, text: str) -> Mask:
    try:
        return declared_mask(kind, text)
    except MaskError as error:
        raise MaskError(error.problem, place_of_call()) from None
