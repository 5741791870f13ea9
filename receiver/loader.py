"""From ``module:attribute`` to the object, and from an entry point's name to a handler.

Each error tells the missing module from a missing dependency of it, and says the next step.
"""

from __future__ import annotations

import importlib
import sys
import traceback
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from receiver.errors import LoadError, ReceiverError

GROUP = "receiver.handlers"
"""The entry-point group through which handlers of any distribution are found by name."""


def load(target: str, default: str = "app") -> object:
    """The object that ``target`` names.

    Parameters:
        target: ``module:attribute`` as uvicorn takes it; a path such as ``examples/01_menu.py``
            works for the module; the attribute is ``default`` if it is left out.

    Raises:
        LoadError: it does not lead to anything.
        ReceiverError: the module itself raised one, such as a DeclarationError.
    """
    name, _, attribute = target.partition(":")
    if name.endswith(".py"):
        name = ".".join(Path(name).with_suffix("").parts).lstrip(".")
    if not name:
        raise LoadError(f'"{target}" is not of the form module:attribute, as in app:app')
    found: Any = _module(name)
    for part in (attribute or default).split("."):
        if not hasattr(found, part):
            there = ", ".join(n for n in vars(found) if not n.startswith("_")) or "nothing"
            raise LoadError(f'module "{name}" has no "{part}"; it has {there[:200]}')
        found = getattr(found, part)
    return found


def _module(name: str) -> ModuleType:
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ReceiverError:
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise LoadError(
                f'there is no module "{name}" in {Path.cwd()}: run this where your code lives, '
                "or set PYTHONPATH"
            ) from None
        raise LoadError(
            f'module "{name}" needs the module "{error.name}", which is not installed'
        ) from None
    except SyntaxError as error:
        raise LoadError(f"{error.filename}:{error.lineno}: {error.msg}") from None
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise LoadError(
            f'importing "{name}" failed at {place.filename}:{place.lineno}: '
            f"{type(error).__name__}: {error}"
        ) from error


def handler_names() -> dict[str, EntryPoint]:
    """All ready-made handlers that are installed, ours and others', by name."""
    return {entry.name: entry for entry in sorted(entry_points(group=GROUP))}


def load_handler(name: str) -> Any:
    """The class or function behind the entry point ``name``.

    Raises:
        LoadError: there is none, or it is broken; the text says why.
    """
    found = handler_names()
    if name not in found:
        raise LoadError(f'there is no handler "{name}"; installed are {", ".join(found)}')
    try:
        return found[name].load()
    except Exception as error:
        hint = _hidden_handlers() if found[name].module.startswith("handlers.") else ""
        raise LoadError(
            f'handler "{name}" ({found[name].value}) is broken: '
            f"{type(error).__name__}: {error}{hint}"
        ) from error


def _hidden_handlers() -> str:
    """The cure, if a ``handlers/__init__.py`` of the user's own hides the ready-made ones."""
    package = sys.modules.get("handlers")
    hiding = getattr(package, "__file__", None)
    if hiding is None:
        return ""
    return (
        f"; {hiding} hides the ready-made handlers: delete that file, or write into it\n"
        '    __path__ = __import__("pkgutil").extend_path(__path__, __name__)'
    )
