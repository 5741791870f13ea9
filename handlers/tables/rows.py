"""Rows of a file or database as a table of handlers.

Rule 1: A table with one invalid row is refused as a whole; the error names line and column, never
        the value.
Rule 2: Rows without a number or a destination are skipped and counted in the log. Two rows of one
        number count as one if they have the same destination.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

from handlers.tables import exports
from handlers.tables.exports import Cell, Row
from receiver import Call, DeclarationError, NumberError, Reply, handler_of

Handlers = Mapping[str, Callable[[Call], Awaitable[Reply]]]

log = logging.getLogger("receiver.handlers")


class RowReader:
    """Reads rows into a table of handlers by key.

    Parameters:
        normalize: returns the form in which keys are compared.
        several: whether a cell may contain several keys.
        skip_incomplete: whether to skip rows without a key or a destination.
    """

    def __init__(
        self, normalize: Callable[[str], str], *, several: bool, skip_incomplete: bool
    ) -> None:
        self._normalize = normalize
        self._several = several
        self._skip_incomplete = skip_incomplete
        self._skipped = (0, 0)

    def read(self, name: str, rows: Callable[[], Iterable[Row]]) -> Handlers:
        """Return the table of all rows.

        Parameters:
            name: of the source, for the log.

        Raises:
            DeclarationError: a row is invalid.
        """
        table: dict[str, Callable[[Call], Awaitable[Reply]]] = {}
        handlers: dict[str, Callable[[Call], Awaitable[Reply]]] = {}  # by destination
        seen: dict[str, tuple[str, str]] = {}
        skipped = [0, 0]
        for row in rows():
            keys, destination = self._keys(row), _text(row, row.destination).lower()
            missing = 0 if not keys else 1 if not destination else None
            if missing is not None:
                skipped[missing] += 1
                self._check_complete(row, missing)
                continue
            if destination not in handlers:
                column = f"{row.where}: column {row.destination.column!r}: the destination"
                handlers[destination] = handler_of(destination, column)
            for key, cell in keys.items():
                if (before := seen.setdefault(key, (destination, row.where)))[0] != destination:
                    raise DeclarationError(
                        f"column {cell.column!r}: the number is also in {before[1]} with "
                        "another destination: give both rows one destination, or delete one",
                        row.where,
                    )
                table[key] = handlers[destination]
        self._report(name, skipped[0], skipped[1], len(table))
        return table

    def _keys(self, row: Row) -> dict[str, Cell]:
        """Return the keys of a row with their cells."""
        found: dict[str, Cell] = {}
        for cell in row.keys:
            text = _text(row, cell)
            for part in text.split(exports.SEVERAL) if self._several else (text,):
                try:
                    key = self._normalize(part)
                except NumberError as error:
                    raise DeclarationError(
                        f"column {cell.column!r}: {error.problem}", row.where
                    ) from None
                if key:
                    found.setdefault(key, cell)
        return found

    def _check_complete(self, row: Row, missing: int) -> None:
        if not self._skip_incomplete:
            cell, what = (row.destination, "destination") if missing else (row.keys[0], "number")
            raise DeclarationError(
                f"column {cell.column!r}: the {what} is missing: fill it in, delete the row, or "
                "leave out skip_incomplete=False",
                row.where,
            )

    def _report(self, name: str, without_key: int, without_destination: int, read: int) -> None:
        """Log the number of skipped rows, unless it has not changed."""
        skipped = (without_key, without_destination)
        if any(skipped) and not read:
            raise DeclarationError(
                f"{name}: no row has both a number and a destination: fill them in, or name their "
                "columns with columns="
            )
        if any(skipped) and skipped != self._skipped:
            log.warning(
                "%s: skipped rows without a number: %d, without a destination: %d",
                name,
                *skipped,
            )
        self._skipped = skipped


def _text(row: Row, cell: Cell) -> str:
    value = cell.value
    if isinstance(value, float | bytes):  # a float has lost digits and never equals keyed input
        raise DeclarationError(
            f"column {cell.column!r} holds {type(value).__name__}, as a REAL column or a BLOB "
            "does: store it as text, or write CAST(… AS TEXT) in the query",
            row.where,
        )
    return "" if value is None else str(value).strip()
