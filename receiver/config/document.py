"""The keys of a configuration file, apart from the options of handlers.

::

    fallback = "0"

    [[ivr]]
    number = "8000"

    [[ivr.dtmf]]
    mask = "1;2"
    then = {handler = "menu", choices = {1 = "222", 2 = "333"}}

    [[announcement]]
    number = "8801"
    prompt = {text = "We are closed."}
    then = "222"

    [[events]]

    [[events.call_missed]]
    then = {handler = "follow-up", file = "missed-calls.csv"}

Rule: the keys are the parameters of `receiver.Receiver`, `receiver.Ivr`, `Ivr.add`,
      `receiver.Announcement`, `receiver.Events` and `Events.add`, with the descriptions of their
      docstrings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from receiver.calls import Kind
from receiver.config.options import Option, keys_of, signature_of
from receiver.config.types import EventHandlerValue, ReplyValue, ThenValue, one_of
from receiver.declarations.action_options import ActionOptions
from receiver.declarations.actions import Action
from receiver.declarations.announcement import Announcement
from receiver.declarations.event_actions import Events
from receiver.declarations.ivr import Ivr

KINDS: Mapping[str, Kind] = {kind.lower(): kind for kind in get_args(Kind)}
"""The lists of actions in an ``[[ivr]]``, and the kind of action in each."""

APP: Mapping[str, Option] = {
    "fallback": Option(
        "fallback",
        one_of(ReplyValue, dict[str, ReplyValue]),
        about="The reply of actions without a fallback, when their handler is late or fails; "
        "with several PBXs also a table, by their labels.",
    )
}

IVR: Mapping[str, Option] = signature_of(Ivr).options

ANNOUNCEMENT: Mapping[str, Option] = signature_of(Announcement).options

EVENTS: Mapping[str, Option] = signature_of(Events).options

EVENT_ACTION: Mapping[str, Option] = {
    "then": Option("then", EventHandlerValue, required=True, about="The handler of the events."),
    "name": Option(
        "name", str, about="Identifies its jobs in the durable queue; by default as the handler."
    ),
}
"""The keys of an entry in the list of a kind of events, such as ``call_ended``."""

_DEFAULTS = {
    name: field.default
    for name, field in Action.__dataclass_fields__.items()
    if name in ActionOptions.__annotations__
}

ACTION: Mapping[str, Option] = {
    "mask": Option(
        "mask", str, about="The match list; by default the one that the handler provides (a menu)."
    ),
    "then": Option("then", ThenValue, required=True, about="Where the call continues."),
    **keys_of(ActionOptions, _DEFAULTS),
}
