"""The context of a call: its remaining time, its session, and its background jobs.

Rule: a `Call` constructed by a test of a handler has a context too: unlimited time, a session in
memory, and a list of the jobs that were queued.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Generator, MutableMapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Never, ParamSpec, Protocol

from receiver.execution.current_time import current_time
from receiver.phone_numbers.numbers import NumberFormat

if TYPE_CHECKING:
    from datetime import datetime, tzinfo

P = ParamSpec("P")


class After(Protocol):
    """``call.after``: queue background jobs. ::

        call.after(write_to_crm, call.caller)  # after the answer, in this process

    Any thread may use it.
    """

    def __call__(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Call ``function`` with these arguments once the reply was sent.

        It may be async or plain; a failure is retried a few times and then logged. Shutdown waits
        for the job; a kill of the process loses it.

        Raises:
            TypeError: ``function`` is not callable.
        """
        ...

    def durably(
        self,
        function: Callable[..., object],
        *args: object,
        idempotency_key: str = "",
        **kwargs: object,
    ) -> Acceptance:
        """Call ``function`` at least once, even if this process is killed.

        ::

            await call.after.durably(bill, 3, idempotency_key=call.session_id)  # in an async def
            call.after.durably(bill, 3, idempotency_key=call.session_id)        # in a plain def

        Parameters:
            function: async or plain, at the top of a module.
            args, kwargs: values that JSON can represent.
            idempotency_key: identifies the job; a second job with the same key is not run. Random
                if empty.

        Returns:
            Whether it was accepted, see `Acceptance`; False marks a duplicate.

        Raises:
            Unavailable: the queue did not accept it.
            TypeError, ValueError: the function or its arguments cannot be stored.
        """
        ...


class Acceptance:
    """Whether a durable job was accepted; returned by ``call.after.durably``. ::

        accepted = await call.after.durably(bill, call.digits, idempotency_key=call.session_id)

    In a plain ``def`` handler the job is stored when the call returns, and this is true or false.
    In an ``async def`` it is to be awaited, which waits until the job is stored: without ``await``
    the job is stored meanwhile, and an error is only logged.

    Parameters:
        accepted: the result, or what gives it.
    """

    __slots__ = ("_accepted", "is_awaited")

    def __init__(self, accepted: bool | Awaitable[bool]) -> None:
        self._accepted = accepted
        self.is_awaited = False

    def __await__(self) -> Generator[Any, None, bool]:
        self.is_awaited = True
        if isinstance(self._accepted, bool):
            return self._accepted
        return (yield from self._accepted.__await__())

    def __bool__(self) -> bool:
        """Return the result.

        Raises:
            RuntimeError: it is not known in an ``async def`` without ``await``.
        """
        if isinstance(self._accepted, bool):
            return self._accepted
        raise RuntimeError("in an async def write: await call.after.durably(…)")

    def __repr__(self) -> str:
        return f"Acceptance({self._accepted if isinstance(self._accepted, bool) else '…'})"


class SessionContext(Protocol):
    """The session of a call: ``async with`` in an ``async def``, ``with`` in a plain ``def``."""

    async def __aenter__(self) -> MutableMapping[str, Any]: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None: ...

    def __enter__(self) -> MutableMapping[str, Any]: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: object
    ) -> None: ...


class Context(Protocol):
    """The service behind a call."""

    @property
    def number_format(self) -> NumberFormat:
        """The format in which the PBX writes callers' numbers."""
        ...

    def remaining(self) -> float:
        """Return the seconds until the reply must be ready."""
        ...

    def now(self, zone: tzinfo | str | None = None) -> datetime:
        """Return the date and time, see `receiver.execution.current_time`."""
        ...

    def session(self) -> SessionContext:
        """Return the session of the call."""
        ...

    @property
    def after(self) -> After:
        """The background jobs of the call."""
        ...

    def release(self) -> None:
        """Start the background jobs: the reply was sent."""
        ...


@dataclass(slots=True)
class Deadline:
    """The time by which a reply must be ready; extended by the next callback."""

    due: float


class RecordedJob(NamedTuple):
    """A background job that was queued.

    Attributes:
        durably: whether it survives the end of the process.
    """

    function: Callable[..., object]
    args: tuple[object, ...]
    kwargs: dict[str, object]
    durably: bool = False


class RecordedJobs(list[RecordedJob]):
    """The jobs that a call without a PBX queued; they are not run."""

    def __call__(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        self.append(RecordedJob(function, args, kwargs))

    def durably(
        self,
        function: Callable[..., object],
        *args: object,
        idempotency_key: str = "",
        **kwargs: object,
    ) -> Acceptance:
        self.append(RecordedJob(function, args, kwargs, durably=True))
        return Acceptance(True)


_MADE_LATE: dict[str, Callable[[], Any]] = {"after": RecordedJobs, "remembered": dict}


class Detached:
    """The context of a call without a PBX.

    Attributes:
        remembered: the content of its session.
        after: the jobs that were queued.
        number_format: how the caller's number is written.
    """

    __slots__ = ("after", "number_format", "remembered")
    after: RecordedJobs
    remembered: dict[str, Any]
    number_format: NumberFormat

    def __init__(self, number_format: NumberFormat = "automatic") -> None:
        self.number_format = number_format

    def __getattr__(self, name: str) -> Any:
        """Create an attribute that most calls never use."""
        if name not in _MADE_LATE:
            raise AttributeError(name)
        value = _MADE_LATE[name]()
        setattr(self, name, value)
        return value

    def remaining(self) -> float:
        return math.inf

    def now(self, zone: tzinfo | str | None = None) -> datetime:
        return current_time(None, "", zone)

    def release(self) -> None:
        """Do nothing: the jobs are not run."""

    def session(self) -> SessionContext:
        return _Draft(self)


class Unopened:
    """A session before its ``with``: its use as a mapping raises an error with the cure."""

    __slots__ = ()

    def __getitem__(self, key: object) -> Never:
        raise TypeError(
            "open the session first: async with call.session() as session, in a plain def "
            "with call.session() as session"
        )

    def __setitem__(self, key: object, value: object) -> Never:
        raise self.__getitem__(key)

    def __contains__(self, key: object) -> Never:
        raise self.__getitem__(key)

    def get(self, key: object, default: object = None) -> Never:
        """Raise the error of any use."""
        raise self.__getitem__(key)


class _Draft(Unopened):
    """A session in memory; see `SessionContext`."""

    def __init__(self, owner: Detached) -> None:
        self._owner = owner
        self._values = dict[str, Any]()

    def __enter__(self) -> MutableMapping[str, Any]:
        self._values = dict(self._owner.remembered)
        return self._values

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self._owner.remembered = self._values

    async def __aenter__(self) -> MutableMapping[str, Any]:
        return self.__enter__()

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self.__exit__(kind, error, trace)


class _Unbacked(Detached):
    """The context of calls that have none yet: it is shared, so it stores nothing."""

    __slots__ = ()

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "number_format":
            super().__setattr__(name, value)


UNBACKED = _Unbacked()
"""The context of a call that was parsed a moment ago; the dispatcher replaces it."""
