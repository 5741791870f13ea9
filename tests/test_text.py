"""Numbers with their nouns: ``1 IVR``, ``2 IVRs``, and no text with a fixed plural."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from receiver.text import counted

ROOT = Path(__file__).parent.parent

# A count in an f-string before a plural, such as f"{len(ivrs)} IVRs".
FIXED = re.compile(
    r"\{(?:len\([^{}]*\)|(?:[a-z]+\.)?count|made|lost|total)\} (?:[a-z]+ )?[A-Za-z]+s\b"
)

# Each is printed for a count above 1 only: a limit was exceeded, or several were found.
ALWAYS_SEVERAL = {
    "{failing.count} times",
    "{len(named)} IVRs",
    "{len(str(entry))} characters",
    "{len(url)} characters",
    "{len(stored)} octets as",
    "{count} sockets",
    "{len(answer)} items",
}


@pytest.mark.parametrize(
    ("count", "words", "expected"),
    [
        (0, ("IVR",), "0 IVRs"),
        (1, ("IVR",), "1 IVR"),
        (2, ("action URL",), "2 action URLs"),
        (1, ("entry", "entries"), "1 entry"),
        (2, ("entry", "entries"), "2 entries"),
    ],
)
def test_a_count_with_its_noun(count: int, words: tuple[str, ...], expected: str) -> None:
    assert counted(count, *words) == expected


def test_no_other_text_has_a_fixed_plural() -> None:
    files = [*(ROOT / "receiver").rglob("*.py"), *(ROOT / "handlers").rglob("*.py")]
    found = {text for path in files for text in FIXED.findall(path.read_text())}
    assert found - ALWAYS_SEVERAL == set()
