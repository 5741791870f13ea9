"""Read text tables as exported by spreadsheets, address books and CRMs.

Rule 1: An export needs no options: its first octets give the encoding, its first lines the
        delimiter by the required columns, and those by their names.
Rule 2: An error names the line, the column and the cure, never the value of a cell.
Rule 3: Empty lines are ignored. `handlers.tables.rows` decides which rows are incomplete.

Sources: RFC 4180; exports of Excel ("CSV UTF-8", "CSV (delimited)", "Unicode Text"), Google
Contacts, Outlook and HubSpot. Google writes several numbers into one cell, separated by `` ::: ``,
and custom fields into pairs of columns, ``… - Label`` (or ``- Type``) and ``… - Value``.
"""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from handlers.tables.text_files import read_text
from receiver import DeclarationError

DELIMITERS = (",", ";", "\t", "|")
"""Delimiters between columns, the most usual first."""

SEVERAL = ":::"
"""Google's separator of several numbers in one cell."""

_BLANK = re.compile(r"(?:[ \t]*(?:\r\n|\r|\n))+")
_SEPARATOR = re.compile(r'"?sep=(.)"?\r?\n', re.IGNORECASE)  # a first line for Excel
_KEYS = frozenset({"number", "digits"})
_DESTINATIONS = frozenset({"destination", "ziel"})
_PHONE = re.compile(
    r"phone|telefon|mobil|handy|rufnummer|\btel\b|cellul|celular|portable|\bmovil\b|\bcell\b"
)
_NO_PHONE = re.compile(
    r"fax|pager|telex|tty|label|type|typ\b|country|extension|assistan|assistent|firma|"
    r"company main|organi[sz]ation|callback|calculated|area code"
)
_LABEL = re.compile(r"(.+) - (?:label|type)")
_DATA = re.compile(r"[0-9]{3}|@")  # occurs in most rows, not in column names
_SHOWN = 12  # column names in an error


