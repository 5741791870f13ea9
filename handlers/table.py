"""Where callers, or what they key in, belong: from a CSV file, a database, or any async function.

::

    vips = Table("vips.csv", unknown=Forward("8000"))
    sales.add("CALLER", "+49*********", vips, name="vips")

    Table("office.db", key="digits", query="SELECT extension, destination FROM staff")
    Table("postgresql+psycopg://…", query="SELECT phone, owner FROM customers", region="DE")

Rule 1: the whole table is in memory, so a look-up waits for nothing. It is read again when it has
        changed: a file within a second, a database, which does not tell, every ten. Put a new file
        in place by renaming it, for half a file may be a table, too.
Rule 2: a table that cannot be read, or with one wrong row, is not taken: the old one stays in use,
        and the log says why. Of a row it names the line, never what stands there.
Rule 3: a file must be right when the service starts. A database server may be down then: until it
        is read once, callers get the fallback.
"""

from __future__ import annotations

import csv
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Literal, get_args
from urllib.parse import quote

from receiver import (
    Call,
    DeclarationError,
    Numbering,
    Reply,
    Then,
    Unavailable,
    handler_of,
    is_sensitive,
)
from receiver.upstream import Reloading, stamp

Key = Literal["caller", "digits"]
Find = Callable[[str], Awaitable[Then | None]]
"""From what is looked up to where it leads, or to None for what is not known."""

Handlers = Mapping[str, Callable[[Call], Awaitable[Reply]]]
Row = tuple[str, object, object]
"""Where it stands, what is looked up, and where that leads."""

_SQLITE = (".db", ".sqlite", ".sqlite3")
_SERVER = 10.0  # seconds between two readings of what does not tell its changes


class Table:
    """A handler that looks the caller or the digits up.

    Parameters:
        source: the path of a CSV file in UTF-8 with a header row; the path of a SQLite file
            (``.db``, ``.sqlite``, ``.sqlite3``); the URL of a database as SQLAlchemy takes it
            (extra ``sql``, and the driver); or an async function of what is looked up, such as a
            `receiver.upstream.Lookup`.
        key: what is looked up: the ``"caller"``'s number, or the ``"digits"``, compared as text.
        unknown: where a call leads that is not found; by default the prompt is played again.
        columns: of a CSV file, the names of the key's and the destination's columns, by default
            ``number`` and ``destination``. A destination may be ``hangup`` or ``repeat``.
        query: of a database: gives the same two, in this order.
        region: for callers' numbers, see `receiver.Numbering`.
        every: seconds between two looks at the source.

    In a file::

        handler = "table"
        source = "customers.csv"
        unknown = "8001"

    Raises:
        DeclarationError: an option is wrong, the library for the source is not installed, or the
            file cannot be read or has a wrong row; the text names file and line.
    """

    def __init__(
        self,
        source: str | Path | Find,
        *,
        key: Key = "caller",
        unknown: Then = "repeat",
        columns: tuple[str, str] = ("number", "destination"),
        query: str = "",
        region: str = "",
        every: float | None = None,
    ) -> None:
        if key not in get_args(Key):
            raise DeclarationError(f'Table: key={key!r} is neither "caller" nor "digits"')
        if len(columns) != 2 or not all(isinstance(name, str) for name in columns):
            raise DeclarationError("Table: columns= are two names: the key's, the destination's")
        self._key = key
        self._unknown = handler_of(unknown, "Table: unknown")
        self.sensitive = is_sensitive(self._unknown)
        self._numbering = Numbering(region)
        self._find: Find | None = None
        if isinstance(source, str | Path):
            self._table = _table(source, tuple(columns), query, self._normal, every)
        elif callable(source):
            self._find = source
        else:
            raise DeclarationError("Table: source= is a path, a URL or an async function")

    async def __call__(self, call: Call) -> Reply:
        sought = call.caller if self._key == "caller" else call.digits
        if self._find is not None:
            found = await self._find(sought)
            then = self._unknown if found is None else handler_of(found, "Table: what was found")
        else:
            then = (await self._table(call)).get(self._normal(sought), self._unknown)
        return await then(call)

    def _normal(self, text: str) -> str:
        return self._numbering.key(text) if self._key == "caller" else text.strip()


