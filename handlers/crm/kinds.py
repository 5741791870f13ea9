"""From a table of a configuration file to the connector that it describes.

::

    crm = connect({"kind": "hubspot", "token": Secret(…)})
    crm = connect({"kind": "my_crm:MyCrm", "url": "https://crm.example.com"})     # one's own

Rule 1: the options are the parameters of the connector's class; what it does not take is refused
        here, all of it at once, with the one that was probably meant. Values it checks itself.
Rule 2: a connector is imported when it is asked for, and not because another one is. Another wheel
        offers one by name through the entry-point group `GROUP`; it hides none of ours.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any

from handlers.crm.contacts import Crm
from handlers.crm.terms import Terms
from receiver import DeclarationError

KINDS = {
    "hubspot": "handlers.crm.hubspot:HubSpot",
    "odoo": "handlers.crm.odoo:Odoo",
    "pipedrive": "handlers.crm.pipedrive:Pipedrive",
    "rest": "handlers.crm.rest:Rest",
    "salesforce": "handlers.crm.salesforce:Salesforce",
    "zoho": "handlers.crm.zoho:Zoho",
}
"""The ready-made ones. Anything else is an entry point, or ``module:Class``."""

GROUP = "receiver.crms"


def connect(table: Mapping[str, Any]) -> Crm:
    """The connector of ``kind``, made with the other entries as its options.

    Raises:
        DeclarationError: there is no such kind, or its options are not these; the text names them,
            and no value but the kind.
    """
    if not isinstance(table, Mapping) or not isinstance(table.get("kind"), str):
        raise DeclarationError('crm: a table with a kind=, as in {kind = "hubspot", token = "…"}')
    kind = table["kind"]
    connector = connector_of(kind)
    options = {name: value for name, value in table.items() if name != "kind"}
    wrong = problems(connector, options)
    if wrong:
        raise DeclarationError(f"crm: kind={kind!r}: {'; '.join(wrong)}")
    made: Crm = connector(**options)
    return made


def connector_of(kind: str) -> Callable[..., Any]:
    """The class of a kind.

    Raises:
        DeclarationError: there is none.
    """
    known = {entry.name: entry.value for entry in entry_points(group=GROUP)} | KINDS
    module, _, name = known.get(kind, kind).partition(":")
    if not name:
        raise DeclarationError(
            f"crm: kind={kind!r} is none of {', '.join(known)}, and not of the form module:Class"
            + _meant(kind, known)
        )
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError):
        raise DeclarationError(f"crm: kind={kind!r}: there is no {name} in {module}") from None
    if not callable(found):
        raise DeclarationError(f"crm: kind={kind!r} is no class")
    made: Callable[..., Any] = found
    return made


def problems(connector: Callable[..., Any], options: Mapping[str, Any]) -> list[str]:
    """What is wrong with the names of ``options``."""
    parameters = inspect.signature(connector).parameters
    own = {name: one for name, one in parameters.items() if one.kind is not one.VAR_KEYWORD}
    takes_terms = isinstance(getattr(connector, "defaults", None), Terms)
    if len(own) < len(parameters) and not takes_terms:
        return []
    known = {*own, *(field.name for field in fields(Terms) if takes_terms)}
    unknown = [
        f"there is no option {name}{_meant(name, known)}" for name in options if name not in known
    ]
    missing = [
        f"{name} is missing"
        for name, one in own.items()
        if one.default is one.empty and name not in options
    ]
    return unknown + missing


def _meant(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, 1)
    return f" (is {near[0]} meant?)" if near else ""
