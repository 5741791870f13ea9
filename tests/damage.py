"""Ways to damage the file of a store."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

PAGE = 4096


def garbage(path: Path) -> None:
    """Overwrite all of it."""
    path.write_bytes(_octets(max(path.stat().st_size, 3 * PAGE)))


def header(path: Path) -> None:
    """Overwrite its first page."""
    _overwrite(path, 0, PAGE)


def pages(path: Path) -> None:
    """Overwrite all but its first 100 octets."""
    _overwrite(path, 100, path.stat().st_size)


def text(path: Path) -> None:
    """Replace it by the text of another program."""
    path.write_text("no database, but a text of another program. " * 100)


def truncated(path: Path) -> None:
    """Truncate it within its first page."""
    os.truncate(path, 1000)


def emptied(path: Path) -> None:
    """Truncate it to nothing."""
    os.truncate(path, 0)


def _overwrite(path: Path, start: int, end: int) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(_octets(end - start))


def _octets(count: int) -> bytes:
    return random.Random(1).randbytes(count)  # noqa: S311 - the same each time


Damage = Callable[[Path], None]

DAMAGES: tuple[Damage, ...] = (garbage, header, pages, text, truncated, emptied)
