"""The pages of the console, put together from the files of one folder as they are asked for.

Rule: ``{{name.html}}`` stands for that file, which several pages share; ``{{word}}`` for a value.
"""

from __future__ import annotations

import re
from pathlib import Path

_SLOT = re.compile(r"\{\{([\w.]+)\}\}")


def page_of(folder: Path, name: str, **values: str) -> str:
    """The file ``name``, with what stands in its slots.

    Raises:
        OSError: it, or one that it names, is not there.
    """

    def filled(found: re.Match[str]) -> str:
        slot = found[1]
        return values[slot] if slot in values else page_of(folder, slot, **values)

    return _SLOT.sub(filled, (folder / name).read_text("utf-8"))
