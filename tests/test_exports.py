"""The public names, pinned: taking one away, or adding one, is a decision."""

from __future__ import annotations

import builtins
import importlib
import inspect
import re
import types
import typing
from collections.abc import Callable, Iterator
from datetime import datetime, tzinfo
from functools import cached_property
from importlib.metadata import entry_points
from typing import Any

import pytest

import receiver

PACKAGES = ("receiver", "receiver.masks", "receiver.testing", "receiver.upstream")
CALLED = {"__init__", "__call__", "__enter__", "__aenter__", "__iter__", "__getitem__"}
INTERNAL = {
    "receiver.Receiver.callbacks": "for a server that does without ASGI",
    "receiver.testing.Event": "the simulated PBX makes the events",
    "receiver.testing.Event.__init__": "the simulated PBX makes the events",
    "receiver.testing.PhoneCall.__init__": "Phone.dial makes the calls",
}
FOR_TYPES_ONLY = {"datetime": datetime, "tzinfo": tzinfo}
"""Imported under TYPE_CHECKING by modules that must not read the clock."""

PUBLIC = {
    f"{package}.{name}": getattr(importlib.import_module(package), name)
    for package in PACKAGES
    for name in importlib.import_module(package).__all__
}
HANDLERS = {
    f"{one.module}.{one.attr}": one.load()
    for group in ("receiver.handlers", "receiver.crms")
    for one in entry_points(group=group)
}


def test_public_names() -> None:
    assert sorted(receiver.__all__) == [
        "Acceptance",
        "Action",
        "ActionOptions",
        "After",
        "Announcement",
        "Call",
        "CallEvent",
        "CallTarget",
        "Context",
        "DeclarationError",
        "Destination",
        "Direction",
        "Disa",
        "EventAction",
        "EventEndpoint",
        "Events",
        "FinishKey",
        "Forward",
        "Handler",
        "Hangup",
        "Holiday",
        "HostName",
        "Ivr",
        "IvrOptions",
        "JobState",
        "LoadError",
        "Mask",
        "MaskError",
        "MenuEntry",
        "NumberError",
        "NumberFormat",
        "NumberList",
        "OfficeHours",
        "OutboundCallerId",
        "PastCallback",
        "PbxError",
        "PhoneNumber",
        "PhoneNumbers",
        "Receiver",
        "ReceiverError",
        "RegistrationError",
        "Repeat",
        "Reply",
        "ReplyError",
        "Secret",
        "SessionContext",
        "Settings",
        "SettingsError",
        "Speech",
        "Then",
        "Unavailable",
        "Voicemail",
        "handler_of",
        "is_sensitive",
        "job_state",
        "repeats_of",
    ]
    assert all(hasattr(receiver, name) for name in receiver.__all__)


def annotated(name: str, thing: object) -> Iterator[tuple[str, Callable[..., object]]]:
    """The functions that ``help()`` of a public name shows."""
    if isinstance(thing, types.FunctionType):
        yield name, thing
    for key, member in inspect.getmembers_static(thing) if isinstance(thing, type) else ():
        if key.startswith("_") and key not in CALLED:
            continue
        function: Any = getattr(member, "__func__", member)
        if isinstance(member, property):
            function = member.fget
        elif isinstance(member, cached_property):
            function = member.func
        if inspect.isfunction(function) and is_ours(function):
            yield f"{name}.{key}", function


def is_ours(thing: Any) -> bool:
    return str(thing.__module__).partition(".")[0] in ("receiver", "handlers")


def classes_in(hint: Any) -> Iterator[type]:
    """Our classes in an annotation."""
    if isinstance(hint, typing.TypeVar):
        yield from classes_in(hint.__bound__)
    for part in hint if isinstance(hint, list | tuple) else typing.get_args(hint):
        yield from classes_in(part)
    whole = typing.get_origin(hint) or hint
    if isinstance(whole, type) and is_ours(whole):
        yield whole


@pytest.mark.parametrize("name", sorted(PUBLIC | HANDLERS))
def test_what_help_of_a_public_name_leads_to_is_public(name: str) -> None:
    thing = (PUBLIC | HANDLERS)[name]
    public = list(map(id, PUBLIC.values()))
    places = dict(annotated(name, thing))
    hints = {
        place: typing.get_type_hints(function, localns=FOR_TYPES_ONLY)
        for place, function in places.items()
    }
    if isinstance(thing, type):
        fields = typing.get_type_hints(thing, localns=FOR_TYPES_ONLY)
        hints[name] = {key: hint for key, hint in fields.items() if not key.startswith("_")}
    hidden = [
        f"{place}: {found.__module__}.{found.__qualname__}"
        for place, of_place in hints.items()
        if place not in INTERNAL
        for hint in of_place.values()
        for found in classes_in(hint)
        if id(found) not in public and found.__module__.startswith("receiver")
    ]
    assert hidden == []


def raised(text: str) -> Iterator[str]:
    """The exceptions in the section ``Raises:`` of a docstring."""
    section = re.search(r"Raises:\n((?: +.*\n?)+)", text)
    for line in section[1].splitlines() if section else ():
        if names := re.match(r" *((?:[\w.]+, )*[\w.]+): ", line):
            yield from (one for one in names[1].split(", ") if one[-5:] != "cause")


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_the_errors_of_a_public_docstring_are_public(name: str) -> None:
    thing = PUBLIC[name]
    known = {one.rpartition(".")[2] for one in PUBLIC} | set(dir(builtins))
    texts = [inspect.getdoc(function) or "" for _, function in annotated(name, thing)]
    texts.append(inspect.getdoc(thing) or "" if isinstance(thing, type) else "")
    errors = {error for text in texts for error in raised(text) if error[:1].isupper()}
    assert errors <= known


def test_errors_of_requests_are_imported_where_the_client_is() -> None:
    from receiver.upstream import CircuitOpen, UpstreamError, UpstreamLate, UpstreamRefused

    for error in (CircuitOpen, UpstreamLate, UpstreamRefused):
        assert issubclass(error, UpstreamError)
        assert issubclass(error, receiver.Unavailable)
