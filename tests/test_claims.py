"""The table of claims: each is on its page, and the test that runs it exists."""

import ast
import re
from difflib import get_close_matches
from functools import cache
from pathlib import Path

import pytest

from tests.documents import GUIDE, ROOT

TABLE = (ROOT / "tests" / "claims.md").read_text()
ROWS = re.findall(r"^\| ([\w-]+) \| (.+) \| ([\w/]+\.py)::(\w+) \|$", TABLE, re.MULTILINE)
PAGES = {path.stem: path for path in [ROOT / "README.md", *GUIDE]}


@cache
def words(page: str) -> str:
    """Return the text of a page on one line."""
    return " ".join(PAGES[page].read_text().split())


@cache
def names(path: Path) -> list[str]:
    """Return the tests of a file."""
    nodes = ast.walk(ast.parse(path.read_text()))
    functions = [one for one in nodes if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]
    return [one.name for one in functions if one.name.startswith("test_")]


@pytest.mark.parametrize(("page", "claim", "file", "test"), ROWS, ids=[row[1] for row in ROWS])
def test_a_claim_is_on_its_page_and_its_test_exists(
    page: str, claim: str, file: str, test: str
) -> None:
    assert claim in words(page)
    known = names(ROOT / "tests" / file)
    assert test in known, f"{file} has {get_close_matches(test, known, 3, 0.3)}"


def test_every_row_is_read_and_every_page_has_one() -> None:
    assert len(ROWS) == TABLE.count("\n| ") - 1
    assert {page for page, *_ in ROWS} == set(PAGES)
