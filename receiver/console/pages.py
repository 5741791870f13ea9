"""The pages of the console: templates in one folder.

Rule: ``{{name.html}}`` is replaced by that file, ``{{name}}`` by a value.
"""

from __future__ import annotations

import re
from pathlib import Path

_PLACEHOLDER = re.compile(r"\{\{([\w.]+)\}\}")


def page_of(folder: Path, name: str, **values: str) -> str:
    """Return the file ``name`` with its placeholders replaced.

    Parameters:
        folder: of the files.
        name: of the page.
        values: of the placeholders.

    Raises:
        OSError: a file cannot be read.
    """

    def replaced(found: re.Match[str]) -> str:
        key = found[1]
        return values[key] if key in values else page_of(folder, key, **values)

    return _PLACEHOLDER.sub(replaced, (folder / name).read_text("utf-8"))
