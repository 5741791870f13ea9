"""Create a connector from a table of a configuration file.

::

    crm = connect({"connector": "hubspot", "token": Secret(…)})
    crm = connect({"connector": "my_crm:MyCrm", "url": "https://crm.example.com"})  # yours

Rule 1: The options are the parameters of the connector's class. Unknown and missing ones are
        reported here, all at once; the class checks the values.
Rule 2: A connector is imported when it is used. Another distribution offers one by name through the
        entry-point group `GROUP`; the built-in names take precedence.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from importlib.metadata import entry_points
from typing import Any

from handlers.crm.client import ClientOptions
from handlers.crm.contacts import Crm
from receiver import DeclarationError

CONNECTORS = {
    "hubspot": "handlers.crm.hubspot:HubSpot",
    "odoo": "handlers.crm.odoo:Odoo",
    "pipedrive": "handlers.crm.pipedrive:Pipedrive",
    "rest": "handlers.crm.rest:Rest",
    "salesforce": "handlers.crm.salesforce:Salesforce",
    "zoho": "handlers.crm.zoho:Zoho",
}
"""The built-in connectors. Others are entry points, or ``module:Class``."""

GROUP = "receiver.crms"


def connect(table: Mapping[str, Any]) -> Crm:
    """Create the connector that ``connector`` names, with the other entries as its options.

    Raises:
        DeclarationError: the name is unknown, or an option is unknown or missing; the text contains
            no value but the name.
    """
    if not isinstance(table, Mapping) or not isinstance(table.get("connector"), str):
        raise DeclarationError(
            'crm: must be a table with a connector=, as in {connector = "hubspot", token = "…"}'
        )
    name = table["connector"]
    connector = connector_of(name)
    options = {option: value for option, value in table.items() if option != "connector"}
    if wrong := problems(connector, options):
        raise DeclarationError(f"crm: connector={name!r}: {'; '.join(wrong)}")
    made: Crm = connector(**options)
    return made


def connector_of(wanted: str) -> Callable[..., Any]:
    """Return the class of the connector with this name, or at ``module:Class``.

    Raises:
        DeclarationError: the name is unknown.
    """
    known = {entry.name: entry.value for entry in entry_points(group=GROUP)} | CONNECTORS
    module, _, name = known.get(wanted, wanted).partition(":")
    if not name:
        raise DeclarationError(
            f"crm: connector={wanted!r} is not one of {', '.join(known)}, nor of the form "
            "module:Class" + _suggestion(wanted, known)
        )
    try:
        connector: Any = getattr(importlib.import_module(module), name, None)
    except ImportError as error:
        raise DeclarationError(f"crm: connector={wanted!r}: {error}") from None
    if connector is None:
        raise DeclarationError(f"crm: connector={wanted!r}: {module} has no {name}")
    if not callable(connector):
        raise DeclarationError(f"crm: connector={wanted!r} is not a class")
    made: Callable[..., Any] = connector
    return made


def problems(connector: Callable[..., Any], options: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each unknown or missing option."""
    parameters = inspect.signature(connector).parameters
    own = {name: one for name, one in parameters.items() if one.kind is not one.VAR_KEYWORD}
    takes_client_options = isinstance(getattr(connector, "defaults", None), ClientOptions)
    if len(own) < len(parameters) and not takes_client_options:
        return []
    known = {*own, *(field.name for field in fields(ClientOptions) if takes_client_options)}
    unknown = [
        f"unknown option {name}{_suggestion(name, known)}" for name in options if name not in known
    ]
    missing = [
        f"{name} is missing"
        for name, one in own.items()
        if one.default is one.empty and name not in options
    ]
    return unknown + missing


def _suggestion(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, known, 1)
    return f" (did you mean {near[0]}?)" if near else ""
