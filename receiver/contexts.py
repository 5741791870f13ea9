"""What a call can do besides being told: know its time, remember, and have work done afterwards.

Rule: a `Call` made by hand, as a test of a handler makes it, has all of this too: all the time in
the world, a memory of its own, and a list of what was to be done after the answer.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable, MutableMapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple, ParamSpec, Protocol

P = ParamSpec("P")


class After(Protocol):
    """``call.after``: what shall be done after the answer. Any thread may use it."""

    def __call__(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        """Have ``function`` called with these arguments once the answer is on its way.

        It may be async or plain; a failure is tried again a few times and then logged. It ends with
        the process: shutdown waits for it, a kill loses it.

        Raises:
            TypeError: that is no function.
        """
        ...

    async def durably(
        self,
        function: Callable[..., object],
        *args: object,
        idempotency_key: str = "",
        **kwargs: object,
    ) -> bool:
        """Have ``function`` called at least once, even if this process is killed.

        Parameters:
            function: async or plain, at the top of a module.
            args, kwargs: made of what JSON can hold.
            idempotency_key: what makes this piece of work the one that it is; work with a key that
                is taken is not done again. Made at random if empty.

        Returns:
            Whether it was accepted; False marks a duplicate.

        Raises:
            Unavailable: it was not accepted.
            TypeError, ValueError: no such function or arguments can be kept.
        """
        ...

    def durably_from_thread(
        self,
        function: Callable[..., object],
        *args: object,
        idempotency_key: str = "",
        **kwargs: object,
    ) -> bool:
        """`durably` for plain handlers, which run in a thread."""
        ...


class Context(Protocol):
    """What stands behind a call."""

    def remaining(self) -> float:
        """Seconds until the answer must be ready."""
        ...

    def session(self) -> AbstractAsyncContextManager[MutableMapping[str, Any]]:
        """What all callbacks of the call remember."""
        ...

    @property
    def after(self) -> After:
        """What shall be done after the answer."""
        ...

    def release(self) -> None:
        """The answer is on its way: begin with it."""
        ...


@dataclass(slots=True)
class Deadline:
    """When an answer must be ready, in the loop's time; later once its call asks again."""

    due: float


class Done(NamedTuple):
    """A piece of work that was asked for.

    Attributes:
        durably: whether it has to survive the end of the process.
    """

    function: Callable[..., object]
    args: tuple[object, ...]
    kwargs: dict[str, object]
    durably: bool = False


class Noted(list[Done]):
    """The works that a call made by hand asked for; nobody does them."""

    def __call__(self, function: Callable[P, object], *args: P.args, **kwargs: P.kwargs) -> None:
        self.append(Done(function, args, kwargs))

    async def durably(
        self,
        function: Callable[..., object],
        *args: object,
        idempotency_key: str = "",
        **kwargs: object,
    ) -> bool:
        self.append(Done(function, args, kwargs, durably=True))
        return True

    def durably_from_thread(
        self,
        function: Callable[..., object],
        *args: object,
        idempotency_key: str = "",
        **kwargs: object,
    ) -> bool:
        self.append(Done(function, args, kwargs, durably=True))
        return True


@dataclass(slots=True)
class Detached:
    """The context of a call that no PBX waits for.

    Attributes:
        remembered: what its session holds.
        after: what was asked to be done after the answer.
    """

    remembered: dict[str, Any] = field(default_factory=dict)
    after: Noted = field(default_factory=Noted)

    def remaining(self) -> float:
        return math.inf

    def release(self) -> None:
        """Nobody does it."""

    @asynccontextmanager
    async def session(self) -> AsyncIterator[MutableMapping[str, Any]]:
        draft = dict(self.remembered)
        yield draft
        self.remembered = draft
