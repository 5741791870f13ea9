"""The JSON Schema for editors, judged by a validator that is not ours."""

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner

from receiver.cli import main
from receiver.configuration.catalogue import GROUPS, Entry, installed
from receiver.configuration.options import maker_of
from receiver.configuration.schema import schema
from tests.configuration.configuring import FOLDER, of_action
from tests.configuration.test_configuration_files import GOOD

ROOT = FOLDER.parent.parent
FILES = sorted((ROOT / "examples").glob("*.toml"))
ENTRIES = [entry for kind in GROUPS for entry in installed(kind).values()]


@pytest.fixture(scope="module")
def validator() -> Any:
    printed = CliRunner().invoke(main, ["schema"]).stdout
    jsonschema.Draft202012Validator.check_schema(json.loads(printed))
    return jsonschema.Draft202012Validator(json.loads(printed))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_examples_are_good_by_it(validator: Any, path: Path) -> None:
    validator.validate(tomllib.loads(path.read_text()))


def test_a_file_with_much_in_it_is_good_by_it(validator: Any) -> None:
    validator.validate(tomllib.loads(GOOD))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_the_example_of_each_handler_is_good_by_it(validator: Any, entry: Entry) -> None:
    assert entry.maker is not None
    part = tomllib.loads(entry.maker.example)
    validator.validate({"ivr": [{"number": "8000"}], "define": {"it": part}})


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("fallback = 3", ["fallback"]),
        ("fallbck = '0'", []),
        ("[[ivr]]", ["ivr", 0]),
        (of_action("3"), ["ivr", 0, "dtmf", 0, "then"]),
        (of_action('{handler = "nobody"}'), ["ivr", 0, "dtmf", 0, "then"]),
        (of_action('{handler = "menu"}'), ["ivr", 0, "dtmf", 0, "then"]),
        (of_action('{handler = "menu", choices = {1 = 3}}'), ["ivr", 0, "dtmf", 0, "then"]),
        (of_action('{handler = "balance", to = [["1"]]}'), ["ivr", 0, "dtmf", 0, "then"]),
        (of_action("{hangup = false}"), ["ivr", 0, "dtmf", 0, "then"]),
        (of_action('"1"\nauth = "bearr"'), ["ivr", 0, "dtmf", 0, "auth"]),
        (of_action('"1"\nrequest_timeout = "2"'), ["ivr", 0, "dtmf", 0, "request_timeout"]),
    ],
)
def test_what_it_finds(validator: Any, text: str, where: list[Any]) -> None:
    document = {"ivr": [{"number": "8000"}], **tomllib.loads(text)}
    assert where in [list(error.absolute_path) for error in validator.iter_errors(document)]


def test_broken_ones_are_left_out_and_open_ones_take_more() -> None:
    def more(one: int, **further: int) -> None: ...

    entries = [
        Entry("handler", "more", "x:more", "x 1", maker_of(more), more),
        Entry("handler", "broken", "x:broken", "x 1", reason="broken"),
    ]
    defined = schema(entries)["$defs"]
    assert "handler-broken" not in defined
    assert defined["handler-more"]["additionalProperties"] is True
