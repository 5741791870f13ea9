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
from receiver.call_context import Detached
from tests.handlers.file_changes import read_again

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


async def reply_to(table: Table, caller: str = "101") -> Reply:
    return await table(Call(caller=caller))


async def test_a_file_decides(file: Path) -> None:
    file.write_text(
        "name,number,destination\nAda,+49 30 123-456,222\nBob,101, 333 \nEve,102,hangup\n\n",
        "utf-8-sig",
    )
    table = Table(file, unknown="0")
    for caller in ("+4930123456", "004930123456", "4930123456", "+49 (30) 123456"):
        assert await reply_to(table, caller) == Forward("222")
    assert [await reply_to(table, caller) for caller in ("101", "102")] == [
        Forward("333"),
        Hangup(),
    ]
    for caller in ("30123456", "030123456", "", "anonymous"):
        assert await reply_to(table, caller) == Forward("0")
    assert await reply_to(Table(str(file), region="DE"), "030 123456") == Forward("222")
    assert await reply_to(Table(str(file)), "9") == Repeat()


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
    assert [await reply_to(table, c) for c in ("101", "102", "103")] == [
        Forward("222"),
        Hangup(),
        Repeat(),
    ]


async def test_sqlite(base: sqlite3.Connection, tmp_path: Path) -> None:
    base.execute("PRAGMA journal_mode=WAL")
    table = Table(tmp_path / "office.db", query=QUERY)
    assert [await reply_to(table, c) for c in ("004930123456", "101")] == [
        Forward("222"),
        Forward("333"),
    ]
    os.utime(tmp_path / "office.db", (1, 1))
    os.utime(tmp_path / "office.db-wal", (1, 1))
    read_again(table._table)
    before = await table._table(None)
    read_again(table._table)
    assert await table._table(None) is before
    base.execute("UPDATE staff SET extension = '444' WHERE phone = 101")  # in the log alone
    assert (tmp_path / "office.db").stat().st_mtime == 1
    read_again(table._table)
    assert await reply_to(table) == Forward("444")
    assert (tmp_path / "office.db-wal").exists()


