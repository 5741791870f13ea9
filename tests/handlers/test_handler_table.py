"""handlers/table.py"""

import asyncio
import os
import re
import sqlite3
import string
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.table import Table
from receiver import Call, DeclarationError, Forward, Hangup, Repeat, Reply, Unavailable
from receiver.upstream import reloading

QUERY = "SELECT phone, extension FROM staff"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "callers.csv"


@pytest.fixture
def base(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "office.db", isolation_level=None)) as base:
        base.execute("CREATE TABLE staff (phone, extension)")
        base.execute("INSERT INTO staff VALUES ('+49 30 123456', '222'), (101, 333)")
        yield base


async def ask(table: Table, caller: str = "101") -> Reply:
    return await table(Call(caller=caller))


async def test_a_file_decides(file: Path) -> None:
    file.write_text(
        "name,number,destination\nAda,+49 30 123-456,222\nBob,101, 333 \nEve,102,hangup\n\n",
        "utf-8-sig",
    )
    table = Table(file, unknown="0")
    for caller in ("+4930123456", "004930123456", "4930123456", "+49 (30) 123456"):
        assert await ask(table, caller) == Forward("222")
    assert [await ask(table, caller) for caller in ("101", "102")] == [Forward("333"), Hangup()]
    for caller in ("30123456", "030123456", "", "anonymous"):
        assert await ask(table, caller) == Forward("0")
    assert await ask(Table(str(file), region="DE"), "030 123456") == Forward("222")
    assert await ask(Table(str(file)), "9") == Repeat()


async def test_digits_and_columns_of_other_names(file: Path) -> None:
    file.write_text("code;x,goes to\n00#,222\n0049,333\n", "utf-8")
    table = Table(file, key="digits", columns=("code;x", "goes to"), unknown=Hangup())
    found = [await table(Call(digits=d, caller="49")) for d in ("00#", "0049", "49", "")]
    assert found == [Forward("222"), Forward("333"), Hangup(), Hangup()]


async def test_a_function_decides() -> None:
    async def find(number: str) -> Reply | str | None:
        known: dict[str, Reply | str] = {"101": Forward("222"), "102": "hangup"}
        return known.get(number)

    table = Table(find)
    assert [await ask(table, c) for c in ("101", "102", "103")] == [
        Forward("222"),
        Hangup(),
        Repeat(),
    ]


async def test_sqlite(base: sqlite3.Connection, tmp_path: Path) -> None:
    base.execute("PRAGMA journal_mode=WAL")
    table = Table(tmp_path / "office.db", query=QUERY)
    assert [await ask(table, c) for c in ("004930123456", "101")] == [
        Forward("222"),
        Forward("333"),
    ]
    os.utime(tmp_path / "office.db", (1, 1))
    os.utime(tmp_path / "office.db-wal", (1, 1))
    before = await table._table(None)
    assert await table._table(None) is before
    base.execute("UPDATE staff SET extension = '444' WHERE phone = 101")  # in the log alone
    assert (tmp_path / "office.db").stat().st_mtime == 1
    assert await ask(table) == Forward("444")
    assert (tmp_path / "office.db-wal").exists()


