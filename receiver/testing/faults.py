"""What goes wrong on the calls of a test, and the gate that makes handlers late.

Rule 1: a handler that is late waits until it is not late any more; then it runs as it is written.
        So a test needs no time of its own, and sees what was handed over to the call's next turn.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from dataclasses import dataclass, replace
from typing import Any

from receiver.actions import Action, Handler
from receiver.functions.manners import is_async
from receiver.ivrs import Ivr
from receiver.simulator.trouble import Trouble


@dataclass(frozen=True, slots=True)
class Faults(Trouble):
    """What is wrong; nothing, if nothing is said.

    Attributes:
        late: the handlers do not answer in time.
        slow, dropped, refused, wrong_password: see `receiver.simulator.trouble.Trouble`.
    """

    late: bool = False


class Gate:
    """Handlers pass through it; while it is shut they wait."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open_to_threads = threading.Event()
        self.open()

    def open(self) -> None:
        """Let those go on that wait, and all others."""
        self._open.set()
        self._open_to_threads.set()

    def shut(self) -> None:
        """Have every handler wait that is asked from now on."""
        self._open.clear()
        self._open_to_threads.clear()

    def behind(self, ivr: Ivr) -> Ivr:
        """The same IVR with the gate before its handlers."""
        return _Gated(ivr, self)

    def guard(self, handler: Any) -> Handler:
        """``handler`` behind the gate: as async, or as plain, as before."""

        async def asynchronous(call: Any) -> Any:
            await self._open.wait()
            return await handler(call)

        def plain(call: Any) -> Any:
            self._open_to_threads.wait()
            return handler(call)

        return functools.update_wrapper(asynchronous if is_async(handler) else plain, handler)


class _Gated(Ivr):
    """A copy of an IVR; what it declares was checked when the original was made."""

    def __init__(self, ivr: Ivr, gate: Gate) -> None:
        super().__init__(ivr.number, pbx=ivr.pbx, fallback=ivr.fallback)
        self.receptionist = ivr.receptionist
        self._actions: dict[str, Action] = {
            action.name: replace(action, handler=gate.guard(action.handler)) for action in ivr
        }
