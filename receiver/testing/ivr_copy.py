"""A copy of an IVR whose handlers are wrapped."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from receiver.declarations.actions import Action, Handler
from receiver.declarations.ivr import Ivr


class IvrCopy(Ivr):
    """Return a copy of ``ivr``, whose declarations were checked when the original was made.

    Parameters:
        ivr: the original.
        wrap: returns the function to call instead of a handler.
    """

    def __init__(self, ivr: Ivr, wrap: Callable[[Handler], Handler]) -> None:
        super().__init__(ivr.number, pbx=ivr.pbx, fallback=ivr.fallback)
        self.desired = ivr.desired
        self._actions: dict[str, Action] = {
            action.name: replace(action, handler=wrap(action.handler)) for action in ivr
        }
