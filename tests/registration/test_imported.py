"""Imported declarations: a plan of the written file has nothing to do, for any content of a PBX."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import example, given, settings
from hypothesis import strategies as st

from receiver import Receiver, Secret
from receiver.cli.import_ivrs import find_ivrs
from receiver.config.build import build
from receiver.declarations.ivr import desired_ivrs
from receiver.registration.changes import Plan
from receiver.registration.imported import ImportedIvr, import_ivrs
from receiver.registration.imported_prompts import PromptCopies
from receiver.registration.imported_python import literal, python_source
from receiver.registration.imported_toml import string, toml_source
from receiver.registration.ownership import Ownership
from receiver.registration.registrar import make_plan
from tests.simulated_pbx import Stage

BASE = "https://ivr.example.com"
SECRET = Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")
PIN = "135790246"
THEIRS = "hush0hush1hush2"
Json = dict[str, Any]

HOSTILE = (
    'Sal"es',
    "it's",
    "both ' and \"",
    "two\nlines\r\n# of three",
    "back\\slash\\",
    '"""',
    "${HOME} $PATH $$",
    "Büro – 営業部 🙂",
    "\x00\x07\x1b[31m\x7f\x85\u2028\u202e",
    "# fmt: off",
    "營" * 64,
    "x" * 64,
)
texts = st.sampled_from(HOSTILE) | st.text(max_size=64)
names = texts.filter(bool)
digits = st.text("0123456789", min_size=1, max_size=6)
T = TypeVar("T")
small = st.integers(0, 40) | st.none()
ACTIONS = ["FORWARD_TO_NUMBER", "FORWARD_TO_VOICEMAIL", "REPEAT", "HANGUP"]


