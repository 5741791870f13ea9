"""The line numbers of keys in a TOML text."""

import tomllib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from receiver.config.line_numbers import Path, key_lines, line_of

TEXT = '''# a comment with [brackets] and "quotes"
fallback = "0"
"quoted key" = 'literal # no comment'
a.b . "c" = 1

[[ivr]]
number = "8000" # 8000
more = """
x = 1
[not.a.table]
""""   # ends in a quote

[[ivr.dtmf]]
mask = "1"
[ivr.dtmf.then]
handler = "menu"
choices = {1 = "2]2", 2 = {forward = "3"}}

[[ivr.dtmf]]
to = [
  ["222", 1], # first
  {forward = "x"},

  \'\'\'it's
\'\'\', 2026-01-01 10:00:00, 1.5e3,
]
last = true'''


def test_each_key_has_its_line() -> None:
    found = key_lines(TEXT)
    then: Path = ("ivr", 0, "dtmf", 0, "then")
    second: Path = ("ivr", 0, "dtmf", 1)
    expected = {
        (): 1,
        ("fallback",): 2,
        ("quoted key",): 3,
        ("a", "b", "c"): 4,
        ("ivr",): 6,
        ("ivr", 0): 6,
        ("ivr", 0, "number"): 7,
        ("ivr", 0, "more"): 8,
        ("ivr", 0, "dtmf"): 13,
        ("ivr", 0, "dtmf", 0): 13,
        ("ivr", 0, "dtmf", 0, "mask"): 14,
        then: 15,
        (*then, "handler"): 16,
        (*then, "choices", "2", "forward"): 17,
        second: 19,
        (*second, "to", 0): 21,
        (*second, "to", 0, 1): 21,
        (*second, "to", 1, "forward"): 22,
        (*second, "to", 2): 24,
        (*second, "to", 3): 25,
        (*second, "to", 4): 25,
        (*second, "last"): 27,
    }
    assert {path: found[path] for path in expected} == expected


def test_a_missing_key_has_the_line_of_its_parent() -> None:
    assert line_of(key_lines(TEXT), ("ivr", 0, "dtmf", 0, "then", "nothing", 3)) == 15
    assert line_of(key_lines(""), ("ivr",)) == 1


def test_windows_line_endings() -> None:
    assert key_lines(TEXT.replace("\n", "\r\n")) == key_lines(TEXT)


# Any data, written in any way: each key is in the line that is said, and no two keys are the same.

SCALARS = st.sampled_from(
    ['"a\\"]}#b"', "'#,]'", "1", "-1.5", "true", "1979-05-27 07:32:32", '"""\nx = "2" \\""""']
)
INLINE = st.recursive(
    SCALARS.map(lambda text: (text, False)),
    lambda inner: st.tuples(st.lists(inner, max_size=3), st.booleans()),
    max_leaves=5,
)


class Writer:
    """Writes TOML with a unique number in each key."""

    def __init__(self) -> None:
        self.keys = 0

    def key(self) -> str:
        self.keys += 1
        return (f"k{self.keys}_", f'"k{self.keys}_ x"', f"'k{self.keys}_.y'")[self.keys % 3]

    def value(self, value: Any, inline: bool = False) -> str:
        inside, is_table = value
        if isinstance(inside, str):
            return "7" if inline and "\n" in inside else inside
        if is_table:
            pairs = (f"{self.key()} = {self.value(one, True)}" for one in inside)
            return "{" + ", ".join(pairs) + "}"
        gap = "" if inline else "\n # [gap]\n"
        return "[" + ",".join(gap + self.value(one, inline) for one in inside) + gap + "]"

    def pairs(self, values: Any) -> str:
        return "".join(
            f"{self.key()} . {self.key()} = {self.value(value)} # {{\n" for value in values
        )


@given(st.lists(st.tuples(st.integers(0, 3), st.lists(INLINE, max_size=3)), max_size=5))
def test_every_key_has_its_line(tables: Any) -> None:
    writer = Writer()
    text = ""
    several = writer.key()
    for kind, values in tables:
        header = (
            f"[{writer.key()}]",
            f"[ {writer.key()} . {writer.key()} ]",
            f"[[{several}]]",
            f"[[{several}]]\n[{several}.{writer.key()}]",
        )[kind]
        text += f"{header}\n{writer.pairs(values)}\n"
    found = key_lines(text)
    lines = text.split("\n")
    for path in paths(tomllib.loads(text), ()):
        last = path[-1]
        if isinstance(last, str):
            assert last in lines[found[path] - 1]
        else:
            assert found[path] >= found[path[:-1]]


def paths(value: Any, path: Path) -> list[Path]:
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    made: list[Path] = []
    for key, one in inside:
        made.append((*path, key))
        if isinstance(one, dict | list):
            made += paths(one, (*path, key))
    return made
