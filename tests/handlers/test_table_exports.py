"""Tables as spreadsheets, address books and CRMs export them."""

import csv
import io
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.table import Table
from receiver import Call, DeclarationError, Forward, Hangup, Reply
from tests.config.files import built, of_action, problems
from tests.handlers.file_changes import read_again

FOLDER = Path(__file__).parent / "exports"
EXPORTS = sorted(FOLDER.iterdir())


async def reply_to(table: Table, caller: str) -> Reply:
    return await table(Call(caller=caller))


@pytest.mark.parametrize("path", EXPORTS, ids=lambda path: path.name)
async def test_every_export_is_read_without_an_option(path: Path) -> None:
    table = Table(path, unknown="0")
    found = [
        await reply_to(table, f"+49{number}") for number in ("301234567", "1711234567", "401234567")
    ]
    assert found == [Forward("201"), Forward("201"), Forward("202")]
    for other in ("+49309990", "+49309991", "+49309992", "+49409990", "+49891234567", "201", ""):
        assert await reply_to(table, other) == Forward("0")


async def test_several_numbers_in_a_cell_of_google_are_read() -> None:
    assert await reply_to(Table(FOLDER / "google.csv"), "+49407654321") == Forward("202")


@pytest.mark.parametrize(
    ("name", "counted"),
    [
        ("excel-german.csv", "skipped rows without a number: 1, without a destination: 0"),
        ("excel-us-ansi.csv", "skipped rows without a number: 0, without a destination: 1"),
        ("google.csv", "skipped rows without a number: 1, without a destination: 1"),
        ("outlook-english.csv", "skipped rows without a number: 1, without a destination: 0"),
    ],
)
def test_skipped_rows_are_counted(
    name: str, counted: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "receiver.handlers"):
        Table(FOLDER / name)
    assert caplog.messages == [f"{FOLDER / name}: {counted}"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("excel-german.csv", ":4: column 'Telefon': the number is missing: fill it in, delete"),
        ("excel-us-ansi.csv", ":3: column 'Destination': the destination is missing"),
        ("outlook-german.csv", ":4: column 'Telefon geschäftlich': the number is missing"),
    ],
)
def test_incomplete_rows_can_be_refused(name: str, problem: str) -> None:
    with pytest.raises(DeclarationError, match=re.escape(f"{FOLDER / name}{problem}")):
        Table(FOLDER / name, skip_incomplete=False)


async def test_skipped_rows_are_logged_once_per_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "callers.csv"
    for rows in ("1,2\n,3\n", "1,2\n,4\n", "1,2\n1,2\n", "1,2\n,3\n"):
        path.write_text("number,destination\n" + rows)
        if rows == "1,2\n,3\n" and not caplog.messages:
            table = Table(path)
        read_again(table._table)
        assert await reply_to(table, "1") == Forward("2")
    assert len(caplog.messages) == 2


async def test_one_number_with_one_destination_is_merged(tmp_path: Path) -> None:
    path = tmp_path / "callers.csv"
    path.write_text("name,phone,mobile,destination\na,101,102,201\nb,102,103,201\nc,104,,202\n")
    table = Table(path)
    found = [await reply_to(table, caller) for caller in ("101", "102", "103", "104")]
    assert found == [*map(Forward, ("201", "201", "201", "202"))]
    path.write_text("name,phone,mobile,destination\na,101,102,201\n\nb,103,102,202\n")
    problem = f"{path}:4: column 'mobile': the number is also in {path}:2 with another"
    with pytest.raises(DeclarationError, match=re.escape(problem)):
        Table(path)


async def test_columns_delimiter_and_encoding_can_be_named(tmp_path: Path) -> None:
    path = tmp_path / "callers.csv"
    path.write_bytes("Größe^WHO ^Also^To\n1^101^102^201\n".encode("cp437"))
    table = Table(path, columns=("who", "ALSO", "to"), delimiter="^", encoding="cp437", unknown="0")
    assert [await reply_to(table, c) for c in ("101", "102", "1")] == [
        *map(Forward, ("201", "201", "0"))
    ]
    with pytest.raises(DeclarationError, match="there is no column 'whom': name the columns"):
        Table(path, columns=("whom", "to"), delimiter="^", encoding="cp437")
    with pytest.raises(DeclarationError, match=":1: this is no text in ascii: name its encoding"):
        Table(path, columns=("who", "to"), encoding="ascii")
    with pytest.raises(DeclarationError, match="is no text in utf-16"):
        Table(path, encoding="utf-16")


async def test_the_options_can_be_written_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "callers.csv"
    path.write_bytes("Größe^Phone^Mobile^To\n1^101^102^201\n2^^^202\n".encode("cp437"))
    options = f'source = "{path}", columns = ["Phone", "Mobile", "To"], delimiter = "^"'
    line = f'{{handler = "table", {options}, encoding = "cp437", skip_incomplete = %s}}'
    (action,) = built(of_action(line % "true"))
    assert await action.handler(Call(caller="102")) == Forward("201")  # type: ignore[misc]
    assert problems(of_action(line % "false")) == [
        f"6 ivr.dtmf.then: {path}:3: column 'Phone': the number is missing: fill it in, delete the "
        "row, or leave out skip_incomplete=False"
    ]


async def test_the_finish_key_is_not_looked_up_unless_the_table_has_it(tmp_path: Path) -> None:
    path = tmp_path / "codes.csv"
    path.write_text("digits;destination\n4711;201\n00#;202\n'1:::2;203\n")
    table = Table(path, key="digits", unknown="0")
    found = [await table(Call(digits=d)) for d in ("4711", "4711#", "00#", "00", "'1:::2", "1")]
    assert found == [*map(Forward, ("201", "201", "202", "0", "203", "0"))]
    exact = Table(path, key="digits", unknown="0", finish_key="")
    assert await exact(Call(digits="4711#")) == Forward("0")

    async def find(digits: str) -> str:
        return digits

    assert await Table(find, key="digits")(Call(digits="222#")) == Forward("222")


