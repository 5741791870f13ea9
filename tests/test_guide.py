"""Every example of the guide is run, and what it names exists."""

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from receiver.cli import COMMANDS, main
from receiver.console.guide import GROUPS, list_topics
from tests.documents import GUIDE, ROOT, Runner, environ, free_ports, parse
from tests.page_setup import add_pip, prepare

README = ROOT / "README.md"
TUTORIAL = "tutorial"  # tests.test_tutorial runs it
PAGES = [path for path in GUIDE if path.stem != TUTORIAL]


@pytest.fixture
def runner(tmp_path: Path) -> Iterator[Runner]:
    folder = tmp_path / "work"
    folder.mkdir()
    variables = environ(
        **{
            f"{name}": "a-token-of-a-test"
            for name in (
                "HUBSPOT_TOKEN",
                "ZOHO_REFRESH_TOKEN",
                "ZOHO_CLIENT_ID",
                "ZOHO_CLIENT_SECRET",
                "ODOO_TOKEN",
                "SALESFORCE_ID",
                "SALESFORCE_SECRET",
                "PIPEDRIVE_TOKEN",
                "CRM_TOKEN",
            )
        }
    )
    variables["PATH"] = f"{add_pip(tmp_path / 'bin')}:{variables['PATH']}"
    made = Runner(folder, variables, free_ports().__getitem__)
    yield made
    made.close()


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_the_examples_of_a_page(
    path: Path, runner: Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in runner.environ.items():
        if name.endswith(("_TOKEN", "_ID", "_SECRET")):
            monkeypatch.setenv(name, value)
    page = parse(path)
    assert len(page.blocks) == len(re.findall("^```", path.read_text(), re.MULTILINE)) / 2
    prepare(runner, page.stage)
    assert len(list(runner.run(page))) == len(page.blocks)


def test_every_page_has_its_place_and_its_title() -> None:
    names = [name for group in GROUPS.values() for name in group]
    assert sorted(names) == [path.stem for path in GUIDE]
    for topics in list_topics().values():
        for topic in topics:
            assert 0 < len(topic.title) < 60
            assert topic.summary.endswith(".")


@pytest.mark.parametrize("path", [README, *GUIDE], ids=lambda path: path.stem)
def test_a_page_has_no_other_kind_of_block(path: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", path.read_text(), flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    assert not re.findall(r"^(?: {4}|\t|~~~)(?! *[-*|\d]).*", text, re.MULTILINE)
    assert "```" not in text


@pytest.mark.parametrize("path", GUIDE, ids=lambda path: path.stem)
def test_the_links_and_files_of_a_page_exist(path: Path) -> None:
    text = path.read_text()
    for target in re.findall(r"\]\(([^)]+)\)", text):
        assert (path.parent / target).is_file(), target
    for target in re.findall(r"`((?:examples|handlers|tests|receiver)/[\w./-]+)`", text):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("path", [README, *GUIDE], ids=lambda path: path.stem)
def test_the_commands_in_the_text_of_a_page_exist(path: Path) -> None:
    for line in re.findall(r"`receiver ([^`]+)`", path.read_text()):
        check_command(line)


def check_command(line: str) -> None:
    """Check that a command in running text exists, and each of its options."""
    name, *rest = line.split()
    if name.isupper() or name.startswith("-") or name == "…":
        return
    assert name in COMMANDS, line
    with click.Context(main) as context:
        command = main.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
            command = command.get_command(context, rest[0])
            assert command is not None, line
    known = {"--help"} | {one for option in command.params for one in option.opts}
    assert {word for word in rest if word.startswith("--")} <= known, line
