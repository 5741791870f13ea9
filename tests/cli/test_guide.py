"""``receiver guide``: the list of pages, a page as Markdown or formatted, and a wrong name."""

import re

import click
import pytest

from receiver.cli import main
from receiver.console.guide import TopicError, read_page
from tests.command_line import CliRunner
from tests.documents import GUIDE


def guide(*arguments: str) -> click.testing.Result:
    return CliRunner().invoke(main, ["guide", *arguments])


def test_without_a_topic_the_pages_are_listed() -> None:
    done = guide()
    assert done.exit_code == 0
    for path in GUIDE:
        assert re.search(rf"^  {path.stem} +\S", done.stdout, re.MULTILINE)


def test_a_page_is_printed_as_markdown_without_the_comments_for_tests() -> None:
    done = guide("security")
    assert done.exit_code == 0
    assert done.stdout.startswith("# On the open internet\n")
    assert "<!--" not in done.stdout


def test_a_terminal_gets_the_page_formatted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.cli.guide.is_terminal", lambda: True)
    done = guide("security")
    assert "On the open internet" in done.stdout
    assert "# On the open internet" not in done.stdout
    assert "```" not in done.stdout


def test_no_color_leaves_no_escapes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("receiver.cli.guide.is_terminal", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in guide("security").stdout


@pytest.mark.parametrize(
    ("topic", "hint"),
    [
        ("securty", "did you mean security?"),
        ("Hubspot", "did you mean hubspot?"),
        ("../settings", "did you mean settings"),
        ("zzzzzz", "receiver guide lists all"),
        ("x" * 10_000, "receiver guide lists all"),
    ],
)
def test_an_unknown_topic_names_the_nearest(topic: str, hint: str) -> None:
    done = guide(topic)
    assert (done.exit_code, hint in done.stderr) == (2, True)
    assert len(done.output) < 300
    with pytest.raises(TopicError):
        read_page(topic)
