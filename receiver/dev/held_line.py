"""The line of ``receiver dev``: callbacks wait for a reload; other services get none."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from receiver.dev.ivr_views import identity_of
from receiver.pbx.callback_request import CallbackFaults
from receiver.pbx.callback_trace import Outcome, Step
from receiver.simulator.events import PendingCallback
from receiver.simulator.line import Line
from receiver.simulator.model import Pbx

_OTHER_SERVICE = Outcome(
    "failed",
    "receiver dev sends no callback to another service; a real PBX would",
)


class HeldLine(Line):
    """A line into ``pbx``.

    Parameters:
        base: the URL of the developer's service.
        hold: waits for the end of a reload; called with the call's session.
        options: as of `Line`.
    """

    def __init__(
        self, pbx: Pbx, base: str, hold: Callable[[str], Awaitable[None]], **options: Any
    ) -> None:
        super().__init__(pbx, **options)
        self._base = base
        self._hold = hold

    async def _ask(self, ask: PendingCallback) -> Step:
        action = ask.action
        if identity_of(action.url, self._base) is not None:
            await self._hold(ask.call.session_id)
            return await super()._ask(ask)
        timeout = float(action.request_timeout or 2)
        of_call = ask.trigger, ask.kind, ask.call.digits
        hides = ask.sensitive
        return Step(*of_call, action.name, (), _OTHER_SERVICE, 0.0, timeout, sensitive=hides)


def callback_faults(faults: Mapping[str, Any]) -> CallbackFaults:
    """Return the faults of callbacks for those that are set on the page."""
    network = faults["network"]
    return CallbackFaults(
        dropped=network == "drop",
        refused=network == "refuse",
        wrong_password=faults["password"] == "wrong",  # noqa: S105 - not a password
    )