def _table(
    source: str | Path,
    columns: tuple[str, ...],
    query: str,
    normal: Callable[[str], str],
    every: float | None,
) -> Reloading[Handlers]:
    """The table that ``source`` holds, now and later."""
    if "://" in str(source):
        rows = _server(str(source), query)
        read = partial(_read, rows, normal)
        return Reloading(
            "the database of a Table",
            read,
            every=_SERVER if every is None else every,
            at_once=False,
        )
    path = Path(source)
    if path.suffix in _SQLITE:
        read = partial(_read, partial(_sqlite, path, _checked(query)), normal)
        log = path.with_name(path.name + "-wal")  # where SQLite may write first
        return Reloading(str(path), read, partial(stamp, path, log), every=every)
    read = partial(_read, partial(_csv, path, columns), normal)
    return Reloading(str(path), read, partial(stamp, path), every=every)


def _read(rows: Callable[[], Iterable[Row]], normal: Callable[[str], str]) -> Handlers:
    table: dict[str, Callable[[Call], Awaitable[Reply]]] = {}
    same: dict[str, Callable[[Call], Awaitable[Reply]]] = {}  # most rows lead to few places
    for where, left, right in rows():
        key = normal("" if left is None else str(left))
        if not key or key in table:
            raise DeclarationError("the number is " + ("there twice" if key else "missing"), where)
        destination = "" if right is None else str(right).strip()
        if destination not in same:
            same[destination] = handler_of(destination, f"{where}: the destination")
        table[key] = same[destination]
    return table


def _csv(path: Path, columns: tuple[str, ...]) -> Iterator[Row]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            rows = csv.DictReader(file)
            missing = [name for name in columns if name not in (rows.fieldnames or ())]
            if missing:
                raise DeclarationError(f"there is no column {missing[0]!r}", f"{path}:1")
            for row in rows:
                yield f"{path}:{rows.line_num}", row[columns[0]], row[columns[1]]
    except OSError as error:
        raise DeclarationError(f"{path}: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise DeclarationError(
            f"{path} is not a CSV file in UTF-8: {type(error).__name__}"
        ) from None


def _sqlite(path: Path, query: str) -> Iterator[Row]:
    try:
        address = f"file:{quote(str(path.absolute()))}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=1)) as connection:
            yield from _numbered(str(path), connection.execute(query))
    except sqlite3.Error as error:
        raise DeclarationError(f"{path} as SQLite with query={query!r}: {error}") from None


def _server(url: str, query: str) -> Callable[[], Iterable[Row]]:
    """Reads the rows of ``query``, later. No text holds the URL, which has a password in it."""
    try:
        from sqlalchemy import create_engine, text  # noqa: PLC0415 - an extra
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError  # noqa: PLC0415
        from sqlalchemy.pool import NullPool  # noqa: PLC0415
    except ImportError:
        raise DeclarationError(
            "Table: a database needs the library SQLAlchemy: pip install 'portsip-receiver[sql]'"
        ) from None
    try:
        engine = create_engine(url, poolclass=NullPool)
    except (ArgumentError, NoSuchModuleError, ImportError) as error:
        kind = f"no module {error.name!r}" if isinstance(error, ImportError) else "not understood"
        raise DeclarationError(f"Table: the URL of the database: {kind}") from None
    statement = text(_checked(query))

    def rows() -> Iterator[Row]:
        try:
            with engine.connect() as connection:
                yield from _numbered("the query", connection.execute(statement))
        except SQLAlchemyError as error:
            reason = str(getattr(error, "orig", None) or type(error).__name__).partition("\n")[0]
            raise Unavailable(f"the database does not answer the query: {reason[:200]}") from None

    return rows


def _numbered(where: str, rows: Iterable[Iterable[object]]) -> Iterator[Row]:
    for number, row in enumerate(rows, 1):
        values = tuple(row)
        if len(values) != 2:
            raise DeclarationError("the query gives two columns: what is sought, where it leads")
        yield f"{where}: row {number}", *values


def _checked(query: str) -> str:
    if not isinstance(query, str) or not query.strip():
        raise DeclarationError(
            'Table: a database needs query=, as in "SELECT number, destination FROM customers"'
        )
    return query
