"""Who is calling decides where the call goes, from a CSV file or any async function.

::

    vips = CallerLookup("vips.csv", unknown=Forward("8000"))
    sales.add("CALLER", "+49*********", vips, name="vips")

The file has a header row with the columns ``number`` and ``destination``; others are passed over.
"""

from __future__ import annotations

import csv
from collections.abc import Awaitable, Callable
from pathlib import Path

from receiver import Call, DeclarationError, Forward, Repeat, Reply, ReplyError

Find = Callable[[str], Awaitable[Reply | None]]
"""From a caller's number to a reply, or to None for somebody unknown."""


class CallerLookup:
    """A handler that looks the caller's number up.

    Parameters:
        source: the path of a CSV file, which is read once and now; or an async function.
        unknown: the reply to callers that are not found; by default the prompt is played again.

    Raises:
        DeclarationError: the file cannot be read or has a wrong row; the text names file and line.
    """

    def __init__(self, source: str | Path | Find, unknown: Reply | None = None) -> None:
        self.unknown: Reply = Repeat() if unknown is None else unknown
        if not isinstance(self.unknown, Reply):
            raise DeclarationError(f"CallerLookup: unknown={unknown!r} is no reply")
        if not callable(source) and not isinstance(source, str | Path):
            raise DeclarationError("CallerLookup wants the path of a CSV file or an async function")
        self._find = source if callable(source) else _Table(Path(source)).find

    async def __call__(self, call: Call) -> Reply:
        found = await self._find(call.caller)
        return self.unknown if found is None else found


class _Table:
    """Replies by number; numbers compare without punctuation and with 00 for +."""

    def __init__(self, path: Path) -> None:
        self._replies: dict[str, Reply] = {}
        try:
            with path.open(newline="", encoding="utf-8-sig") as file:
                rows = csv.DictReader(file)
                if missing := {"number", "destination"} - set(rows.fieldnames or ()):
                    raise DeclarationError(f"{path}:1: there is no column {min(missing)!r}")
                for row in rows:
                    self._add(row["number"], row["destination"], f"{path}:{rows.line_num}")
        except OSError as error:
            raise DeclarationError(f"{path}: {error.strerror}") from None
        except (UnicodeDecodeError, csv.Error) as error:
            raise DeclarationError(f"{path} is not a CSV file in UTF-8: {error}") from None

    def _add(self, number: str | None, destination: str | None, where: str) -> None:
        key = normalise(number or "")
        if not key or key in self._replies:
            raise DeclarationError("the number is " + ("there twice" if key else "missing"), where)
        try:
            self._replies[key] = Forward((destination or "").strip())
        except ReplyError as error:
            raise DeclarationError(error.problem, where) from None

    async def find(self, number: str) -> Reply | None:
        return self._replies.get(normalise(number))


def normalise(number: str) -> str:
    """``number`` as it is compared: digits only, an international 00 dropped like a +."""
    digits = "".join(c for c in number if c in "0123456789")
    return digits.removeprefix("00")
