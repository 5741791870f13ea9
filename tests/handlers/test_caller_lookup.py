"""handlers/caller_lookup.py"""

import re
from pathlib import Path

import pytest

from handlers.caller_lookup import CallerLookup, normalise
from receiver import Call, DeclarationError, Forward, Hangup, Repeat, Reply


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "callers.csv"


async def test_a_file_decides(file: Path) -> None:
    file.write_text(
        "name,number,destination\nAda,+49 30 123-456,222\nBob,101, 333 \n\n", "utf-8-sig"
    )
    lookup = CallerLookup(file, unknown=Hangup())
    for caller in ("+4930123456", "004930123456", "4930123456", "+49 (30) 123456"):
        assert await lookup(Call(caller=caller)) == Forward("222")
    assert await lookup(Call(caller="101")) == Forward("333")
    for caller in ("30123456", "", "anonymous"):
        assert await lookup(Call(caller=caller)) == Hangup()
    assert await CallerLookup(str(file))(Call(caller="9")) == Repeat()


async def test_a_function_decides() -> None:
    async def find(number: str) -> Reply | None:
        return Forward("222") if number == "101" else None

    lookup = CallerLookup(find)
    assert await lookup(Call(caller="101")) == Forward("222")
    assert await lookup(Call(caller="102")) == Repeat()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", ":1: there is no column 'destination'"),
        (b"destination\n1\n", ":1: there is no column 'number'"),
        (b"number,destination\n101\n", ":2: Forward got a destination"),
        (b"number,destination\n101,222\n102,x y\n", ":3: Forward got a destination"),
        (b"number,destination\n,222\n", ":2: the number is missing"),
        (b"number,destination\n101,222\n101,3\n", ":3: the number is there twice"),
        (b"number,destination\n\xff,2\n", " is not a CSV file in UTF-8"),
        (b"number,destination\n" + b'"' + b"x" * 200_000, " is not a CSV file in UTF-8"),
    ],
)
def test_a_wrong_file_is_told_by_its_line(content: bytes, problem: str, file: Path) -> None:
    file.write_bytes(content)
    with pytest.raises(DeclarationError, match=re.escape(f"{file}{problem}")):
        CallerLookup(file)


def test_other_mistakes(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"none\.csv: No such file"):
        CallerLookup(tmp_path / "none.csv")
    with pytest.raises(DeclarationError, match="the path of a CSV file or an async function"):
        CallerLookup(None)  # type: ignore[arg-type]
    with pytest.raises(DeclarationError, match="unknown='0' is no reply"):
        CallerLookup(tmp_path, unknown="0")  # type: ignore[arg-type]


def test_numbers_compare_without_their_dress() -> None:
    assert normalise("+49 (30) 1") == normalise("0049-30.1") == "49301"
