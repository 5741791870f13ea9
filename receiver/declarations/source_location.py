"""The places of declarations, for the texts of errors."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

_HERE = Path(__file__).parent
_APP = str(_HERE.parent / "app.py")  # ``app.on`` declares, too
_said: ContextVar[str] = ContextVar("said", default="")


@contextmanager
def declared_at(where: str) -> Iterator[None]:
    """Report ``where``, a ``file:line`` that is no code, as the place of declarations meanwhile."""
    token = _said.set(where)
    try:
        yield
    finally:
        _said.reset(token)


def place_of_call() -> str:
    """Return ``file:line`` of the code outside the declarations that is running now."""
    if said := _said.get():
        return said
    frame = sys._getframe(1)
    while frame.f_back and _is_ours(frame.f_code.co_filename):
        frame = frame.f_back
    return f"{frame.f_code.co_filename}:{frame.f_lineno}"


def _is_ours(file: str) -> bool:
    return file == _APP or _HERE in Path(file).parents
