"""Distinguish the developer's source files from installed packages."""

from __future__ import annotations

import os
import site
import sysconfig
from functools import cache
from pathlib import Path

PACKAGE = os.path.join(str(Path(__file__).parent.parent), "")
"""The folder of this package, with a separator at its end."""


@cache
def _installed() -> tuple[str, ...]:
    """Return the folders of the standard library, of packages, and of this one."""
    paths = {*sysconfig.get_paths().values(), *site.getsitepackages(), site.getusersitepackages()}
    projects = {sysconfig.get_path("data"), sysconfig.get_path("scripts")}  # may hold a project
    return (*(os.path.join(path, "") for path in paths - projects), PACKAGE)


def is_own(file: str) -> bool:
    """Return whether ``file`` is source code of the developer's."""
    return os.path.isfile(file) and not os.path.abspath(file).startswith(_installed())
