"""Exceptions with a place in the developer's code.

Rule 1: the place is the innermost line of the developer's code; without one, the innermost line.
Rule 2: a file below the working directory is named relative to it.
"""

from __future__ import annotations

import os
import sys
import traceback
from types import TracebackType

from receiver.config.load_app import SUFFIX
from receiver.declarations.introspection import from_here
from receiver.dev.messages import Error
from receiver.errors import DeclarationError, LoadError
from receiver.execution.source_files import is_own

_MAX_TRACE = 20_000  # characters
_MAX_TEXT = 1000


def own_files(target: str) -> list[str]:
    """Return the developer's files that are loaded, and ``target`` if it is a file."""
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    if target.endswith(SUFFIX):
        files.append(target)
    return sorted({os.path.abspath(file) for file in files if file and is_own(file)})


def described(error: BaseException, *, with_text: bool = True) -> Error:
    """Return an exception; ``with_text`` is False where it may hold digits that are hidden."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if is_own(frame.filename)]
    last = (own or list(frames) or [traceback.FrameSummary("", 0, "")])[-1]
    file, number, code = last.filename, last.lineno or 0, (last.line or "").strip()
    if isinstance(error, SyntaxError):
        file, number, code = error.filename or "", error.lineno or 0, (error.text or "").strip()
    if with_text:
        trace = "".join(traceback.format_exception(type(error), error, _from_own(error)))
    else:
        trace = "".join(traceback.format_tb(_from_own(error)))
    return Error(
        type=type(error).__name__,
        text=_text(error) if with_text else "(its text is hidden: the action is sensitive)",
        file=from_here(file),
        line=number,
        function=last.name,
        code=code,
        trace=trace[-_MAX_TRACE:],
    )


def _from_own(error: BaseException) -> TracebackType | None:
    """Return the traceback from the first line of the developer's code, or all of it."""
    found = error.__traceback__
    while found is not None and not is_own(found.tb_frame.f_code.co_filename):
        found = found.tb_next
    return found or error.__traceback__


def load_problem(error: BaseException) -> tuple[str, str]:
    """Return why an app does not load, and the file; empty if the command is wrong."""
    if isinstance(error, DeclarationError):
        file = error.where.rpartition(":")[0]
        return (f"{from_here(error.where)}: {error.problem}" if file else str(error)), file
    cause = error.__cause__ or error.__context__ if isinstance(error, LoadError) else error
    if cause is None:
        return str(error), ""
    found = described(cause)
    if not is_own(found.file):
        return str(error), ""
    text = f"{found.type}: {found.text}" if not isinstance(cause, SyntaxError) else cause.msg
    code = f"\n    {found.code}" if found.code else ""
    return f"{found.file}:{found.line}: {text}{code}", os.path.abspath(found.file)


def _text(error: BaseException) -> str:
    try:
        return str(error)[:_MAX_TEXT]
    except Exception as another:
        return f"(no text: {type(another).__name__})"
