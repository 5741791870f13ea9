"""What a configuration file may say, apart from the options of handlers: its own keys.

::

    fallback = "0"

    [[ivr]]
    number = "8000"

    [[ivr.dtmf]]
    mask = "1;2"
    then = {handler = "menu", choices = {1 = "222", 2 = "333"}}

Rule: the keys are the options that Python takes (`receiver.Receiver`, `receiver.Ivr`, `Ivr.add`),
      and their texts are those of its docstrings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from receiver.actions import Action, Kind
from receiver.configuration.options import Option, keys_of, maker_of
from receiver.configuration.shapes import TEXT, Either, Leads, TableOf
from receiver.ivrs import Ivr, Options

KINDS: Mapping[str, Kind] = {kind.lower(): kind for kind in get_args(Kind)}
"""The lists of actions in an ``[[ivr]]``, and what they declare."""

_REPLY = Leads(handlers=False)

APP: Mapping[str, Option] = {
    "fallback": Option(
        "fallback",
        Either((_REPLY, TableOf(_REPLY))),
        about="The reply of actions that have none of their own, when their handler is late or "
        "fails; with several PBXs also a table, by their labels.",
    )
}

IVR: Mapping[str, Option] = maker_of(Ivr).options

_DEFAULTS = {
    name: field.default
    for name, field in Action.__dataclass_fields__.items()
    if name in Options.__annotations__
}

ACTION: Mapping[str, Option] = {
    "mask": Option(
        "mask", TEXT, about="The match list; what the handler says of itself, as a menu does."
    ),
    "then": Option("then", Leads(handlers=True), required=True, about="Where the call goes on."),
    **keys_of(Options, _DEFAULTS),
}