@dataclass(frozen=True, slots=True)
class Options:
    """Options of a text file.

    Attributes:
        columns: names of the columns, the destination's last; empty to find them by their names.
        delimiter: one character; empty to find it.
        encoding: as Python names it; empty to find it.
    """

    columns: tuple[str, ...] = ()
    delimiter: str = ""
    encoding: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """The value of a row in one column."""

    column: str
    value: object


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table.

    Attributes:
        where: as errors name it.
        keys: what is looked up; a cell for each column that may hold it.
        destination: where it leads.
    """

    where: str
    keys: tuple[Cell, ...]
    destination: Cell


def checked(columns: object, delimiter: object, encoding: object) -> Options:
    """Return the options of a table.

    Raises:
        DeclarationError: one of them is wrong.
    """
    if isinstance(columns, str) or not isinstance(columns, Sequence) or len(columns) == 1:
        raise DeclarationError(
            "Table: columns= are names: the key's column, the destination's last"
        )
    if not all(isinstance(name, str) and name.strip() for name in columns):
        raise DeclarationError(
            "Table: columns= are names: the key's column, the destination's last"
        )
    if not isinstance(delimiter, str) or len(delimiter) > 1 or delimiter in ('"', "\r", "\n"):
        raise DeclarationError('Table: delimiter= is one character, such as ";" or "\\t"')
    try:
        if not isinstance(encoding, str):
            raise LookupError
        b"ab".decode(encoding or "utf-8", "replace")
    except (LookupError, UnicodeError, ValueError):
        raise DeclarationError(
            'Table: encoding= is one that Python knows, such as "utf-8", "cp1252" or "utf-16"'
        ) from None
    return Options(tuple(columns), delimiter, encoding)


def read_rows(path: Path, options: Options) -> Iterator[Row]:
    """Read the rows of a file.

    Raises:
        DeclarationError: it cannot be read, or lacks a column.
    """
    text = read_text(path, options.encoding, "name its encoding with encoding=, or ")
    first, delimiter = 1, options.delimiter
    if blank := _BLANK.match(text):
        text, first = text[blank.end() :], first + len(blank[0].splitlines())
    if said := _SEPARATOR.match(text):
        text, first, delimiter = text[said.end() :], first + 1, delimiter or said[1]
    head, delimiter = _head(text, f"{path}:{first}", delimiter, options.columns)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    begins = first
    try:
        for number, cells in enumerate(reader):
            where, begins = f"{path}:{begins}", first + reader.line_num
            if number and any(cell.strip() for cell in cells):
                yield head.row(where, cells)
    except csv.Error:
        raise DeclarationError(
            "a quote is not closed, or not doubled within quotes: write the row as the others",
            f"{path}:{begins}",
        ) from None


# columns -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Head:
    """The positions of the required columns.

    Attributes:
        names: of all columns.
        keys: columns of what is looked up.
        destination: its column; -1 if only labelled ones may hold it.
        labelled: columns of Google, that of a label and that of its value.
    """

    names: tuple[str, ...]
    keys: tuple[int, ...]
    destination: int
    labelled: tuple[tuple[int, int], ...] = ()

    def row(self, where: str, cells: Sequence[str]) -> Row:
        """Return a row; Excel omits empty cells at its end."""
        found = self.destination
        for label, value in self.labelled:
            if label < len(cells) and _folded(cells[label]) in _DESTINATIONS:
                found = value
        keys = tuple(self._cell(cells, column) for column in self.keys)
        return Row(where, keys, self._cell(cells, found))

    def _cell(self, cells: Sequence[str], column: int) -> Cell:
        if column < 0:
            return Cell("destination", "")
        return Cell(self.names[column], cells[column] if column < len(cells) else "")


def _head(text: str, where: str, delimiter: str, wanted: tuple[str, ...]) -> tuple[_Head, str]:
    """Return the first row and its delimiter, the one that gives the most columns."""
    best: list[str] = []
    for candidate in (delimiter,) if delimiter else DELIMITERS:
        try:
            names = next(csv.reader(io.StringIO(text, newline=""), delimiter=candidate), [])
        except csv.Error:
            continue
        if (head := _columns(names, wanted)) is not None:
            return head, candidate
        best = max(best, names, key=len)
    raise DeclarationError(_missing(best, wanted), where)


def _columns(names: Sequence[str], wanted: tuple[str, ...]) -> _Head | None:
    """Return the positions of the columns, None if a required one is missing."""
    folded = [_folded(name) for name in names]
    if wanted:
        found = [[i for i, name in enumerate(folded) if name == _folded(one)] for one in wanted]
        if not all(found):
            return None
        return _Head(tuple(names), tuple(i for one in found[:-1] for i in one), found[-1][0])
    keys = [i for i, name in enumerate(folded) if name in _KEYS] or [
        i for i, name in enumerate(map(_without_accents, folded)) if _is_phone(name)
    ]
    labelled = tuple(
        (i, folded.index(f"{match[1]} - value"))
        for i, name in enumerate(folded)
        if (match := _LABEL.fullmatch(name)) and f"{match[1]} - value" in folded[i:]
    )
    destinations = [i for i, name in enumerate(folded) if name in _DESTINATIONS]
    if not keys or not (destinations or labelled) or len(destinations) > 1:
        return None
    return _Head(tuple(names), tuple(keys), destinations[0] if destinations else -1, labelled)


def _is_phone(name: str) -> bool:
    return _PHONE.search(name) is not None and _NO_PHONE.search(name) is None


def _folded(name: str) -> str:
    return " ".join(name.split()).casefold()


def _without_accents(name: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", name) if not unicodedata.combining(c))


def _missing(names: Sequence[str], wanted: tuple[str, ...]) -> str:
    """Return the error for a missing column, with the cure."""
    folded = [_folded(name) for name in names]
    columns = wanted or ("number", "destination")
    missing = next((name for name in columns if _folded(name) not in folded), columns[-1])
    if not any(folded):
        return "the file is empty: its first line must hold the names of the columns"
    if not wanted and len(destinations := [n for n in names if _folded(n) in _DESTINATIONS]) > 1:
        shown = " and ".join(map(repr, destinations))
        return f"several columns may be the destination, {shown}: name the columns with columns="
    if len(names) == 1:
        cure = "there is one column only: name the character between columns with delimiter="
    elif any(_DATA.search(name) for name in names):
        cure = "the first line must hold the names of the columns, and this one holds data"
    else:
        shown = ", ".join(repr(name[:40]) for name in names[:_SHOWN]) or "none"
        cure = f"name the columns with columns=, the destination's last; there are {shown}"
    return f"there is no column {missing!r}: {cure}"
