"""The line of ``receiver dev``: callbacks wait for the service, and reach nobody else."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from receiver.dev.views import identity_of
from receiver.simulator.flow import Ask
from receiver.simulator.line import Line
from receiver.simulator.model import Pbx
from receiver.simulator.trace import Outcome, Step

_FOREIGN = Outcome(
    "failed", "it belongs to another service, which receiver dev does not ask; a real PBX would"
)


class HeldLine(Line):
    """A line into ``pbx``.

    Parameters:
        base: where the developer's service is.
        hold: waits until it may be asked, for the call with this session.
        options: those of `Line`.
    """

    def __init__(
        self, pbx: Pbx, base: str, hold: Callable[[str], Awaitable[None]], **options: Any
    ) -> None:
        super().__init__(pbx, **options)
        self._base = base
        self._hold = hold

    async def _ask(self, ask: Ask) -> Step:
        action = ask.action
        if identity_of(action.url, self._base) is not None:
            await self._hold(ask.call.session_id)
            return await super()._ask(ask)
        waits = float(action.request_timeout or 2)
        digits = ask.call.digits
        return Step(ask.trigger, ask.kind, digits, action.name, (), _FOREIGN, 0.0, waits)