async def test_any_database(
    base: sqlite3.Connection, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = Table(f"sqlite+pysqlite:///{tmp_path}/office.db", query=QUERY, every=0)
    assert await reply_to(table) == Forward("333")
    base.execute("UPDATE staff SET extension = '444' WHERE phone = 101")
    assert await reply_to(table) == Forward("444")
    base.execute("DROP TABLE staff")
    assert await reply_to(table) == Forward("444")
    assert caplog.messages == [
        "the database of a Table cannot be read, the old value is kept: the database does not "
        "answer the query: no such table: staff"
    ]


async def test_a_query_of_a_server_gives_two_columns(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = Table("sqlite://", query="SELECT 1, 2, 3")
    with pytest.raises(Unavailable):
        await reply_to(table)
    assert "no value yet: the query gives two columns" in caplog.text


async def test_a_database_that_is_down_at_the_start(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    table = Table(f"sqlite:///{tmp_path}/later/office.db", query=QUERY, every=0)
    with pytest.raises(Unavailable, match="could not be read yet"):
        await reply_to(table)
    assert "no value yet: the database does not answer the query: unable to" in caplog.text
    (tmp_path / "later").mkdir()
    with closing(sqlite3.connect(tmp_path / "later" / "office.db")) as late, late:
        late.execute("CREATE TABLE staff AS SELECT '101' phone, '222' extension")
    assert await reply_to(table) == Forward("222")


async def test_a_changed_file_is_reloaded_and_an_invalid_one_refused(
    file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file.write_text("number,destination\n101,222\n")
    table = Table(file)
    assert await reply_to(table) == Forward("222")
    for broken in ("", "number,destination\n101,333\n102,x\n", "number,destination\n1", "\0"):
        file.write_text(broken)
        read_again(table._table)
        assert await reply_to(table) == Forward("222")
    file.unlink()
    read_again(table._table)
    assert await reply_to(table) == Forward("222")
    assert len(caplog.messages) == 5
    assert f"the old value is kept: {file}:3: column 'destination': the destination" in caplog.text
    file.write_text("number,destination\n101,333\n")
    read_again(table._table)
    assert await reply_to(table) == Forward("333")


async def test_an_unchanged_file_is_not_read_again(file: Path) -> None:
    file.write_text("number,destination\n101,222\n")
    os.utime(file, (1, 1))
    table = Table(file)
    before = await table._table(None)
    read_again(table._table)
    assert await table._table(None) is before
    file.write_text("number,destination\n101,333\n")  # as long as before
    os.utime(file, (2, 2))
    read_again(table._table)
    assert await reply_to(table) == Forward("333")


async def test_a_hanging_disk_delays_no_call(file: Path) -> None:
    file.write_text("number,destination\n101,222\n")
    table = Table(file)
    file.unlink()
    os.mkfifo(file)
    for _ in range(3):
        assert await reply_to(table) == Forward("222")
    assert len([t for t in threading.enumerate() if t.name == "receiver-handler"]) >= 1
    writer = await asyncio.to_thread(file.open, "w")
    writer.close()


# No decimal, such as 1,5, 1e5 or 1E5, which are refused.
KEYS = st.text(string.ascii_letters + string.digits + "#*äß, \"'\n;", min_size=1).map(
    lambda text: text.strip().replace(",", ", ").replace("e", "é").replace("E", "É").strip()
)


@given(st.dictionaries(KEYS.filter(bool), st.from_regex(r"\+?[0-9*#]{1,9}", fullmatch=True)))
async def test_written_rows_are_found(
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
def test_any_octets_are_a_table_or_raise(
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
        (b"", ":1: the file is empty: its first line must hold the names of the columns"),
        (b"number\n1\n", ":1: there is no column 'destination'"),
        (b"number,destination\n101\n", ": no row has both a number and a destination"),
        (b"number,destination\n,222\n", ": no row has both a number and a destination"),
        (
            b"number,destination\n101,222\n102,x y\n",
            ":3: column 'destination': the destination is neither",
        ),
        (
            b"number,destination\n101,222\n\n+101,3\n",
            ":4: column 'number': the number is also in",
        ),
        (b"number,destination\n1,2\n\x81,2\n", ":3: this is no text in utf-8 or cp1252: name its"),
        (b"number,destination\n1,2\n" + b'"' + b"x" * 200_000, ":3: a quote is not closed"),
        (b'number,destination\n1,2\n"3,2\n4,2\n', ":3: a quote is not closed"),
        (b'"' + b"x" * 200_000, ":1: the file is empty"),
        (b"\r\n\nnumber,destination\n101,x\n", ":4: column 'destination': the destination is"),
        (b"PK\x03\x04\x14\0", ' is a workbook of a spreadsheet, not text: save it as "CSV UTF-8"'),
        (b"+4930123,222\n", ":1: there is no column 'number': the first line must hold the names"),
        (
            b"phone,ziel,destination\n1,2,3\n",
            ":1: several columns may be the destination, 'ziel' and",
        ),
        (
            b"phone^ziel\n1^2\n",
            ":1: there is no column 'number': there is one column only: name the",
        ),
        (
            b"a;b\n",
            ":1: there is no column 'number': name the columns with columns=, the "
            "destination's last; there are 'a', 'b'",
        ),
    ],
)
def test_errors_of_a_file_name_the_line(content: bytes, problem: str, file: Path) -> None:
    file.write_bytes(content)
    with pytest.raises(DeclarationError, match=re.escape(f"{file}{problem}")):
        Table(file)


def test_errors_of_a_database(base: sqlite3.Connection, tmp_path: Path) -> None:
    path = tmp_path / "office.db"
    for query, problem in {
        "": "a database needs query=",
        "SELECT 1": "the query gives two columns",
        "SELEC": "syntax error",
        "SELECT phone, 'x' AS y FROM staff": "row 1: column 'y': the destination is neither",
        "SELECT 101.0 AS phone, '1'": "row 1: column 'phone' holds float, as a REAL column",
        "SELECT x'31' AS phone, '1'": "row 1: column 'phone' holds bytes",
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
        (None, {}, "source= must be a path, a URL or an async function"),
        ("none.csv", {}, r"none\.csv: No such file"),
        ("none.csv", {"key": "to"}, "key='to' must be"),
        ("none.csv", {"columns": ("a",)}, "columns= are names"),
        ("none.csv", {"columns": "ab"}, "columns= are names"),
        ("none.csv", {"columns": ("a", 1)}, "columns= are names"),
        ("none.csv", {"columns": ("a", " ")}, "columns= are names"),
        ("none.csv", {"delimiter": ";;"}, "delimiter= is one character"),
        ("none.csv", {"delimiter": '"'}, "delimiter= is one character"),
        ("none.csv", {"encoding": "ansi-none"}, "encoding= is one that Python knows"),
        ("none.csv", {"encoding": "hex"}, "encoding= is one that Python knows"),
        ("none.csv", {"encoding": 1}, "encoding= is one that Python knows"),
        ("none.csv", {"finish_key": "1"}, "finish_key='1'"),
        ("none.csv", {"unknown": "x"}, "Table: unknown is neither"),
        ("none.csv", {"region": "Germany"}, "region='Germany'"),
        ("sqlite://", {}, "a database needs query="),
        ("oracle://u:hunter2@host/x", {"query": QUERY}, "no module '(oracledb|cx_Oracle)'"),
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


@pytest.mark.parametrize("caller", ["+491701234567", "491701234567", "0170 1234567"])
@pytest.mark.parametrize("cell", ["+491701234567", "491701234567", "0170 1234567", "01701234567"])
async def test_a_plus_that_a_spreadsheet_or_a_trunk_dropped(
    file: Path, cell: str, caller: str
) -> None:
    file.write_text(f"number,destination\n{cell},222\n", "utf-8")
    assert await reply_to(Table(file, region="DE", unknown="0"), caller) == Forward("222")


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ("030 1234567; 0170 1234567", "more than one number"),
        ("4.93012E+11", "REAL column"),
        ("49301234567.0", "REAL column"),
        ("Ada", "not a phone number"),
    ],
)
def test_a_cell_that_is_not_one_number_is_refused(file: Path, cell: str, why: str) -> None:
    file.write_text(f"number,destination\n{cell},222\n", "utf-8")
    with pytest.raises(DeclarationError, match=f"callers.csv:2: .*{why}") as refused:
        Table(file)
    assert cell not in str(refused.value)


def test_a_column_of_floats_is_refused(base: sqlite3.Connection, tmp_path: Path) -> None:
    base.execute("CREATE TABLE wrong (phone REAL, extension)")
    base.execute("INSERT INTO wrong VALUES (49301234567, '222')")
    with pytest.raises(DeclarationError, match=r"row 1: .*REAL column"):
        Table(tmp_path / "office.db", query="SELECT phone, extension FROM wrong")


async def test_anonymous_callers_are_not_looked_up() -> None:
    async def find(sought: str) -> str:
        return "222"

    table = Table(find, unknown="0")
    for caller in ("", "anonymous@192.0.2.10", "+266696687", "000"):
        assert await reply_to(table, caller) == Forward("0")
    assert await reply_to(table) == Forward("222")
    assert await Table(find, key="digits")(Call(digits="1")) == Forward("222")


async def test_the_format_of_the_trunk_counts(file: Path) -> None:
    file.write_text("number,destination\n+33123456789,222\n", "utf-8")
    table = Table(file, region="DE", unknown="0")
    said = Detached(number_format="e164-without-plus")
    assert await table(Call(caller="33123456789", context=said)) == Forward("222")
    assert await reply_to(table, "33123456789") == Forward("0")
