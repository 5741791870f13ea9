"""The JSON Schema of configuration files, for editors that complete and check TOML.

Rule 1: msgspec writes it from the types that files are read by, for the installed handlers.
Rule 2: a file that can be read is valid, except that the schema reports repeated entries of a set.
        The reverse holds for types and names only: masks, time zones and variables are checked by
        ``receiver check``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import GenericAlias
from typing import Annotated, Any, Literal

import msgspec

from receiver.config.catalogue import Entry, installed
from receiver.config.document import (
    ACTION,
    ANNOUNCEMENT,
    APP,
    EVENT_ACTION,
    EVENTS,
    IVR,
    KINDS,
)
from receiver.config.options import Option, Signature
from receiver.config.types import (
    ConnectorValue,
    EventHandlerValue,
    MenuRuleValue,
    OneOf,
    ReplyValue,
    RuleValue,
    SpeechValue,
    TableValue,
    ThenValue,
    in_words,
)
from receiver.declarations.call_events import EVENT_KINDS
from receiver.declarations.ivr_menu import Disa, Voicemail
from receiver.replies import keywords

Json = dict[str, Any]

_DEFINITIONS: Json = {
    "reply": {
        "description": "Where the call continues: a destination or a reply.",
        "anyOf": [
            {"type": "string", "examples": ["222", "hangup", "repeat"]},
            {"$ref": "#/$defs/reply-table"},
        ],
    },
    "rule": {
        "description": "What the IVR itself does: a reply, or the voicemail of an extension.",
        "anyOf": [
            {"$ref": "#/$defs/reply"},
            {
                "type": "object",
                "properties": {"voicemail": {"type": "string", "description": Voicemail.summary}},
                "required": ["voicemail"],
                "additionalProperties": False,
            },
        ],
    },
    "menu-rule": {
        "description": "As a rule, or DISA.",
        "anyOf": [{"const": "disa", "description": Disa.summary}, {"$ref": "#/$defs/rule"}],
    },
    "then": {
        "description": "Where the call continues: a destination, a reply, or a handler.",
        "anyOf": [{"$ref": "#/$defs/reply"}, {"$ref": "#/$defs/part"}],
    },
    "speech": {
        "description": "A spoken prompt.",
        "type": "object",
        "properties": {
            "text": {"type": "string", "description": "What callers hear."},
            "voice": {"type": "string", "description": "Such as en or piper:en.", "default": "en"},
        },
        "required": ["text"],
        "additionalProperties": False,
    },
    "use": {
        "type": "object",
        "properties": {"use": {"type": "string", "description": "A name from [define.…]."}},
        "required": ["use"],
        "additionalProperties": False,
    },
}
_PLAIN = Signature({})
_REFERENCES = {
    ReplyValue: "reply",
    RuleValue: "rule",
    MenuRuleValue: "menu-rule",
    ThenValue: "then",
    ConnectorValue: "part",
    EventHandlerValue: "part",
    SpeechValue: "speech",
}


def _reply_table() -> Json:
    return {
        "type": "object",
        "properties": {
            name: ({"type": "string"} if kind.has_target() else {"const": True})
            | {"description": kind.summary}
            for name, kind in keywords().items()
        },
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    }


def schema(entries: Iterable[Entry]) -> Json:
    """Return the schema (draft 2020-12) of files that may name ``entries``, without broken ones."""
    known = (*entries, *installed("value").values())
    parts = [_part(entry) for entry in known if entry.signature]
    action = _struct("action", ACTION.values())
    kinds = [Option(kind, GenericAlias(list, (action,))) for kind in KINDS]
    ivr = _struct("ivr", [*IVR.values(), *kinds])
    ivrs = Option(
        "ivr", Annotated[GenericAlias(list, (ivr,)), msgspec.Meta(min_length=1)], required=True
    )
    announcement = _struct("announcement", ANNOUNCEMENT.values())
    announcements = Option("announcement", GenericAlias(list, (announcement,)))
    event_action = _struct("event-action", EVENT_ACTION.values())
    kinds = [Option(kind, GenericAlias(list, (event_action,))) for kind in EVENT_KINDS]
    events = _struct("events", [*EVENTS.values(), *kinds])
    event_lists = Option("events", GenericAlias(list, (events,)))
    define = Option("define", dict[str, ConnectorValue])
    file = _struct("receiver.toml", [*APP.values(), ivrs, announcements, event_lists, define])
    (_, *references), definitions = _components([file, *parts])
    part = {"anyOf": [{"$ref": "#/$defs/use"}, *references]}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **definitions.pop("receiver.toml"),
        "$defs": {**_DEFINITIONS, "reply-table": _reply_table(), "part": part, **definitions},
    }


def _part(entry: Entry) -> Any:
    """Return the struct of a table that uses ``entry``."""
    signature = entry.signature or _PLAIN
    needed = entry.kind != "value"  # an option that takes one value only knows which
    name = Option(entry.kind, Literal.__getitem__(entry.name), required=needed)
    options = () if entry.is_handler else signature.options.values()
    return _struct(f"{entry.kind}-{entry.name}", [name, *options], signature)


def _struct(name: str, options: Iterable[Option], signature: Signature = _PLAIN) -> Any:
    """Return a struct with a field for each option that a file can set."""
    fields = [(f"option_{number}", *_field(option)) for number, option in enumerate(options)]
    return msgspec.defstruct(
        name,
        [field for field in fields if field[1] is not None],
        namespace={"__doc__": signature.about},
        forbid_unknown_fields=not signature.open,
        kw_only=True,
    )


def _field(option: Option) -> tuple[Any, Any]:
    """Return the type and the default of a struct's field; the type None if there is no field."""
    kind = option.type and Annotated[option.type, msgspec.Meta(description=option.about or None)]
    if option.required:
        return kind, msgspec.field(name=option.name)
    if isinstance(option.default, bool | int | float | str):
        return kind, msgspec.field(name=option.name, default=option.default)
    return kind, msgspec.field(name=option.name, default_factory=object)  # not in the schema


def _components(kinds: Iterable[Any]) -> tuple[tuple[Json, ...], Json]:
    return msgspec.json.schema_components(kinds, schema_hook=_custom, ref_template="#/$defs/{name}")


def _custom(kind: Any) -> Json:
    """Return the schema of a type that msgspec does not know."""
    if issubclass(kind, OneOf):
        return {"anyOf": list(_components(kind.members)[0])}
    if issubclass(kind, TableValue):
        return {"anyOf": [{"$ref": "#/$defs/use"}, {"$ref": f"#/$defs/value-{kind.name}"}]}
    return {"$ref": f"#/$defs/{_REFERENCES[kind]}"} if kind in _REFERENCES else {"type": "string"}


def options_as_json(options: Mapping[str, Option]) -> list[Json]:
    """Return options as JSON: name, type in words, whether required, default, text, schema."""
    return [
        {
            "name": option.name,
            "type": in_words(option.type),
            "required": option.required,
            "default": None if option.required else shown(option.default),
            "about": option.about,
            "schema": _components([option.type])[0][0],
        }
        for option in options.values()
        if option.type is not None
    ]


def shown(default: object) -> Any:
    """Return a default as a JSON value; None for one that JSON cannot express."""
    if isinstance(default, bool | int | float | str):
        return default
    return [shown(one) for one in default] if isinstance(default, tuple | list) else None
