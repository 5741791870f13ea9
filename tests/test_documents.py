"""The runner of the guide's examples detects a wrong example."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documents import Runner, environ, parse


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    folder = tmp_path / "work"
    folder.mkdir()
    made = Runner(folder, environ())
    yield made
    made.close()


PROGRAM = """\
<!-- call 8000 press 1: {end} -->
```python
from receiver import Call, Forward, Ivr, Reply
ivr = Ivr("8000")

@ivr.dtmf("1")
async def pick(call: Call) -> Reply:
    return Forward("222")
```
"""


def run(runner: Runner, tmp_path: Path, text: str) -> int:
    page = tmp_path / "a-page.md"
    page.write_text(text)
    return len(list(runner.run(parse(page))))


@pytest.mark.parametrize(
    "text",
    [
        PROGRAM.format(end="forwarded to 222"),
        "```sh\ncd /\nexport NAME=value\n```\n\n```sh\ntest $NAME$PWD = value/\n```\n",
        "<!-- exit 3 -->\n```sh\nexit 3\n```\n",
        "```sh\necho one two\n```\n\n<!-- output -->\n```text\none …\n```\n",
        "<!-- file: a.txt -->\n```ini\n[a]\n```\n\n```sh\ntest $(cat a.txt) = '[a]'\n```\n",
        "<!-- raises ZeroDivisionError: by zero -->\n```python\n1 / 0\n```\n",
        "<!-- service: up -->\n```sh\nsh -c 'echo up; sleep 60'\n```\n",
        "<!-- not run: for a reason -->\n```sh\nfalse\n```\n",
        "<!-- same as: LICENSE -->\n```text\nCopyright (c) …\n```\n".replace("text", "ini").replace(
            "Copyright (c) …", "Redistribution and use in source and binary forms, with or without"
        ),
        "<!-- setup\nvalue = 1\n-->\n\n```python\nassert value == 1\n```\n",
    ],
)
def test_a_right_example(text: str, runner: Runner, tmp_path: Path) -> None:
    assert run(runner, tmp_path, text) == text.count("```") / 2


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (PROGRAM.format(end="forwarded to 223"), "ended: forwarded to 222"),
        ("```sh\nfalse | true\n```\n", "exit status 1"),
        ("<!-- exit 3 -->\n```sh\nexit 2\n```\n", "exit status 2"),
        ("```sh\necho one\n```\n\n<!-- output -->\n```text\ntwo\n```\n", "not printed: two"),
        ("```text\nanything\n```\n", "a text that is no output"),
        ("```toml\na = 1\n```\n", "nothing runs this block"),
        ("<!-- raises KeyError: by zero -->\n```python\n1 / 0\n```\n", "ZeroDivisionError"),
        ("<!-- raises KeyError: a -->\n```python\n1\n```\n", "no KeyError was raised"),
        ("<!-- service: up -->\n```sh\necho down\n```\n", "down"),
        ("<!-- not run: -->\n```sh\nfalse\n```\n", "without a reason"),
        ("<!-- same as: LICENSE -->\n```ini\nno such line\n```\n", "no such line"),
        ("<!-- fiel: a.py -->\n```python\n1\n```\n", "an unknown comment"),
        ("<!-- file: a.py -->\n\nText.\n", "above no block"),
        ("<!-- file: a.env -->\n```ini\nRECEIVER_SECRT=1\n```\n", "RECEIVER_SECR"),
    ],
)
def test_a_wrong_example(text: str, reason: str, runner: Runner, tmp_path: Path) -> None:
    with pytest.raises((AssertionError, Exception), match=reason) as raised:
        run(runner, tmp_path, text)
    assert isinstance(raised.value, BaseException)
