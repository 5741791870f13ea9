"""Imported declarations as a Python module, formatted as ruff does.

Rule 1: a text of the PBX is a string literal with everything but printable characters escaped, or a
        comment on one line. It never becomes a name.
Rule 2: what does not fit into `WIDTH` has a line for each item, with a comma after the last, which
        a formatter with a larger width keeps.
Rule 3: office hours and holidays are declared once, above the IVRs that share them.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from keyword import iskeyword
from typing import Any

from receiver.declarations.ivr_menu import Disa, MenuEntry, Voicemail
from receiver.declarations.office_hours import Holiday, OfficeHours
from receiver.pbx.models import write
from receiver.pbx.models_shared import OutboundCallerId
from receiver.registration.imported import ImportedIvr, Shared
from receiver.registration.imported_action_urls import ImportedActionUrl
from receiver.replies import Forward, Hangup, Repeat
from receiver.text import line

WIDTH = 88
"""Columns of a line."""


def python_source(ivrs: Iterable[ImportedIvr], pbx: str = "") -> str:
    """Return a module that declares ``ivrs`` and the app.

    Parameters:
        ivrs: in the order of the module.
        pbx: the label of the PBX; empty for the only one.
    """
    ivrs = tuple(ivrs)
    shared = Shared.of(ivrs)
    writer = _Writer(shared)
    blocks = [writer.shared(), *(writer.ivr(one, pbx) for one in ivrs)]
    app = _layout(_Call("Receiver", tuple(("", _name(one)) for one in ivrs)), len("app = "))
    names = ", ".join(sorted({"Ivr", "Receiver", *writer.names}))
    imports = f"from receiver import {names}"
    if len(imports) > WIDTH:
        imports = f"from receiver import (\n    {names.replace(', ', f',{chr(10)}    ')},\n)"
    head = '"""The IVRs of a PBX, as receiver import found them."""'
    return "\n\n".join(filter(None, [head, imports, *blocks, f"app = {app}"])) + "\n"


def literal(text: str) -> str:
    """Return ``text`` as a string literal, with the quotes that ruff chooses."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    return quote + "".join(_escaped(c, quote) for c in text) + quote


_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def _escaped(c: str, quote: str) -> str:
    if c == quote:
        return "\\" + c
    if c in _ESCAPES or c.isprintable():
        return _ESCAPES.get(c, c)
    code = ord(c)
    return (
        f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 2**16 else f"\\U{code:08x}"
    )


# expressions ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Call:
    """A call, a list or a dict.

    Attributes:
        name: of what is called; empty for a list or a dict.
        items: each with its prefix, such as ``name=``.
        ends: its brackets.
    """

    name: str
    items: tuple[tuple[str, _Expression], ...] = ()
    ends: str = "()"


_Expression = str | _Call


def _inline(item: _Expression) -> str:
    if isinstance(item, str):
        return item
    inside = ", ".join(before + _inline(one) for before, one in item.items)
    return f"{item.name}{item.ends[0]}{inside}{item.ends[1]}"


def _layout(item: _Expression, before: int, after: int = 0, indent: int = 0) -> str:
    """Return ``item`` as text, on one line if that fits.

    Parameters:
        before, after: columns of the line that are in use.
        indent: of the line that it begins on.
    """
    whole = _inline(item)
    if isinstance(item, str) or not item.items or before + _columns(whole) + after <= WIDTH:
        return whole
    inner = indent + 4
    lines = [
        f"{' ' * inner}{name}{_layout(one, inner + _columns(name), 1, inner)},"
        for name, one in item.items
    ]
    return "\n".join([item.name + item.ends[0], *lines, " " * indent + item.ends[1]])


def _columns(text: str) -> int:
    """Return the most columns that ``text`` may have: a letter of some scripts has two."""
    return len(text) + sum(not c.isascii() for c in text)


def _list(items: Iterable[_Expression]) -> _Call:
    return _Call("", tuple(("", one) for one in items), "[]")