async def test_any_database(
    base: sqlite3.Connection, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = Table(f"sqlite+pysqlite:///{tmp_path}/office.db", query=QUERY, every=0)
    assert await ask(table) == Forward("333")
    base.execute("UPDATE staff SET extension = '444' WHERE phone = 101")
    assert await ask(table) == Forward("444")
    base.execute("DROP TABLE staff")
    assert await ask(table) == Forward("444")
    assert caplog.messages == [
        "the database of a Table cannot be read, the old stays in use: the database does not "
        "answer the query: no such table: staff"
    ]


async def test_a_database_that_is_down_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = Table(f"sqlite:///{tmp_path}/later/office.db", query=QUERY, every=0)
    with pytest.raises(Unavailable, match="could not be read yet"):
        await ask(table)
    assert "nothing is known yet: the database does not answer the query: unable to" in caplog.text
    (tmp_path / "later").mkdir()
    with closing(sqlite3.connect(tmp_path / "later" / "office.db")) as late, late:
        late.execute("CREATE TABLE staff AS SELECT '101' phone, '222' extension")
    assert await ask(table) == Forward("222")


async def test_a_changed_file_is_read_again_and_a_broken_one_is_not_taken(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text("number,destination\n101,222\n")
    table = Table(file)
    assert await ask(table) == Forward("222")
    for broken in ("", "number,destination\n101,333\n102,x\n", "number,destination\n1", "\0"):
        file.write_text(broken)
        assert await ask(table) == Forward("222")
    file.unlink()
    assert await ask(table) == Forward("222")
    assert len(caplog.messages) == 4
    assert f"{file} cannot be read, the old stays in use: {file}:3: the destination" in caplog.text
    file.write_text("number,destination\n101,333\n")
    assert await ask(table) == Forward("333")


async def test_what_has_not_changed_is_not_read_again(file: Path) -> None:
    file.write_text("number,destination\n101,222\n")
    os.utime(file, (1, 1))
    table = Table(file)
    before = await table._table(None)
    assert await table._table(None) is before
    file.write_text("number,destination\n101,333\n")  # as long as before
    os.utime(file, (2, 2))
    assert await ask(table) == Forward("333")


async def test_a_disk_that_hangs_costs_nobody_a_call(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text("number,destination\n101,222\n")
    table = Table(file)
    file.unlink()
    os.mkfifo(file)
    monkeypatch.setattr(reloading, "PATIENCE", 0.01)
    for _ in range(3):
        assert await ask(table) == Forward("222")
    assert len([t for t in threading.enumerate() if t.name == "receiver-handler"]) >= 1
    writer = await asyncio.to_thread(file.open, "w")
    writer.close()


KEYS = st.text(string.ascii_letters + string.digits + "#*äß, \"'\n;", min_size=1).map(str.strip)


@given(st.dictionaries(KEYS.filter(bool), st.from_regex(r"\+?[0-9*#]{1,9}", fullmatch=True)))
async def test_what_is_written_is_found(
    tmp_path_factory: pytest.TempPathFactory, table: dict[str, str]
) -> None:
    import csv

    path = tmp_path_factory.mktemp("tables") / "table.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("number", "destination"), *table.items()])
    handler = Table(path, key="digits", unknown="0")
    for digits, destination in (*table.items(), ("no such key", "0")):
        assert await handler(Call(digits=digits)) == Forward(destination)


@given(st.binary(max_size=200))
def test_any_octets_are_a_table_or_a_wrong_one(
    tmp_path_factory: pytest.TempPathFactory, octets: bytes
) -> None:
    path = tmp_path_factory.mktemp("tables") / "table.csv"
    path.write_bytes(b"number,destination\n101,222\n" + octets)
    try:
        Table(path)
    except DeclarationError as error:
        assert str(error).startswith(str(path))  # noqa: PT017


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", ":1: there is no column 'number'"),
        (b"number\n1\n", ":1: there is no column 'destination'"),
        (b"number,destination\n101\n", ":2: the destination is neither"),
        (b"number,destination\n101,222\n102,x y\n", ":3: the destination is neither"),
        (b"number,destination\n,222\n", ":2: the number is missing"),
        (b"number,destination\n101,222\n+101,3\n", ":3: the number is there twice"),
        (b"number,destination\n\xff,2\n", " is not a CSV file in UTF-8"),
        (b"number,destination\n" + b'"' + b"x" * 200_000, " is not a CSV file in UTF-8"),
    ],
)
def test_a_wrong_file_is_told_by_its_line(content: bytes, problem: str, file: Path) -> None:
    file.write_bytes(content)
    with pytest.raises(DeclarationError, match=re.escape(f"{file}{problem}")):
        Table(file)


def test_a_wrong_database_is_told(base: sqlite3.Connection, tmp_path: Path) -> None:
    path = tmp_path / "office.db"
    for query, problem in {
        "": "a database needs query=",
        "SELECT 1": "the query gives two columns",
        "SELEC": "syntax error",
        "SELECT phone, 'x' FROM staff": "the query|row 1: the destination is neither",
    }.items():
        with pytest.raises(DeclarationError, match=problem):
            Table(path, query=query)
    with pytest.raises(DeclarationError, match=r"none\.db as SQLite.*unable to open"):
        Table(tmp_path / "none.db", query=QUERY)
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(DeclarationError, match="readonly"):
        Table(path, query="DELETE FROM staff RETURNING phone, extension")


@pytest.mark.parametrize(
    ("source", "options", "problem"),
    [
        (None, {}, "source= is a path, a URL or an async function"),
        ("none.csv", {}, r"none\.csv: No such file"),
        ("none.csv", {"key": "to"}, "key='to' is neither"),
        ("none.csv", {"columns": ("a",)}, "columns= are two names"),
        ("none.csv", {"unknown": "x"}, "Table: unknown is neither"),
        ("none.csv", {"region": "Germany"}, "region='Germany'"),
        ("sqlite://", {}, "a database needs query="),
        (
            "nosql://user:hunter2@host/x",
            {"query": QUERY},
            "the URL of the database: not understood",
        ),
        (
            "mysql+none://u:hunter2@host/x",
            {"query": QUERY},
            "the URL of the database: not understood",
        ),
        ("oracle://u:hunter2@host/x", {"query": QUERY}, "no module 'oracledb'"),
    ],
)
def test_wrong_options(source: Any, options: Any, problem: str) -> None:
    with pytest.raises(DeclarationError, match=problem) as caught:
        Table(source, **options)
    assert "hunter2" not in str(caught.value)


def test_a_library_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sqlalchemy", None)
    with pytest.raises(DeclarationError, match=re.escape("pip install 'portsip-receiver[sql]'")):
        Table("sqlite://", query=QUERY)
