"""The declarations of an app as data, which the child of ``receiver dev`` sends to its parent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from receiver.calls import Call
from receiver.declarations.actions import Action
from receiver.declarations.desired_ivr import DesiredIvr
from receiver.declarations.fallbacks import Fallback
from receiver.declarations.speech import Speech
from receiver.masks import Mask
from receiver.pbx.checks import parse
from receiver.pbx.models import write
from receiver.pbx.models_ivr import Ivr as Fields
from receiver.pbx.models_shared import Holiday
from receiver.replies import Reply, is_reply

_COPIED = (
    *("ivr", "pbx", "name", "kind", "method", "auth", "request_timeout", "connection_timeout"),
    *("headers", "secret_header", "enabled", "where", "sensitive", "was"),
)
"""The fields that `DeclaredAction` and `Action` have in common."""


class DeclaredAction(Struct, frozen=True, kw_only=True):
    """An action without its function; ``handler`` and ``fallback`` are texts for the page."""

    ivr: str
    pbx: str
    name: str
    kind: str
    mask: str
    method: str
    auth: str | None
    request_timeout: int
    connection_timeout: int
    headers: dict[str, str]
    secret_header: str
    enabled: bool
    where: str
    sensitive: bool
    was: str = ""
    handler: str
    fallback: str

    @property
    def identity(self) -> str:
        return self.action().identity

    def action(self) -> Action:
        """Return the action to register."""
        values: dict[str, Any] = {name: getattr(self, name) for name in _COPIED}
        return Action(mask=Mask.parse(self.mask), handler=_in_child, **values)


class DeclaredIvr(Struct, frozen=True):
    """The declared fields of an IVR, as they are sent to the PBX.

    ``prompts`` are the paths of its recordings, ``speeches`` its spoken prompts.
    """

    pbx: str
    fields: dict[str, Any]
    prompts: dict[str, str]
    where: str
    speeches: dict[str, Speech] = {}
    holidays: list[dict[str, Any]] = []
    clear: tuple[str, ...] = ()

    def desired(self) -> DesiredIvr:
        """Return the IVR to register."""
        prompts: dict[str, Path | Speech] = dict(self.speeches)
        prompts |= {option: Path(path) for option, path in self.prompts.items()}
        return DesiredIvr(
            parse(Fields, self.fields),
            prompts,
            self.where,
            holidays=tuple(parse(Holiday, one) for one in self.holidays),
            clear=self.clear,
        )


def declared_action(action: Action, handler: str) -> DeclaredAction:
    """Return ``action`` as data; ``handler`` is its function's name and place."""
    return DeclaredAction(
        mask=str(action.mask),
        headers=dict(action.headers),
        handler=handler,
        fallback=_fallback_text(action.fallback or action.ivr_fallback),
        **{name: getattr(action, name) for name in _COPIED if name != "headers"},
    )


def declared_ivrs(by_pbx: Mapping[str, Iterable[DesiredIvr]]) -> list[DeclaredIvr]:
    """Return IVRs, by the label of their PBX, as data."""
    return [
        DeclaredIvr(
            label,
            write(one.fields),
            {option: f"{one}" for option, one in one.prompts.items() if isinstance(one, Path)},
            one.where,
            {option: one for option, one in one.prompts.items() if isinstance(one, Speech)},
            list(map(write, one.holidays)),
            one.clear,
        )
        for label, ivrs in by_pbx.items()
        for one in ivrs
    ]


def _fallback_text(fallback: Fallback | None) -> str:
    """Return a fallback as text."""
    if fallback is None:
        return ""
    if is_reply(fallback):
        return fallback.words
    return f"{getattr(fallback, '__name__', 'a function')}()"


async def _in_child(call: Call) -> Reply:
    raise AssertionError("the handler is in the child")
