"""The JSON Schema of configuration files, for editors that complete and check TOML by one.

Rule 1: it comes from the shapes that files are read by, of what is installed here.
Rule 2: a file that can be read is good by it. The other way round it only knows types and names: a
        mask, a zone or a variable is checked by ``receiver check``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from receiver.configuration import shapes
from receiver.configuration.catalogue import Entry
from receiver.configuration.document import ACTION, APP, IVR, KINDS
from receiver.configuration.options import Maker, Option

Json = dict[str, Any]

_FIXED: Json = {
    "reply": {
        "description": "Where the call goes on: a destination, a reply.",
        "anyOf": [
            {"type": "string", "examples": ["222", "hangup", "repeat"]},
            {"$ref": "#/$defs/reply-table"},
        ],
    },
    "reply-table": {
        "type": "object",
        "properties": {
            "forward": {"type": "string", "description": "Connect the caller to it."},
            "hangup": {"const": True, "description": "End the call."},
            "repeat": {"const": True, "description": "Play the prompt again."},
        },
        "minProperties": 1,
        "maxProperties": 1,
        "additionalProperties": False,
    },
    "then": {
        "description": "Where the call goes on: a destination, a reply, or a handler.",
        "anyOf": [{"$ref": "#/$defs/reply"}, {"$ref": "#/$defs/part"}],
    },
    "use": {
        "type": "object",
        "properties": {"use": {"type": "string", "description": "A name from [define.…]."}},
        "required": ["use"],
        "additionalProperties": False,
    },
}


def schema(entries: Iterable[Entry]) -> Json:
    """The schema (draft 2020-12) for files that may name ``entries``; broken ones are left out."""
    makers = {(entry.kind, entry.name): _maker(entry) for entry in entries if entry.maker}
    part: Json = {
        "anyOf": [
            {"$ref": "#/$defs/use"},
            *({"$ref": f"#/$defs/{kind}-{name}"} for kind, name in makers),
        ]
    }
    ivr = _table(IVR.values())
    ivr["properties"] |= {kind: _list(_table(ACTION.values())) for kind in KINDS}
    whole = _table(APP.values())
    whole["properties"] |= {
        "ivr": _list(ivr) | {"minItems": 1},
        "define": {"type": "object", "additionalProperties": {"$ref": "#/$defs/part"}},
    }
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "receiver.toml",
        **whole,
        "required": ["ivr"],
        "$defs": {**_FIXED, "part": part}
        | {f"{kind}-{name}": made for (kind, name), made in makers.items()},
    }


def _maker(entry: Entry) -> Json:
    maker = entry.maker or Maker({})
    made = _table(() if entry.is_itself else maker.options.values(), more=maker.open)
    made["properties"] = {entry.kind: {"const": entry.name}, **made["properties"]}
    made["required"] = [entry.kind, *made["required"]]
    return {"description": maker.about, **made}


def _table(options: Iterable[Option], *, more: bool = False) -> Json:
    there = [option for option in options if option.shape is not None]
    return {
        "type": "object",
        "properties": {option.name: _option(option) for option in there},
        "required": [option.name for option in there if option.required],
        "additionalProperties": more,
    }


def _option(option: Option) -> Json:
    made = _shape(option.shape or shapes.Anything())
    if not option.required and isinstance(option.default, bool | int | float | str):
        made = {**made, "default": option.default}
    return {"description": option.about, **made} if option.about else made


def _list(item: Json) -> Json:
    return {"type": "array", "items": item}


def _shape(shape: shapes.Shape) -> Json:
    match shape:
        case shapes.Scalar():
            return {"type": shape.name}
        case shapes.Choice():
            return {"enum": list(shape.values)}
        case shapes.ListOf():
            return _list(_shape(shape.item))
        case shapes.Row():
            items = [_shape(item) for item in shape.items]
            return {"type": "array", "prefixItems": items, "minItems": len(items), "items": False}
        case shapes.TableOf():
            return {"type": "object", "additionalProperties": _shape(shape.value)}
        case shapes.Leads():
            return {"$ref": "#/$defs/then" if shape.handlers else "#/$defs/reply"}
        case shapes.Part():
            return {"$ref": "#/$defs/part"}
        case shapes.Either():
            return {"anyOf": [_shape(one) for one in shape.shapes]}
        case _:
            return {}


def options_as_json(options: Mapping[str, Option]) -> list[Json]:
    """Options for programs: name, type in words, whether required, default, text, schema."""
    return [
        {
            "name": option.name,
            "type": option.shape.words,
            "required": option.required,
            "default": None if option.required else shown(option.default),
            "about": option.about,
            "schema": _shape(option.shape),
        }
        for option in options.values()
        if option.shape is not None
    ]


def shown(default: object) -> Any:
    """A default as JSON has it; None for what it has not."""
    if isinstance(default, bool | int | float | str):
        return default
    return [shown(one) for one in default] if isinstance(default, tuple | list) else None
