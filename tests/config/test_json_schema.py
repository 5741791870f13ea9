"""The JSON Schema for editors, checked with the jsonschema package."""

import json
import tomllib
from pathlib import Path
from types import GenericAlias
from typing import Any, Literal

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver import Secret
from receiver.cli import main
from receiver.config.catalogue import GROUPS, Entry, installed
from receiver.config.json_schema import options_as_json, schema
from receiver.config.options import Option, signature_of
from receiver.config.problems import INVALID, Problems
from receiver.config.types import one_of, type_of
from receiver.config.values import ValueReader
from tests.command_line import CliRunner
from tests.config.files import FOLDER, of_action
from tests.config.test_build import GOOD

ROOT = FOLDER.parent.parent
FILES = sorted((ROOT / "examples").glob("*.toml"))
ENTRIES = [entry for kind in GROUPS for entry in installed(kind).values()]


@pytest.fixture(scope="module")
def validator() -> Any:
    printed = CliRunner().invoke(main, ["schema"]).stdout
    jsonschema.Draft202012Validator.check_schema(json.loads(printed))
    return jsonschema.Draft202012Validator(json.loads(printed))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_examples_are_valid(validator: Any, path: Path) -> None:
    validator.validate(tomllib.loads(path.read_text()))


def test_a_file_with_all_features_is_valid(validator: Any) -> None:
    validator.validate(tomllib.loads(GOOD))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_the_example_of_each_handler_is_valid(validator: Any, entry: Entry) -> None:
    assert entry.signature is not None
    part = tomllib.loads(entry.signature.example)
    validator.validate({"ivr": [{"number": "8000"}], "define": {"it": part}})


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("fallback = 3", ["fallback"]),
        ("fallbck = '0'", []),
        ("[[ivr]]", ["ivr", 0]),
        (of_action("3"), ["ivr", 0, "dtmf", 0, "then"]),
        (of_action('{handler = "unknown"}'), ["ivr", 0, "dtmf", 0, "then"]),
        (of_action('{handler = "menu"}'), ["ivr", 0, "dtmf", 0, "then"]),
        (of_action('{handler = "menu", choices = {1 = 3}}'), ["ivr", 0, "dtmf", 0, "then"]),
        (of_action('{handler = "balance", to = [["1"]]}'), ["ivr", 0, "dtmf", 0, "then"]),
        (of_action("{hangup = false}"), ["ivr", 0, "dtmf", 0, "then"]),
        (of_action('"1"\nauth = "bearr"'), ["ivr", 0, "dtmf", 0, "auth"]),
        (of_action('"1"\nrequest_timeout = "2"'), ["ivr", 0, "dtmf", 0, "request_timeout"]),
    ],
)
def test_the_schema_reports_wrong_types_and_names(
    validator: Any, text: str, where: list[Any]
) -> None:
    document = {"ivr": [{"number": "8000"}], **tomllib.loads(text)}
    assert where in [list(error.absolute_path) for error in validator.iter_errors(document)]


def test_broken_entries_are_left_out_and_open_ones_accept_other_keys() -> None:
    def more(one: int, **further: int) -> None: ...

    entries = [
        Entry("handler", "more", "x:more", "x 1", signature_of(more), more),
        Entry("handler", "an odd/name", "x:more", "x 1", signature_of(more), more),
        Entry("handler", "broken", "x:broken", "x 1", reason="broken"),
    ]
    made = schema(entries)
    defined = made["$defs"]
    assert "handler-broken" not in defined
    assert "additionalProperties" not in defined["handler-more"]
    file = {"ivr": [{"number": "8000"}], "define": {"it": {"handler": "an odd/name", "one": 1}}}
    jsonschema.Draft202012Validator(made).validate(file)


TYPES = st.recursive(
    st.sampled_from(
        [str, bool, int, float, Path, Secret, Any]
        + [type_of(kind) for kind in (Literal["a", 1], Literal["a"] | None, Literal[1] | None)]
    ),
    lambda inner: st.one_of(
        inner.map(lambda kind: GenericAlias(list, (kind,))),
        inner.map(lambda kind: GenericAlias(tuple, (kind, ...))),
        inner.map(lambda kind: GenericAlias(dict, (str, kind))),
        st.lists(inner, min_size=1, max_size=3).map(lambda of: GenericAlias(tuple, tuple(of))),
        st.lists(inner, min_size=2, max_size=3, unique=True).map(lambda of: one_of(*of)),
    ),
    max_leaves=5,
)
VALUES = st.recursive(
    st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False), st.sampled_from("a1n$"))
    | st.just("none"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=5,
)


@given(kind=TYPES, value=VALUES)
def test_every_value_that_can_be_read_is_valid(kind: Any, value: Any) -> None:
    reader = ValueReader(Problems("a.toml", {(): 1}), {}, FOLDER, lambda table, path: table)
    if reader.value(kind, value, ()) is not INVALID:
        (option,) = options_as_json({"it": Option("it", kind)})
        jsonschema.Draft202012Validator(option["schema"]).validate(value)
