"""Imported declarations as a configuration file.

Rule 1: a text of the PBX is a basic string with everything but printable characters escaped and
        ``$`` doubled, or a comment on one line. It never becomes a key.
Rule 2: office hours and holidays are declared once, and used by the menus that share them.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from receiver.declarations.ivr_menu import Disa, MenuEntry, Voicemail
from receiver.declarations.office_hours import Holiday, OfficeHours
from receiver.pbx.models import write
from receiver.pbx.models_shared import OutboundCallerId
from receiver.registration.imported import ImportedIvr, Shared
from receiver.registration.imported_action_urls import ImportedActionUrl
from receiver.replies import Forward, Hangup, Repeat
from receiver.text import line

_TABLES = ("menu", "outbound_caller_ids")  # options that are lists of tables
_NOTHING = Shared({}, {})
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "$": "$$"}


def toml_source(ivrs: Iterable[ImportedIvr], pbx: str = "") -> str:
    """Return a configuration file that declares ``ivrs``.

    Parameters:
        ivrs: in the order of the file.
        pbx: the label of the PBX; empty for the only one.
    """
    ivrs = tuple(ivrs)
    shared = Shared.of(ivrs)
    head = "# The IVRs of a PBX, as receiver import found them."
    definitions = [*shared.hours.items(), *shared.holidays.items()]
    blocks = [
        *(
            "\n".join([f"[define.{name}]", *_lines(_definition(one), shared)])
            for one, name in definitions
        ),
        *("\n".join(_ivr(one, pbx, shared)) for one in ivrs),
    ]
    return "\n\n".join([head, *blocks]) + "\n"


def string(text: str) -> str:
    """Return ``text`` as a basic string, in which no variable is expanded."""
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(c: str) -> str:
    if c in _ESCAPES or c.isprintable():
        return _ESCAPES.get(c, c)
    code = ord(c)
    return f"\\u{code:04x}" if code < 2**16 else f"\\U{code:08x}"


def _ivr(ivr: ImportedIvr, pbx: str, shared: Shared) -> Iterator[str]:
    yield f"# IVR {line(ivr.title)}"
    for option, reason in ivr.left_out.items():
        more = f'; to declare it: pin = "$IVR_{ivr.number}_PIN"' if option == "pin" else ""
        yield f"# {option} is not declared: {line(reason)}{more}"
    yield "[[ivr]]"
    label = {"pbx": pbx} if pbx else {}
    plain = {key: value for key, value in ivr.options.items() if key not in _TABLES}
    yield from _lines({"number": ivr.number, **label, **plain}, shared)
    for key in _TABLES:
        value = ivr.options.get(key, ())
        for one in value:
            yield ""
            yield f"[[ivr.{key}]]"
            yield from _lines(_definition(one), shared)
    for item in ivr.action_urls:
        yield ""
        yield from _action_url(item)


def _lines(table: Mapping[str, Any], shared: Shared) -> Iterator[str]:
    for key, value in table.items():
        yield f"{key} = {_value(value, shared)}"


def _definition(value: Any) -> dict[str, Any]:
    """Return the table of a value."""
    match value:
        case OfficeHours():
            return {"value": "office-hours", "week": dict(value.week)}
        case Holiday():
            table = {name: getattr(value, name) for name in ("name", "days", "region")}
            more = {} if value.consecutive else {"consecutive": False}
            return {"value": "holiday", **table, **more}
        case MenuEntry():
            names = ("key", "then", "hours", "closed", "holidays", "on_holiday")
            table = {name: getattr(value, name) for name in names}
            return {key: one for key, one in table.items() if one not in (None, ())}
        case OutboundCallerId():
            return write(value)
        case _:
            raise TypeError(f"{type(value).__name__} has no form in TOML here")


def _value(value: Any, shared: Shared) -> str:
    match value:
        case bool():
            return str(value).lower()
        case int():
            return str(value)
        case str():
            return string(value)
        case Forward():
            return string(value.target)
        case Hangup() | Repeat() | Disa():
            return string(value.keyword)
        case Voicemail():
            return f"{{{value.keyword} = {string(value.target)}}}"
        case OfficeHours():
            return f"{{use = {string(shared.hours[value])}}}"
        case Holiday():
            return f"{{use = {string(shared.holidays[value])}}}"
        case dict():
            pairs = (f"{key} = {_value(one, shared)}" for key, one in value.items())
            return f"{{{', '.join(pairs)}}}"
        case list() | tuple():
            return f"[{', '.join(_value(one, shared) for one in value)}]"
        case _:
            raise TypeError(f"{type(value).__name__} has no form in TOML here")


def _action_url(item: ImportedActionUrl) -> Iterator[str]:
    if not item.managed:
        yield f"# Unmanaged action URL, left alone: {line(item.note)}"
        return
    yield "# An action URL of this service; undeclared it is deleted by apply --allow-deletes:"
    yield f"# [[ivr.{item.kind.lower()}]]"
    yield f"# mask = {string(item.mask)}"
    for key, value in item.options.items():
        shown = "none" if value is None else value
        yield f"# {key} = {_value(shown, _NOTHING)}"
    yield f'# then = "repeat"{_beside(item.note)}'


def _beside(note: str) -> str:
    return f"  # {note}" if note else ""