def mostly(good: st.SearchStrategy[T], bad: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    return st.one_of(*[good] * 9, bad)


rules = st.fixed_dictionaries(
    {
        "action": mostly(st.sampled_from(ACTIONS), st.sampled_from(["DISA", "", "OTHER"])),
        "number": mostly(digits, st.just("+4930123456") | texts),
    }
)
ranges = mostly(
    st.sampled_from([{"from": "08:30", "to": "12:00"}, {"from": "00:00", "to": "23:59"}]),
    st.sampled_from([{"from": "17:00", "to": "09:00"}, {"from": "late", "to": "24:00"}]),
)
days = st.fixed_dictionaries({"enabled": st.booleans(), "ranges": st.lists(ranges, max_size=2)})
hours = st.none() | st.fixed_dictionaries(
    {"mode": st.sampled_from(["GLOBAL", "CUSTOM"])},
    optional=dict.fromkeys(
        ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"), days
    ),
)
parts = {
    f"{part}_{end}": mostly(st.integers(low, high), st.none())
    for end in ("start", "end")
    for part, low, high in (
        *(("month", 1, 12), ("day", 1, 28), ("hour", 0, 23), ("minute", 0, 59)),
        ("year", 2024, 2030),
    )
}
holidays = st.fixed_dictionaries(
    {
        "name": st.sampled_from(["Christmas", "Moving"]) | names,
        "region": mostly(st.just("DEU"), st.just("xx")),
        "consecutive": st.booleans(),
        "every_year": st.booleans(),
        **parts,
    }
)
entries = st.fixed_dictionaries(
    {
        "user_input": mostly(digits | st.sampled_from(["22#", "*"]), texts),
        "office_hours": hours,
        "office_hours_forward_rule": mostly(rules, st.none()),
        "non_office_hours_forward_rule": rules | st.none(),
        "holiday_forward_rule": rules | st.none(),
        "holidays": st.lists(st.integers(0, 1), max_size=2, unique=True),
    }
)
good_rules = st.fixed_dictionaries({"action": st.sampled_from(ACTIONS), "number": digits})
good_entries = st.fixed_dictionaries(
    {
        "user_input": digits,
        "office_hours": hours,
        "office_hours_forward_rule": good_rules,
        "non_office_hours_forward_rule": good_rules | st.none(),
        "holiday_forward_rule": good_rules | st.none(),
        "holidays": st.lists(st.integers(0, 1), max_size=2, unique=True),
    }
)
caller_ids = st.fixed_dictionaries({"provider_id": texts, "caller_id": texts, "description": texts})
ivr_fields = st.fixed_dictionaries(
    {"name": names | st.just("Sales")},
    optional={
        "language": mostly(st.sampled_from(["en-US", "de"]), texts),
        "dtmf_interval": small,
        "enable_pin": st.booleans(),
        "pin": st.just(PIN),
        "enable_night_mode": st.booleans(),
        "enable_audio_recording": st.booleans(),
        "exclude_list": mostly(st.sampled_from(["1001-2001;3000", "1,2"]), texts),
        "timeout_forward_rule": st.builds(
            lambda rule, more: rule | more,
            rules,
            st.fixed_dictionaries({"timeout": small, "repeat_times": small}),
        ),
        "failure_forward_rule": rules,
        "night_mode_forward_rule": rules,
        "custom_forward_rules": st.lists(mostly(good_entries, entries), min_size=1, max_size=2),
        "outbound_caller_ids": st.lists(caller_ids, max_size=2),
    },
)
action_url = st.fixed_dictionaries(
    {
        "name": names,
        "type": st.sampled_from(["DTMF", "CALLER", "OTHER"]),
        "method": st.sampled_from(["GET", "POST"]),
        "enabled": st.booleans(),
        "dtmf_mask": digits | texts,
        "auth": st.sampled_from(["DISABLE", "BASIC", "DIGEST", "BEARER"]),
        "headers": st.sampled_from(["", f"X-Key:{THEIRS}"]) | texts,
        "password": st.just(THEIRS),
        "url": st.sampled_from([f"https://crm.example.com/{THEIRS}", "nonsense"]) | texts,
    }
)


def load_python(text: str, folder: Path) -> Receiver:
    path = folder / "ivrs.py"
    path.write_text(text, encoding="utf-8")
    names: Json = {}
    exec(compile(path.read_text(encoding="utf-8"), str(path), "exec"), names)  # noqa: S102
    app = names["app"]
    assert isinstance(app, Receiver)
    return app


def load_toml(text: str, folder: Path) -> Receiver:
    tomllib.loads(text)
    return build(text, "receiver.toml", {}, folder)


FORMATS = ((python_source, load_python), (toml_source, load_toml))


async def plan(stage: Stage, app: Receiver) -> Plan:
    async with stage.client() as client:
        return await make_plan(client, app, BASE, SECRET, ivrs=desired_ivrs(app.ivrs))


async def found(stage: Stage, copies: PromptCopies | None = None) -> tuple[ImportedIvr, ...]:
    async with stage.client() as client:
        return import_ivrs(await find_ivrs(client, (), Ownership(BASE), copies))


def make_stage(ivrs: Sequence[Json], calendar: Sequence[Json], urls: Sequence[Json]) -> Stage:
    """A PBX that holds what no client could have stored: nothing is checked."""
    stage = Stage()
    ids = [stage.pbx.holidays.put(one) for one in calendar]
    for number, fields in enumerate(ivrs, 8000):
        menu = [
            {**entry, "holidays": [ids[i] for i in entry["holidays"] if i < len(ids)]}
            for entry in fields.get("custom_forward_rules", ())
        ]
        more = {"custom_forward_rules": menu} if menu else {}
        ivr = stage.pbx.ivrs.put({**fields, **more, "extension_number": str(number)})
        for url in urls:
            stage.pbx.action_urls(ivr).put(url)
    return stage


def ruff(text: str, width: int) -> str:
    """Return what ruff has against ``text``; empty for nothing."""
    base, quiet = [sys.executable, "-m", "ruff"], ["--isolated", f"--line-length={width}"]
    done = [
        subprocess.run([*base, *args, *quiet, "-"], input=text.encode(), capture_output=True)
        for args in (["format", "--diff"], ["check", "--select=F,I", "--quiet"])
    ]
    return "".join((one.stdout + one.stderr * one.returncode).decode() for one in done)


@settings(max_examples=60)
@example([{"name": name} for name in HOSTILE], [], [])
@given(st.lists(ivr_fields, min_size=1, max_size=2), st.lists(holidays, max_size=2),
       st.lists(action_url, max_size=2))  # fmt: skip
def test_the_plan_of_an_imported_file_has_nothing_to_do(
    ivrs: list[Json], calendar: list[Json], urls: list[Json]
) -> None:
    stage = make_stage(ivrs, calendar, urls)
    made = asyncio.run(found(stage))
    assert [one.number for one in made] == [str(8000 + n) for n in range(len(ivrs))]
    for write, load in FORMATS:
        text = write(made)
        assert [secret for secret in (PIN, THEIRS) if secret in text] == []
        with tempfile.TemporaryDirectory() as folder:
            app = load(text, Path(folder))
        pending = asyncio.run(plan(stage, app)).pending
        assert [(str(one), list(map(str, one.differences))) for one in pending] == []
    assert write(asyncio.run(found(stage))) == text


@settings(max_examples=15)
@example([{"name": name} for name in HOSTILE], [])
@given(st.lists(ivr_fields, min_size=1, max_size=2), st.lists(holidays, max_size=2))
def test_a_module_is_formatted_as_ruff_does(ivrs: list[Json], calendar: list[Json]) -> None:
    text = python_source(asyncio.run(found(make_stage(ivrs, calendar, []))))
    assert (ruff(text, 88), ruff(text, 100)) == ("", "")


@given(texts | st.characters(categories=["Cs"]))
def test_a_literal_is_the_text(text: str) -> None:
    assert eval(literal(text)) == text  # noqa: S307
    assert literal(text).isprintable()


@given(texts)
def test_a_string_is_the_text_and_expands_no_variable(text: str) -> None:
    document = tomllib.loads(f"a = {string(text)}")
    assert document["a"].replace("$$", "$") == text
    assert "$" not in document["a"].replace("$$", "")
