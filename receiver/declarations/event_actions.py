"""Declare handlers for the events of calls, and the URL that the PBX reports them to.

Rule 1: a tenant of the PBX has one event URL, so there is one `EventEndpoint` for each PBX: where a
        handler or a receiver to forward to is declared, and only there.
Rule 2: a decorator returns the function unchanged; `Events.add` does the work.
Rule 3: the name of a handler identifies its jobs in the durable queue, so it is that of the
        function in its module, or declared.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar, get_args
from urllib.parse import urlsplit

from receiver.auth import Algorithm, Auth
from receiver.declarations import limits
from receiver.declarations.actions import is_sensitive
from receiver.declarations.call_events import EVENT_KINDS, CallEvent, EventKind
from receiver.declarations.source_location import place_of_call
from receiver.errors import DeclarationError

EventHandler = Callable[[CallEvent], Awaitable[object]] | Callable[[CallEvent], object]
"""Takes one typed `CallEvent`; what it returns is not used. Plain functions run in threads."""

E = TypeVar("E", bound=EventHandler)

PATH = "/events"
"""The path of the event URL; it has the six lower-case letters that the vendor's pattern of a URL
requires. A label of a PBX follows after a slash."""


@dataclass(frozen=True, slots=True)
class EventAction:
    """One declared handler.

    Attributes:
        kind: of the events that it gets.
        handler: async or plain.
        name: see rule 3.
        pbx: the label of the only PBX whose events it gets; None for all.
        where: ``file:line`` of the declaration.
    """

    kind: EventKind
    handler: EventHandler
    name: str
    pbx: str | None = None
    where: str = field(default="", compare=False)

    @property
    def sensitive(self) -> bool:
        """Whether the log never has the text of its exceptions."""
        return is_sensitive(self.handler)


@dataclass(frozen=True, slots=True)
class EventEndpoint:
    """The event URL of one PBX.

    Attributes:
        pbx: its label; empty for the only one.
        auth: as for an action; None for no authentication.
        algorithms, uri_without_query: of digest, as for an action.
        forward_to: the URL that gets every event after this service has it; empty for none.
    """

    pbx: str = ""
    auth: Auth | None = "bearer"
    algorithms: tuple[Algorithm, ...] = ("MD5",)
    uri_without_query: bool = False
    forward_to: str = field(default="", repr=False)  # may hold a password
    where: str = field(default="", compare=False)

    @property
    def identity(self) -> str:
        """The text from which the credentials are derived; no action has such an identity."""
        return f"{self.pbx}/events" if self.pbx else "events"

    @property
    def path(self) -> str:
        """The path on this service."""
        return f"{PATH}/{self.pbx}" if self.pbx else PATH

    def url(self, base: str) -> str:
        """Return the event URL for a service at ``base`` (without a trailing slash).

        Raises:
            DeclarationError: it is longer than the 128 characters that the PBX accepts.
        """
        url = base + self.path
        if len(url) > limits.URL:
            raise DeclarationError(
                f"the event URL has {len(url)} characters, the PBX takes {limits.URL}: choose a "
                "shorter RECEIVER_PUBLIC_URL",
                self.where,
            )
        return url


@dataclass(frozen=True, slots=True)
class PbxEvents:
    """The declarations for the events of one PBX.

    Attributes:
        endpoint: its event URL.
        actions: the handlers.
        ivrs: the extension numbers of the app's IVRs on it.
    """

    endpoint: EventEndpoint
    actions: tuple[EventAction, ...]
    ivrs: Collection[str]


class Events:
    """Handlers for the events of calls; a module exports it as it does an `Ivr`.

    ::

        events = Events(auth="digest")

        @events.on("call_ended")
        async def log_call(event: CallEvent) -> None:
            print(event.session_id, event.talk_duration)

        app = Receiver(sales, events)

    Parameters:
        pbx: the label of the PBX that it is for, where one app serves several; None for all.
        auth: how the PBX authenticates: ``"bearer"`` (the default), ``"basic"``, ``"digest"``, or
            None for no authentication.
        algorithms: of digest, as for an action.
        uri_without_query: as for an action.
        forward_to: the URL of another receiver that gets every event, too: a tenant has one event
            URL. ``https://name:password@host/path`` is sent with basic credentials.

    Raises:
        DeclarationError: an option is wrong.
    """

    def __init__(
        self,
        *,
        pbx: str | None = None,
        auth: Auth | None = "bearer",
        algorithms: tuple[Algorithm, ...] = ("MD5",),
        uri_without_query: bool = False,
        forward_to: str = "",
    ) -> None:
        self.pbx = pbx
        self.endpoint = EventEndpoint(
            pbx or "", auth, algorithms, uri_without_query, forward_to, place_of_call()
        )
        for problem in (
            limits.problem_of_label(pbx) if pbx is not None else "",
            limits.problem_of_choice("auth", auth, (*get_args(Auth), None)),
            limits.problem_of_algorithms(algorithms, auth),
            limits.problem_of_uri(uri_without_query, auth),
            _problem_of_url(forward_to),
        ):
            if problem:
                raise DeclarationError(problem, self.endpoint.where)
        self._actions: list[EventAction] = []

    def __iter__(self) -> Iterator[EventAction]:
        """All handlers, in the order of their declaration."""
        return iter(self._actions)

    def on(self, kind: EventKind, *, name: str = "") -> Callable[[E], E]:
        """Declare the decorated function for the events of one kind.

        ::

            @events.on("call_missed")
            def call_back(event: CallEvent) -> None:
                print(event.session_id, "was missed")

        The function gets a `receiver.CallEvent`. It may be async, or a plain ``def``, which runs in
        a thread. It runs after the PBX has its acknowledgement, at least once; if it raises, it
        runs again later, as a durable background job does. The decorator returns it unchanged.

        Parameters:
            kind: such as ``"call_ended"``, see `receiver.declarations.call_events.EventKind`.
            name: identifies its jobs in the durable queue; by default the function's name.

        Raises:
            DeclarationError: as for `add`.
        """
        _check_kind(kind)  # now: a decorator without its parentheses would declare nothing
        return lambda handler: self._decorate(kind, handler, name)

    def add(self, kind: EventKind, handler: EventHandler, *, name: str = "") -> EventAction:
        """Declare a handler; the decorator does no more than call this. ::

            events.add("call_missed", FollowUp(), name="follow-up")

        Parameters:
            kind, name: as for `on`.
            handler: takes a `CallEvent`.

        Raises:
            DeclarationError: there is no such kind, the handler cannot be called, has no name, or
                has that of another for the same kind.
        """
        where = place_of_call()
        _check_kind(kind)
        if not callable(handler):
            raise DeclarationError(
                f"a handler of events is a function, not a {type(handler).__name__}", where
            )
        action = EventAction(kind, handler, name or _name_of(handler, where), self.pbx, where)
        _check_names([*self._actions, action])
        self._actions.append(action)
        return action

    def _decorate(self, kind: EventKind, handler: E, name: str) -> E:
        self.add(kind, handler, name=name)
        return handler


def event_actions(parts: Iterable[Events], pbx: str) -> tuple[EventAction, ...]:
    """Return the handlers for the events of one PBX.

    Raises:
        DeclarationError: two for one kind have the same name.
    """
    found = [one for part in parts for one in part if one.pbx in (None, pbx)]
    _check_names(found)
    return tuple(found)


def event_endpoint(parts: Iterable[Events], pbx: str) -> EventEndpoint | None:
    """Return the event URL of one PBX; None if nothing is declared for it.

    Raises:
        DeclarationError: two declare different options for it.
    """
    mine = [one for one in parts if one.pbx in (None, pbx)]
    if not any(list(one) or one.endpoint.forward_to for one in mine):
        return None
    default, found = EventEndpoint(), EventEndpoint()
    for part in mine:
        options = replace(part.endpoint, pbx="")
        if default not in (options, found) and options != found:
            raise DeclarationError(
                f"the event URL is declared with other options at {found.where}: a PBX has one "
                "event URL, so declare them once",
                options.where,
            )
        if found == default:
            found = options
    return replace(found, pbx=pbx)


def pbx_events(parts: Iterable[Events], pbx: str, ivrs: Collection[str]) -> PbxEvents | None:
    """Return what is declared for the events of one PBX; None if nothing is.

    Errors as for `event_actions` and `event_endpoint`; ``ivrs``: see `PbxEvents`.
    """
    parts = tuple(parts)
    actions, endpoint = event_actions(parts, pbx), event_endpoint(parts, pbx)
    return None if endpoint is None else PbxEvents(endpoint, actions, ivrs)


def _check_kind(kind: object) -> None:
    if problem := limits.problem_of_choice("the kind of event", kind, EVENT_KINDS):
        raise DeclarationError(problem, place_of_call())


def _check_names(actions: Iterable[EventAction]) -> None:
    seen: dict[tuple[str, str], EventAction] = {}
    for action in actions:
        other = seen.setdefault((action.kind, action.name), action)
        if other is not action:
            raise DeclarationError(
                f"{action.kind} has a handler named {action.name!r} already ({other.where}): give "
                "one of them another name=",
                action.where,
            )


def _name_of(handler: object, where: str) -> str:
    owner = handler if hasattr(handler, "__qualname__") else type(handler)
    if getattr(owner, "__name__", "").isidentifier():
        return f"{owner.__module__}:{owner.__qualname__}"
    raise DeclarationError("this handler has no name: pass name=", where)


def _problem_of_url(url: object) -> str:
    if url == "":
        return ""
    try:
        parts = urlsplit(url if isinstance(url, str) else "")
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    return "" if good else "forward_to= is a URL such as https://crm.example.com/events"
