"""From ``module:attribute`` to the object, and from an entry point's name to a handler.

Each error tells the missing module from a missing dependency of it, and says the next step.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import traceback
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from receiver.errors import LoadError, ReceiverError
from receiver.printable import short

GROUP = "receiver.handlers"
"""The entry-point group through which handlers of any distribution are found by name."""

CONNECTORS = "receiver.crms"
"""The same of what handlers ask: connectors of CRMs."""


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
    if not name:
        raise LoadError(f"{short(target)!r} is not of the form module:attribute, as in app:app")
    found: Any = _import(name)
    for part in (attribute or default).split("."):
        if not hasattr(found, part):
            there = ", ".join(n for n in vars(found) if not n.startswith("_")) or "nothing"
            raise LoadError(f"{short(name)} has no {short(part)!r}; it has {short(there, 200)}")
        found = getattr(found, part)
    return found


def _import(name: str) -> ModuleType:
    here = _working_directory()
    if "" not in sys.path and here not in sys.path:
        sys.path.insert(0, here)
    try:
        return _by_path(Path(name)) if name.endswith(".py") else importlib.import_module(name)
    except (ReceiverError, KeyboardInterrupt):
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise LoadError(
                f"there is no module {short(name)!r} in {here}: run this where your code lives, "
                "or set PYTHONPATH"
            ) from None
        raise LoadError(
            f"{short(name)} needs the module {error.name!r}, which is not installed"
        ) from None
    except SyntaxError as error:
        raise LoadError(f"{error.filename or name}:{error.lineno or 1}: {error.msg}") from None
    except BaseException as error:  # SystemExit too: it would end the command without a word
        raise LoadError(
            f"importing {short(name)} failed at {_place(error, here)}: {_text(error)}"
        ) from error


def _by_path(path: Path) -> ModuleType:
    """The module in a file, wherever it is; what lies beside it can be imported by it."""
    if not path.is_file():
        raise LoadError(f"there is no file {short(str(path))}")
    path = path.resolve()
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    name = f"{path.stem} of {path.parent}"  # no import statement can mean another module by it
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:  # pragma: no cover - only for other file endings
        raise LoadError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _working_directory() -> str:
    try:
        return str(Path.cwd())
    except OSError:
        raise LoadError("the working directory is gone: change to one that exists") from None


def _place(error: BaseException, here: str) -> str:
    """The last line of the user's own code, or else the last of all."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if f.filename.startswith(here) and "site-packages" not in f.filename]
    last = (own or frames)[-1]
    return f"{last.filename}:{last.lineno}"


def _text(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {short(str(error), 300)}"
    except Exception:
        return type(error).__name__


def handler_names(group: str = GROUP) -> dict[str, EntryPoint]:
    """All ready-made handlers that are installed, ours and others', by name."""
    return {entry.name: entry for entry in sorted(entry_points(group=group))}


def load_handler(name: str, group: str = GROUP) -> Any:
    """The class or function behind the entry point ``name`` of ``group``.

    Raises:
        LoadError: there is none, or it is broken; the text says why.
    """
    found = handler_names(group)
    if name not in found:
        raise LoadError(f'there is no handler "{name}"; installed are {", ".join(found)}')
    try:
        return found[name].load()
    except (Exception, SystemExit) as error:  # somebody else's module may do anything
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
