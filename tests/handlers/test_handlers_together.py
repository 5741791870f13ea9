"""All ready-made handlers: how they compose, what the documents say of them, how they are made."""

import importlib
import inspect
import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from handlers.account import Account
from handlers.balance import Balance
from handlers.hours import Hours
from handlers.menu import Menu
from handlers.relay import Relay
from handlers.screen import Screen
from handlers.table import Table
from receiver import Call, Events, Forward, Hangup, Ivr, Repeat, is_sensitive

ROOT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
ENTRIES: dict[str, str] = PROJECT["entry-points"]["receiver.handlers"]
ENTRIES = {name: entry for name, entry in ENTRIES.items() if entry.count(".") == 1}  # not the CRMs
NAMES = sorted(ENTRIES)

# As a configuration file has them: nothing but text, numbers, truths, lists and tables.
PLAIN = """
[menu]
choices = { 1 = "222", 2 = "hangup", "1000-1999" = "333" }
otherwise = "repeat"
[hours]
open = "222"
closed = "8999"
zone = "Europe/Berlin"
week = { mon-fri = "09:00-17:00" }
days = { 12-24 = "closed" }
country = "DE"
switch = "office.switch"
[account]
check = { 4711 = "201" }
attempts = 2
lock = 60.0
[table]
source = "examples/06_table.csv"
columns = ["number", "destination"]
region = "DE"
[relay]
url = "https://n8n.example.com/webhook/call"
fallback = "0"
headers = { X-Key = "k" }
[balance]
to = [["222", 2], ["333", 1]]
by = "caller"
[screen]
then = "222"
block = ["+49900..."]
most = 5
within = 600
[follow-up]
file = "missed-calls.csv"
within = 3600
"""


def made(name: str, options: dict[str, Any]) -> Any:
    module, _, attribute = ENTRIES[name].partition(":")
    return getattr(importlib.import_module(module), attribute)(**options)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "follow-up"])
def test_each_is_made_from_plain_options(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    handler = made(name, tomllib.loads(PLAIN)[name])
    assert inspect.iscoroutinefunction(type(handler).__call__)
    ivr = Ivr("8000")
    assert ivr.dtmf("ALL", name=name)(handler) is handler
    assert next(iter(ivr)).sensitive == (name == "account")


def test_the_one_for_events_is_made_from_plain_options() -> None:
    handler = made("follow-up", tomllib.loads(PLAIN)["follow-up"])
    assert Events().add("call_missed", handler).handler is handler


@pytest.mark.parametrize("name", NAMES)
def test_each_has_typed_and_documented_options(name: str) -> None:
    module, _, attribute = ENTRIES[name].partition(":")
    handler = getattr(importlib.import_module(module), attribute)
    documented = (inspect.getdoc(handler) or "").partition("Parameters:")[2].partition("Raises:")[0]
    for option in list(inspect.signature(handler).parameters.values()):
        assert option.annotation is not option.empty
        assert re.search(rf"^ {{4}}(\w+, )*{option.name}(, \w+)*:", documented, re.MULTILINE), (
            option.name
        )
    assert "DeclarationError" in handler.__doc__


def test_the_documents_name_each() -> None:
    files = {path.stem for path in (ROOT / "handlers").glob("*.py")}
    modules = {name: re.split("[.:]", entry)[1] for name, entry in ENTRIES.items()}
    assert {*modules.values()} == files
    table = (ROOT / "handlers" / "README.md").read_text()
    rows = re.findall(r"^\| `(\w+)\.py` \|.* \| `([\w-]+)` \|", table, re.MULTILINE)
    assert rows == [(module, name) for name, module in modules.items()]
    page = (ROOT / "receiver" / "guide" / "handlers.md").read_text()
    shown = re.findall(r"^\| `([A-Z]\w+)` \|", page, re.MULTILINE)
    shown.remove("CallerLookup")
    assert shown == [entry.partition(":")[2] for entry in ENTRIES.values()]
    examples = "".join(path.read_text() for path in (ROOT / "examples").glob("*.py"))
    for entry in ENTRIES.values():
        assert f"from {entry.replace(':', ' import ')}\n" in examples


@pytest.mark.parametrize("name", NAMES)
def test_examples_are_under_thirty_lines(name: str) -> None:
    using = [
        path
        for path in (ROOT / "examples").glob("*.py")
        if f"import {ENTRIES[name].partition(':')[2]}\n" in path.read_text()
    ]
    assert any(len(path.read_text().splitlines()) < 30 for path in using)


async def test_they_compose() -> None:
    night = datetime(2026, 11, 22, 3, tzinfo=UTC)
    pin = Account("2580", "300", kind="pin")
    menu = Menu({"1": Balance({"8001": 1, "8002": 1}), "2580": pin, "7": Table(staff)})
    office = Hours(
        open=Screen(then=menu, block=["666"], blocked=Hangup()),
        closed=Relay("http://127.0.0.1:9/night", fallback=menu),
        zone="UTC",
        week={"mon-sat": "00:00-24:00"},
        clock=lambda: night,  # of a Sunday
    )
    assert is_sensitive(office)
    calls = [("1", "1"), ("1", "1"), ("2580", "1"), ("7", "77"), ("7", "1"), ("9", "1")]
    found = [await office(Call(digits=d, caller=c)) for d, c in calls]
    assert found == [*map(Forward, ("8001", "8002", "300", "77", "0")), Repeat()]
    night = datetime(2026, 11, 23, 3, tzinfo=UTC)
    assert await office(Call(digits="7", caller="666")) == Hangup()
    assert await office(Call(digits="7", caller="77")) == Forward("77")


async def staff(number: str) -> str:
    return number if number == "77" else "0"
