"""Whose code is it, and where: for what a developer is shown.

Rule 1: a place is in the developer's own code if any of the traceback is: that is where he looks.
Rule 2: a file below the working directory is named from there.
"""

from __future__ import annotations

import os
import site
import sys
import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from receiver.configuration.building import SUFFIX
from receiver.dev.messages import Error
from receiver.errors import DeclarationError, LoadError
from receiver.functions.manners import code_of

_LONGEST = 20_000  # characters of a traceback
_TEXT = 1000  # and of an exception


def _folders() -> tuple[str, ...]:
    """What is installed, and so not the developer's: nor is this package, however it came here."""
    paths = {*sysconfig.get_paths().values(), *site.getsitepackages(), site.getusersitepackages()}
    keep = {sysconfig.get_path("data"), sysconfig.get_path("scripts")}  # may hold a project
    ours = {str(Path(__file__).parent.parent)}
    return tuple(os.path.join(path, "") for path in (paths - keep) | ours)


_INSTALLED = _folders()


def is_own(file: str) -> bool:
    """Whether a file is the developer's."""
    return os.path.isfile(file) and not os.path.abspath(file).startswith(_INSTALLED)


def own_files(target: str) -> list[str]:
    """The files of the developer's modules that are loaded, and ``target`` if it is a file."""
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    if target.endswith(SUFFIX):
        files.append(target)
    return sorted({os.path.abspath(file) for file in files if file and is_own(file)})


def from_here(file: str) -> str:
    """``file`` from the working directory, if it is below that."""
    here = os.path.join(os.getcwd(), "")
    return file.removeprefix(here)


def handler_of(handler: Callable[..., object], where: str) -> tuple[str, str]:
    """The name of a handler, as in ``app.pick``, and its place, as in ``app.py:6``."""
    module = str(getattr(handler, "__module__", "")).partition(" of ")[0]
    name = getattr(handler, "__qualname__", type(handler).__qualname__)
    code = code_of(handler)
    place = f"{code.co_filename}:{code.co_firstlineno}" if code else where
    return f"{module}.{name}".lstrip("."), from_here(place)


def described(error: BaseException) -> Error:
    """What was raised, its text included: here the callers are invented."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if is_own(frame.filename)]
    last = (own or list(frames) or [traceback.FrameSummary("", 0, "")])[-1]
    file, number, code = last.filename, last.lineno or 0, (last.line or "").strip()
    if isinstance(error, SyntaxError):
        file, number, code = error.filename or "", error.lineno or 0, (error.text or "").strip()
    whole = "".join(traceback.format_exception(type(error), error, _from_own(error)))
    return Error(
        type=type(error).__name__,
        text=_text(error),
        file=from_here(file),
        line=number,
        function=last.name,
        code=code,
        trace=whole[-_LONGEST:],
    )


def _from_own(error: BaseException) -> TracebackType | None:
    """The traceback from the developer's own code on; all of it, if there is none."""
    found = error.__traceback__
    while found is not None and not is_own(found.tb_frame.f_code.co_filename):
        found = found.tb_next
    return found or error.__traceback__


def why_not(error: BaseException) -> tuple[str, str]:
    """Why an app does not load, and in which file; none if the command is wrong."""
    if isinstance(error, DeclarationError):
        file = error.where.rpartition(":")[0]
        return (f"{from_here(error.where)}: {error.problem}" if file else str(error)), file
    cause = error.__cause__ or error.__context__ if isinstance(error, LoadError) else error
    if cause is None:
        return str(error), ""
    found = described(cause)
    if not is_own(found.file):
        return str(error), ""
    said = f"{found.type}: {found.text}" if not isinstance(cause, SyntaxError) else cause.msg
    code = f"\n    {found.code}" if found.code else ""
    return f"{found.file}:{found.line}: {said}{code}", os.path.abspath(found.file)


def _text(error: BaseException) -> str:
    try:
        return str(error)[:_TEXT]
    except Exception as another:
        return f"(no text: {type(another).__name__})"