async def test_an_invalid_number_is_reported_by_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "callers.csv"
    path.write_text("phone,mobile,destination\n101,,201\n102,hunter2x,202\n")
    with pytest.raises(DeclarationError, match=re.escape(f"{path}:3: column 'mobile': ")) as caught:
        Table(path)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "name",
    [
        "Tel.",
        "Tel. privat",
        "Teléfono",
        "Téléphone portable",
        "Móvil",
        "Celular",
        "Cellulare",
        "Portable",
        "TEL",
    ],
)
async def test_columns_of_phones_have_many_names(tmp_path: Path, name: str) -> None:
    path = tmp_path / "callers.csv"
    path.write_text(f"Name;{name};Telex;Fax;Ziel\na;101;102;103;201\n", "utf-8")
    table = Table(path, unknown="0")
    assert [await reply_to(table, c) for c in ("101", "102", "103")] == [
        *map(Forward, ("201", "0", "0"))
    ]


async def test_a_dash_is_no_number_and_destinations_ignore_case(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "callers.csv"
    path.write_text("phone,destination\n-,201\n --- ,202\n?,203\n101,Hangup\n101,hangup\n\x1a")
    assert await reply_to(Table(path), "101") == Hangup()
    assert "skipped rows without a number: 4, without a destination: 0" in caplog.text
    for text in ("anonymous", "unbekannt", "0000"):
        path.write_text(f"phone,destination\n101,201\n{text},202\n")
        with pytest.raises(DeclarationError, match=r":3: column 'phone': .* unknown= is the reply"):
            Table(path)


async def test_digits_that_a_spreadsheet_changed(tmp_path: Path) -> None:
    path = tmp_path / "codes.csv"
    path.write_text('digits;destination\n"=""0815""";201\n')
    assert await Table(path, key="digits")(Call(digits="0815")) == Forward("201")
    for text in ("815.0", "4,7E+11", "4711,00", "1e5"):
        path.write_text(f"digits;destination\n{text};201\n")
        with pytest.raises(
            DeclarationError, match=r":2: column 'digits': it is a decimal or an exp"
        ):
            Table(path, key="digits")


@pytest.mark.parametrize(
    "url", ["postgresql//a:hunter2@h/x", "postgresql:/a:hunter2@h/x", "a:hunter2@h/x"]
)
@pytest.mark.parametrize("kind", [str, Path])
def test_a_mistyped_url_is_no_path(url: str, kind: type) -> None:
    with pytest.raises(
        DeclarationError, match="the URL of the database is not understood"
    ) as error:
        Table(kind(url), query="SELECT 1, 2")
    assert "hunter2" not in str(error.value)


@pytest.mark.parametrize(
    ("url", "driver"),
    [("mysql://a@h/x", "mysql+pymysql://"), ("mssql+pyodbc://a@h/x", "mssql+pymssql://")],
)
def test_a_missing_driver_has_a_cure_of_its_dialect(url: str, driver: str) -> None:
    with pytest.raises(DeclarationError, match=re.escape(f"name another one, as in {driver}")):
        Table(url, query="SELECT 1, 2")


CELLS = st.sampled_from(["", "Müller", 'says "no"', "a,b;c\td|e", "two\nlines", "x" * 30])


@st.composite
def exported(draw: Any) -> tuple[dict[str, str], str, str, str, str, bool]:
    table = draw(
        st.dictionaries(
            st.from_regex(r"\+49[1-9][0-9]{5,9}", fullmatch=True),
            st.from_regex(r"[0-9]{3,5}", fullmatch=True),
            min_size=1,
            max_size=5,
        )
    )
    return (
        table,
        draw(CELLS),
        draw(st.sampled_from([",", ";", "\t", "|"])),
        draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252"])),
        draw(st.sampled_from(["\r\n", "\n", "\r"])),
        draw(st.booleans()),
    )


@given(exported())
async def test_any_dialect_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory,
    export: tuple[dict[str, str], str, str, str, str, bool],
) -> None:
    table, cell, delimiter, encoding, newline, quoted = export
    text = io.StringIO(newline="")
    quoting: Any = csv.QUOTE_ALL if quoted or "\n" in cell else csv.QUOTE_MINIMAL
    writer = csv.writer(text, delimiter=delimiter, lineterminator=newline, quoting=quoting)
    writer.writerow(["Firma", "Phone", "Notes", "Destination"])
    for number, destination in table.items():
        writer.writerow([cell, number, cell, destination])
        writer.writerow(["", "", "", ""])
    path = tmp_path_factory.mktemp("exports") / "export.csv"
    path.write_bytes(text.getvalue().encode(encoding))
    handler = Table(path, unknown="0")
    for number, destination in table.items():
        assert await reply_to(handler, number) == Forward(destination)


@given(st.binary(max_size=300), st.sampled_from([b"", b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf"]))
def test_no_error_shows_a_cell(
    tmp_path_factory: pytest.TempPathFactory, octets: bytes, bom: bytes
) -> None:
    path = tmp_path_factory.mktemp("exports") / "export.csv"
    path.write_bytes(bom + b"number,destination\n+49301234567,hunter2\n" + octets)
    with pytest.raises(DeclarationError) as caught:
        Table(path)
    assert str(caught.value).startswith(str(path))
    assert "hunter2" not in str(caught.value)
    assert "49301234567" not in str(caught.value)
