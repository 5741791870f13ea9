"""Handler that looks up the caller or the digits in a CSV file, a database, or an async function.

::

    vips = Table("vips.csv", unknown=Forward("8000"))
    sales.add("CALLER", "+49*********", vips, name="vips")

    Table("office.db", key="digits", query="SELECT extension, destination FROM staff")
    Table("postgresql+psycopg://…", query="SELECT phone, owner FROM customers", region="DE")

Rule 1: The whole table is in memory, so a look-up is immediate. It is read again after a change: a
        file within a second, a database, which reports no changes, every ten seconds. Replace a
        file by renaming the new one: half a file may be a valid table.
Rule 2: A table that cannot be read, or has an invalid row, is refused: the old one stays in use,
        and the log contains line and column, never the value.
Rule 3: A file must be valid when the service starts. A database server may be down: callers get the
        fallback until it is read once.
Rule 4: A row without a number or without a destination is skipped and counted in the log; a dash or
        the like is no number. Two rows of one number count as one if they have one destination.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Literal, get_args

from handlers.tables import databases, exports
from handlers.tables.rows import Handlers, RowReader
from receiver import (
    Call,
    DeclarationError,
    FinishKey,
    NumberError,
    PhoneNumbers,
    Reply,
    Then,
    handler_of,
    is_sensitive,
    repeats_of,
)
from receiver.upstream import Reloading, stamp

Key = Literal["caller", "digits"]
Find = Callable[[str], Awaitable[Then | None]]
"""Function of the key; returns a reply or handler, None for an unknown key."""

_DECIMAL = re.compile(r"[0-9]+(?:[.,][0-9]+)?[eE]\+?[0-9]+|[0-9]+[.,][0-9]+")
_FORMULA = re.compile(r'="(.*)"', re.DOTALL)  # keeps leading zeros in a spreadsheet

_DATABASE_INTERVAL = 10.0  # seconds between two reads of a database without change detection
_FILE_INTERVAL = 1.0  # seconds between two looks at the version of a file


class Table:
    """A handler that looks the caller or the digits up.

    ::

        ivr.add("CALLER", "any", Table("examples/06_table.csv", region="DE"), name="table")

    Parameters:
        source: path of a text file with a header row (CSV, or an export of a spreadsheet, an
            address book or a CRM); path of a SQLite file (``.db``, ``.sqlite``, ``.sqlite3``); URL
            of a database for SQLAlchemy (extra ``sql``, and a synchronous driver); or an async
            function of the key, such as a `receiver.upstream.Lookup`.
        key: the ``"caller"``'s number, or the ``"digits"``, compared as text.
        unknown: reply or handler for unknown keys; the default repeats the prompt.
        columns: column names of a file: one or more of the key, the destination's last. The default
            is ``number``, or all columns with phone numbers, and ``destination``. A destination may
            be ``hangup`` or ``repeat``.
        delimiter: character between columns of a file; detected by default.
        encoding: encoding of a file, by its Python name; detected by default.
        skip_incomplete: False refuses rows without a number or a destination; by default they are
            skipped and counted in the log.
        query: query of a database that returns key and destination, in this order.
        region: region of callers' numbers, see `receiver.PhoneNumbers`.
        every: seconds between two checks of the source.
        finish_key: ``"#"`` (the default) or ``"*"`` at the end of the digits is removed, unless the
            table contains it; ``""`` for none.

    In a file::

        handler = "table"
        source = "customers.csv"
        unknown = "8001"

    Raises:
        DeclarationError: an option is wrong, the library for the source is not installed, or the
            file cannot be read or has an invalid row; the text names file and line.
    """

    def __init__(
        self,
        source: str | Path | Find,
        *,
        key: Key = "caller",
        unknown: Then = "repeat",
        columns: Sequence[str] = (),
        delimiter: str = "",
        encoding: str = "",
        skip_incomplete: bool = True,
        query: str = "",
        region: str = "",
        every: float | None = None,
        finish_key: FinishKey = "#",
    ) -> None:
        if key not in get_args(Key):
            raise DeclarationError(f'Table: key={key!r} must be "caller" or "digits"')
        if finish_key not in get_args(FinishKey):
            raise DeclarationError(f'Table: finish_key={finish_key!r} must be "#", "*", ""')
        options = exports.checked(columns, delimiter, encoding)
        self._key = key
        self._finish_key = finish_key
        self._unknown = handler_of(unknown, "Table: unknown")
        self.sensitive = is_sensitive(self._unknown)
        self.repeats = repeats_of(self._unknown)
        self._numbers = PhoneNumbers(region)
        self._find: Find | None = None
        if isinstance(source, str | Path):
            several = key == "caller"  # a cell with digits is one key
            reader = RowReader(self._row_key, several=several, skip_incomplete=skip_incomplete)
            self._table = _table(source, options, query, reader, every)
        elif callable(source):
            self._find = source
        else:
            raise DeclarationError("Table: source= must be a path, a URL or an async function")

    async def __call__(self, call: Call) -> Reply:
        if self._key == "caller" and call.anonymous:
            return await self._unknown(call)
        if self._find is not None:
            finished = call.without_finish_key(self._finish_key)
            found = await self._find(call.caller if self._key == "caller" else finished.digits)
            then = (
                self._unknown
                if found is None
                else handler_of(found, "Table: the result of source=")
            )
        else:
            table = await self._table(call)
            keys = (key for key in self._call_keys(call) if key in table)
            then = table.get(next(keys, ""), self._unknown)
        return await then(call)

    def _call_keys(self, call: Call) -> tuple[str, ...]:
        """Return the keys of the call; the first one in the table counts."""
        if self._key == "caller":
            return (self._numbers.key(call.caller, call.number_format),)
        return call.digits.strip(), call.without_finish_key(self._finish_key).digits.strip()

    def _row_key(self, text: str) -> str:
        """Return the key of a row; empty if the cell is empty, a dash or the like.

        Raises:
            NumberError: the cell does not contain exactly one number.
        """
        text = text.strip()
        if self._key == "digits":
            if _DECIMAL.fullmatch(text):
                raise NumberError(
                    "it is a decimal or an exponent, as a spreadsheet writes numbers, which no "
                    "caller keys in: store the digits as text"
                )
            return found[1] if (found := _FORMULA.fullmatch(text)) else text
        if not any(map(str.isalnum, text)):
            return ""
        if Call(text).anonymous:
            raise NumberError(
                "it stands for a withheld number: delete the row; unknown= is the reply for "
                "callers without a number"
            )
        return self._numbers.parse(text).key


def _table(
    source: str | Path,
    options: exports.Options,
    query: str,
    reader: RowReader,
    every: float | None,
) -> Reloading[Handlers]:
    """Return the table of ``source``, which is reloaded after changes."""
    is_database = databases.is_url(str(source))
    if every is None:
        every = _DATABASE_INTERVAL if is_database else _FILE_INTERVAL
    if is_database:
        rows = databases.open_database(str(source), databases.checked_query(query))
        name = "the database of a Table"
        return Reloading(name, partial(reader.read, name, rows), interval=every, eager=False)
    path = Path(source)
    if path.suffix in databases.SQLITE:
        rows = partial(databases.read_sqlite, path, databases.checked_query(query))
        log = path.with_name(path.name + "-wal")  # SQLite's write-ahead log
        version = partial(stamp, path, log)
    else:
        rows = partial(exports.read_rows, path, options)
        version = partial(stamp, path)
    return Reloading(str(path), partial(reader.read, str(path), rows), version, interval=every)