# declarations --------------------------------------------------------------------------------


def _name(ivr: ImportedIvr) -> str:
    return f"ivr_{ivr.number}"


class _Writer:
    """Writes declarations, and collects the names to import."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self.names: set[str] = set()

    def shared(self) -> str:
        """Return the office hours and holidays."""
        named = [*self._shared.hours.items(), *self._shared.holidays.items()]
        lines = (f"{name} = {_layout(self._made(one), len(name) + 3)}" for one, name in named)
        return "\n".join(lines)

    def ivr(self, ivr: ImportedIvr, pbx: str) -> str:
        """Return the block of one IVR, with comments on what is not declared."""
        options = {"pbx": pbx, **ivr.options} if pbx else ivr.options
        items = [("", literal(ivr.number)), *self._options(options)]
        declared = _layout(_Call("Ivr", tuple(items)), len(_name(ivr)) + 3)
        notes = [f"# IVR {line(ivr.title)}"]
        for option, reason in ivr.left_out.items():
            more = f'; to declare it: pin=os.environ["IVR_{ivr.number}_PIN"]'
            notes.append(f"# {option} is not declared: {line(reason)}{more * (option == 'pin')}")
        action_urls = (text for one in ivr.action_urls for text in _action_url(one, _name(ivr)))
        return "\n".join([*notes, f"{_name(ivr)} = {declared}", *action_urls])

    def _options(self, options: Mapping[str, Any]) -> Iterator[tuple[str, _Expression]]:
        for option, value in options.items():
            yield f"{option}=", self._value(value)

    def _value(self, value: Any) -> _Expression:
        match value:
            case str():
                return literal(value)
            case bool() | int():
                return repr(value)
            case list() | tuple():
                return _list(map(self._value, value))
            case OfficeHours():
                return self._shared.hours[value]
            case Holiday():
                return self._shared.holidays[value]
            case _:
                return self._made(value)

    def _made(self, value: Any) -> _Call:
        """Return the call of a class that makes ``value``."""
        name = type(value).__name__
        self.names.add(name)
        items: list[tuple[str, _Expression]] = []
        match value:
            case Forward() | Voicemail():
                items = [("", literal(value.target))]
            case OfficeHours():
                pairs = ((f"{literal(day)}: ", literal(text)) for day, text in value.week.items())
                items = [("", _Call("", tuple(pairs), "{}"))]
            case Holiday():
                items = [("", literal(value.name)), ("", literal(value.days))]
                items.append(("region=", literal(value.region)))
                items += [] if value.consecutive else [("consecutive=", "False")]
            case MenuEntry():
                items = [("", literal(value.key)), ("", self._value(value.then))]
                names = ("hours", "closed", "holidays", "on_holiday")
                given = {option: getattr(value, option) for option in names}
                items += self._options({k: v for k, v in given.items() if v not in (None, ())})
            case OutboundCallerId():
                items = list(self._options(write(value)))
            case Hangup() | Repeat() | Disa():
                pass
            case _:
                raise TypeError(f"{name} has no form in Python here")
        return _Call(name, tuple(items))


# comments ------------------------------------------------------------------------------------


def _action_url(item: ImportedActionUrl, ivr: str) -> Iterator[str]:
    if not item.managed:
        yield f"# Unmanaged action URL, left alone: {line(item.note)}"
        return
    yield "# An action URL of this service; undeclared it is deleted by apply --allow-deletes:"
    options = {
        key: literal(value) if isinstance(value, str) else repr(value)
        for key, value in item.options.items()
    }
    given = "".join(f", {key}={text}" for key, text in options.items())
    name = str(item.options["name"])
    function = name if name.isidentifier() and not iskeyword(name) else "handler"
    yield f"# @{ivr}.{item.kind.lower()}({literal(item.mask)}{given})"
    yield f"# async def {function}(call: Call) -> Reply:"
    yield f"#     return Repeat(){f'  # {item.note}' if item.note else ''}"
