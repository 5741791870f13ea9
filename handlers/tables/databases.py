"""Read the rows of a query from a SQLite file, or from any database of SQLAlchemy.

Rule 1: No text contains any part of a URL, which includes a password; the parts are also replaced
        in the texts of libraries' errors.
Rule 2: An unusable URL (an async driver, an unknown dialect, a missing driver) is refused at the
        declaration, with the cure.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from handlers.tables.exports import Cell, Row
from receiver import DeclarationError, Unavailable

if TYPE_CHECKING:
    from sqlalchemy import Engine

SQLITE = (".db", ".sqlite", ".sqlite3")
"""Suffixes of SQLite files."""

_POSTGRESQL = "postgresql+psycopg://"
_SYNCHRONOUS = {
    "asyncpg": _POSTGRESQL,
    "psycopg_async": _POSTGRESQL,
    "aiosqlite": "sqlite:///",
    "pysqlite_async": "sqlite:///",
    "aiomysql": "mysql+pymysql://",
    "asyncmy": "mysql+pymysql://",
    "oracledb_async": "oracle+oracledb://",
    "aioodbc": "mssql+pyodbc://",
}
"""Asynchronous drivers, with URL prefixes of synchronous ones."""

_SUGGESTED = {
    "mysql": "mysql+pymysql://",
    "mariadb": "mariadb+pymysql://",
    "oracle": "oracle+oracledb://",
    "mssql": "mssql+pymssql://",
}
"""URL prefix of a driver that pip installs without compiling, by dialect."""

_CREDENTIALS = re.compile(r":[^/\\:@]+@")

_ENCODE = (
    "write it as dialect+driver://user:password@host:port/database, with special characters of the "
    "password percent-encoded (%40 for @, %3A for :, %2F for /)"
)


def is_url(source: str) -> bool:
    """Return whether a source is a database URL, perhaps mistyped, and not a path."""
    return "://" in source or _CREDENTIALS.search(source) is not None


def read_sqlite(path: Path, query: str) -> Iterator[Row]:
    """Read the rows of ``query`` from a SQLite file.

    Raises:
        DeclarationError: the file or the query is wrong.
    """
    try:
        address = f"file:{quote(str(path.absolute()))}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=1)) as connection:
            cursor = connection.execute(query)
            names = [column[0] for column in cursor.description or ()]
            yield from _rows(str(path), names, cursor)
    except sqlite3.Error as error:
        raise DeclarationError(f"{path} as SQLite with query={query!r}: {error}") from None


def open_database(url: str, query: str) -> Callable[[], Iterable[Row]]:
    """Return a function that reads the rows of ``query``.

    Raises:
        DeclarationError: the URL cannot work, or a library for it is missing.
    """
    engine = _engine(url)
    from sqlalchemy import text  # noqa: PLC0415 - an extra

    statement = text(query)

    def rows() -> Iterator[Row]:
        try:
            with engine.connect() as connection:
                result = connection.execute(statement)
                yield from _rows("the query", list(result.keys()), result)
        except DeclarationError:
            raise
        except Exception as error:  # errors of drivers may repeat the URL
            reason = _without(url, str(getattr(error, "orig", None) or type(error).__name__))
            raise Unavailable(f"the database does not answer the query: {reason}") from None

    return rows


def _engine(url: str) -> Engine:
    try:
        from sqlalchemy import create_engine, make_url  # noqa: PLC0415 - an extra
        from sqlalchemy.exc import NoSuchModuleError  # noqa: PLC0415
        from sqlalchemy.pool import NullPool  # noqa: PLC0415
    except ImportError:
        raise DeclarationError(
            "Table: a database needs the library SQLAlchemy: pip install 'portsip-receiver[sql]'"
        ) from None
    _check_scheme(url)
    try:
        if make_url(url).get_dialect().is_async:
            raise DeclarationError(_asynchronous(""))
        return create_engine(url, poolclass=NullPool)
    except DeclarationError:
        raise
    except ImportError as error:
        dialect = re.split(r"\W", url.lower(), maxsplit=1)[0]
        raise DeclarationError(
            f"Table: the database's driver is not installed: no module {error.name!r}; install it "
            f"with pip, or name another one, as in {_SUGGESTED.get(dialect, _POSTGRESQL)}"
        ) from None
    except NoSuchModuleError:
        raise DeclarationError(
            "Table: the URL of the database is not understood: SQLAlchemy knows no such dialect or "
            "driver; a URL begins with postgresql+psycopg://, mysql+pymysql://, sqlite:/// or such"
        ) from None
    except Exception:  # a ValueError repeats the presumed port
        raise DeclarationError(
            f"Table: the URL of the database is not understood: {_ENCODE}"
        ) from None


def _check_scheme(url: str) -> None:
    """Refuse dialects and drivers that cannot work, before SQLAlchemy loads them."""
    dialect, _, driver = url.partition("://")[0].lower().partition("+")
    if dialect == "postgres":
        raise DeclarationError(
            "Table: SQLAlchemy calls this dialect postgresql: write postgresql:// in place of "
            "postgres://, as in postgresql+psycopg://"
        )
    if driver in _SYNCHRONOUS:
        raise DeclarationError(_asynchronous(_SYNCHRONOUS[driver]))


def _asynchronous(cure: str) -> str:
    instead = f"begin the URL with {cure}" if cure else "name a synchronous one"
    return (
        f"Table: the driver in the URL is asynchronous, and tables are read in a thread: {instead}"
    )


def _without(url: str, text: str) -> str:
    """Return the first line of ``text`` without any part of ``url``."""
    rest = url.partition("://")[2]
    parts = {rest, *re.split(r"[:@/?&=;,\[\]\s]+", rest), *re.split(r"[@/?&=]+", rest)}
    userinfo, _, host = rest.rpartition("@")
    parts |= {userinfo, host, *userinfo.split(":", 1)}
    parts |= {unquote(part) for part in parts}
    for part in sorted(filter(None, parts), key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(part)}(?!\w)", "***", text, flags=re.IGNORECASE)
    return text.partition("\n")[0][:200]


def _rows(where: str, names: Sequence[str], rows: Iterable[Iterable[object]]) -> Iterator[Row]:
    if len(names) != 2:
        raise DeclarationError("the query gives two columns: what is sought, where it leads")
    for number, row in enumerate(rows, 1):
        key, destination = row
        cell = Cell(names[0], key), Cell(names[1], destination)
        yield Row(f"{where}: row {number}", cell[:1], cell[1])


def checked_query(query: object) -> str:
    """Return the query of a database.

    Raises:
        DeclarationError: it is missing.
    """
    if not isinstance(query, str) or not query.strip():
        raise DeclarationError(
            'Table: a database needs query=, as in "SELECT number, destination FROM customers"'
        )
    return query
