"""Import the object that ``module:attribute`` names.

Errors distinguish a missing module from a missing dependency, and say what to do next.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from receiver.errors import DeclarationError, LoadError, ReceiverError
from receiver.text import short

_PACKAGE = Path(__file__).parent.parent


def load(target: str, default: str = "app") -> object:
    """Return the object that ``target`` names.

    Parameters:
        target: ``module:attribute`` as uvicorn takes it; a path such as ``examples/01_menu.py``
            works for the module too; the attribute may be left out.
        default: the attribute then.

    Raises:
        LoadError: it cannot be imported, or has no such attribute.
        ReceiverError: the module raised it, as a DeclarationError; with file and line.
    """
    name, _, attribute = target.partition(":")
    if not name:
        raise LoadError(f"{short(target)!r} is not of the form module:attribute, as in app:app")
    loaded: Any = _import(name)
    for part in (attribute or default).split("."):
        if not hasattr(loaded, part):
            known = ", ".join(n for n in vars(loaded) if not n.startswith("_")) or "nothing"
            raise LoadError(f"{short(name)} has no {short(part)!r}; it has {short(known, 200)}")
        loaded = getattr(loaded, part)
    return loaded


def _import(name: str) -> ModuleType:
    if not name.endswith(".py") and (name.startswith(".") or os.path.dirname(name)):
        what = "a folder" if os.path.isdir(name) else "not a module"
        raise LoadError(
            f"{short(name)} is {what}: name the app, as in app:app, or its file, as in app.py or "
            "receiver.toml"
        )
    here = _working_directory()
    if "" not in sys.path and here not in sys.path:
        sys.path.insert(0, here)
    try:
        return _by_path(Path(name)) if name.endswith(".py") else importlib.import_module(name)
    except DeclarationError as error:
        if not error.where:  # a value such as a menu entry, which does not know its place
            raise type(error)(error.problem, _place(error, here)) from None
        raise
    except (ReceiverError, KeyboardInterrupt):
        raise
    except ModuleNotFoundError as error:
        if error.name is not None and (name == error.name or name.startswith(error.name + ".")):
            raise LoadError(
                f"there is no module {short(name)!r} in {here}: run this in the folder of your "
                "code, or set PYTHONPATH"
            ) from None
        raise LoadError(
            f"{short(name)} needs the module {error.name!r}, which is not installed"
        ) from None
    except SyntaxError as error:
        raise LoadError(f"{error.filename or name}:{error.lineno or 1}: {error.msg}") from None
    except BaseException as error:  # SystemExit too, which would end the command silently
        raise LoadError(
            f"importing {short(name)} failed at {_place(error, here)}: {_text(error)}"
        ) from error


def _by_path(path: Path) -> ModuleType:
    """Return the module in a file of any folder; it can import the modules of that folder."""
    if not os.path.isfile(path):  # of a name of any length
        raise LoadError(f"there is no file {short(str(path))}")
    path = path.resolve()
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    name = f"{path.stem} of {path.parent}"  # a name that no import statement can use
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
        raise LoadError("the working directory no longer exists: change to another") from None


def _place(error: BaseException, here: str) -> str:
    """Return the last line of the traceback in the user's code, or else the last of all."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if not Path(f.filename).is_relative_to(_PACKAGE)]
    own = [f for f in theirs if f.filename.startswith(here) and "site-packages" not in f.filename]
    last = (own or theirs or frames)[-1]
    return f"{last.filename}:{last.lineno}"


def _text(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {short(str(error), 300)}"
    except Exception:
        return type(error).__name__
