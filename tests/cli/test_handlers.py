"""``receiver handlers``, and configuration files compared with the same declarations in Python."""

import asyncio
import json
import re
import shlex
import subprocess
import sys
import tomllib
import wave
from pathlib import Path
from typing import Any

import pytest

from receiver import Secret
from receiver.cli import main
from receiver.cli.handlers import example
from receiver.config.catalogue import GROUPS, Entry, find, installed
from receiver.config.load_app import load_app
from receiver.config.options import signature_of
from receiver.declarations.ivr import desired_ivrs
from receiver.server.uvicorn_server import running
from receiver.simulator.api import make_api
from receiver.simulator.model import Pbx
from tests.command_line import CliRunner
from tests.config.files import FOLDER, built

ROOT = FOLDER.parent.parent
TOKEN = "the-token-of-the-pbx"
ENTRIES = [entry for kind in GROUPS for entry in installed(kind).values()]

PYTHON = """
from handlers.hours import Hours
from handlers.menu import Menu
from receiver import Forward, Hangup, Ivr, Receiver, Repeat

menu = Menu({"1": "222", "2": Hangup(), "3": Menu({"1": "331"})})
hours = Hours(open=menu, closed="8999", zone="Europe/Berlin", week={"mon-fri": "09:00-17:00"})

north = Ivr("8000", pbx="", fallback=Forward("0"), name="Sales", language="en-US",
            prompt="welcome.wav", timeout=10, timeout_reply=Repeat(), failure_reply=Forward("0"))
north.add("CALLER", "+49*********;101", menu, name="by-number", auth="digest",
          algorithms=("MD5", "SHA-256"), enabled=False)
north.add("DTMF", "1;22;1000-1999", hours, name="office", method="GET", auth="basic",
          request_timeout=5, connection_timeout=3, headers={"X-Site": "north"},
          secret_header="X-Key", fallback=Hangup(), on_timeout="continue", max_concurrency=5,
          max_repeats=2, sensitive=True)
north.add("DTMF", menu.mask.replace("1;", ""), menu, name="menu", auth=None)
plain = Ivr("8100")
plain.add("DTMF", menu.mask, menu, name="menu")
app = Receiver(north, plain, fallback=Forward("9"))
"""
TOML = """
fallback = "9"

[define.menu]
handler = "menu"
choices = {1 = "222", 2 = {hangup = true}, 3 = {handler = "menu", choices = {1 = "331"}}}

[[ivr]]
number = "8000"
fallback = {forward = "0"}
name = "Sales"
language = "en-US"
prompt = "welcome.wav"
timeout = 10
timeout_reply = "repeat"
failure_reply = "0"

[[ivr.caller]]
mask = "+49*********;101"
name = "by-number"
auth = "digest"
algorithms = ["MD5", "SHA-256"]
enabled = false
then = {use = "menu"}

[[ivr.dtmf]]
mask = "1;22;1000-1999"
name = "office"
method = "GET"
auth = "basic"
request_timeout = 5
connection_timeout = 3
headers = {X-Site = "$SITE"}
secret_header = "X-Key"
fallback = "hangup"
on_timeout = "continue"
max_concurrency = 5
max_repeats = 2
sensitive = true
then.handler = "hours"
then.open = {use = "menu"}
then.closed = "8999"
then.zone = "Europe/Berlin"
then.week = {mon-fri = "09:00-17:00"}

[[ivr.dtmf]]
mask = "2;31"
auth = "none"
then = {use = "menu"}

[[ivr]]
number = "8100"
[[ivr.dtmf]]
then = {use = "menu"}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "same.py").write_text(PYTHON)
    (tmp_path / "same.toml").write_text(TOML)
    with wave.open(str(tmp_path / "welcome.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(bytes(320))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SITE", "north")
    monkeypatch.setenv("RECEIVER_SECRET", "6d0f2c9ab17e4583f4c8d25e90ab3716")
    monkeypatch.setenv("RECEIVER_PBX_TOKEN", TOKEN)
    monkeypatch.setenv("RECEIVER_PUBLIC_URL", "https://ivr.example.com")
    return tmp_path


async def run(command: str) -> str:
    def invoke() -> str:
        done = CliRunner().invoke(main, shlex.split(command), catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done.stdout

    return await asyncio.to_thread(invoke)


@pytest.mark.usefixtures("project")
async def test_the_same_plan_byte_for_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    pbx = Pbx()
    pbx.add_ivr("8100", "Plain")
    async with running(make_api(pbx, token=Secret(TOKEN)), lifespan="off") as url:
        monkeypatch.setenv("RECEIVER_PBX_URL", url)
        plans = [await run(f"plan {app} --json") for app in ("same.py:app", "same.toml")]
        plans = [re.sub(r'"where": ".+:\d+"', "", plan) for plan in plans]  # the file's own name
        assert plans[0] == plans[1]
        assert '"create": 5' in plans[0]
        assert await run("plan same.py:app") == await run("plan same.toml")
        await run("apply same.toml --unchecked")
        assert json.loads(await run("drift same.py:app --json"))["pending"] is False
        await run("destroy same.toml --yes")


@pytest.mark.usefixtures("project")
def test_the_same_declarations() -> None:
    ours, theirs = load_app("same.toml"), load_app("same.py:app")
    assert desired_ivrs(ours.ivrs) == desired_ivrs(theirs.ivrs)
    for one, other in zip(ours, theirs, strict=True):
        named = set(one.__dataclass_fields__) - {"handler", "where"}
        assert {n: getattr(one, n) for n in named} == {n: getattr(other, n) for n in named}
    assert (ours.fallback, ours.fallbacks) == (theirs.fallback, theirs.fallbacks)


@pytest.mark.usefixtures("project")
async def test_check_of_a_valid_and_an_invalid_file() -> None:
    assert "4 actions on 2 IVRs. The declarations are valid." in await run("check same.toml")
    Path("wrong.toml").write_text(
        TOML.replace("\non_timeout", "\non_timeot").replace('"menu"\nch', '"men"\nch')
    )
    done = CliRunner().invoke(main, ["check", "wrong.toml"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        "Error: wrong.toml:5: define.menu.handler: no handler 'men' is installed: "
        "did you mean 'menu'?",
        "wrong.toml:36: ivr.dtmf.on_timeot: there is no such key; did you mean on_timeout?",
    ]


# How the call in the first lines of each example ends.
ENDS = {
    "16_shared": "forwarded to 300",
    "17_without_code": "forwarded to 8999",
    "28_events": "forwarded to 0",
}


def test_every_example_has_a_call() -> None:
    assert list(ENDS) == sorted(path.stem for path in (ROOT / "examples").glob("*.toml"))


@pytest.mark.parametrize("name", ENDS)
async def test_the_call_of_an_example_ends_as_it_says(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    text = (ROOT / "examples" / f"{name}.toml").read_text()
    assert len(text.splitlines()) <= 50
    command = re.search(r"^#     (?:(\w+)=(\w+) )?receiver (dial .*)$", text, re.MULTILINE)
    assert command is not None
    if command[1]:
        monkeypatch.setenv(command[1], command[2])
    assert f"= {ENDS[name]} (" in await run(command[3])


# receiver handlers -----------------------------------------------------------------------------


async def test_handlers_as_text() -> None:
    shown = await run("handlers menu balance")
    assert re.findall(r"^\w+(?=  \()", shown, re.MULTILINE) == ["balance", "menu"]
    assert '  choices: a table (a reply such as "222" or a handler), required\n' in shown
    assert '  by: "turns", "chance" or "caller", default "turns"\n' in shown
    assert "draw" not in shown  # a function
    assert '    handler = "menu"\n    choices = {1 = "222"' in shown


async def test_handlers_as_json() -> None:
    listed: list[dict[str, Any]] = json.loads(await run("handlers --json"))
    names = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    assert {one["name"] for one in listed} >= set(names["receiver.handlers"])
    (menu,) = (one for one in listed if one["name"] == "menu")
    assert menu["options"][0]["name"] == "choices"
    assert menu["options"][0]["schema"]["additionalProperties"] == {"$ref": "#/$defs/then"}
    assert menu["options"][1]["default"] == "repeat"
    assert all(one["broken"] is None for one in listed)


def test_an_unknown_name_is_an_error() -> None:
    done = CliRunner().invoke(main, ["handlers", "unknown"])
    assert (done.exit_code, "no handler or connector 'unknown' is installed" in done.stderr) == (
        2,
        True,
    )


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.name)
def test_every_option_has_a_description_and_the_example_works(entry: Entry, tmp_path: Path) -> None:
    assert entry.signature is not None
    for option in entry.signature.options.values():
        assert option.about, f"{entry.value}: no description of {option.name} in Parameters:"
    assert entry.signature.example, f"{entry.value} has no example: In a file::"
    text = f'{entry.signature.example}\n[[ivr]]\nnumber = "8000"\n'
    (tmp_path / "customers.csv").write_text("number,destination\n")
    variables = dict.fromkeys(re.findall(r"\$([A-Z_]+)", text), "0123456789")
    variables["FLOW_SECRET"] = "whsec_MDEyMzQ1Njc4OUFCQ0RFRkdISUpLTE1O"
    text = text.replace("customers.csv", str(tmp_path / "customers.csv"))
    built(f"[define.it]\n{text}", **variables)


def test_an_example_is_generated_without_one_in_the_docstring() -> None:
    def needs(
        one: str | int,
        two: list[bool],
        three: tuple[int, float],
        four: dict[str, Entry],
        five: Any,
        six: str = "",
    ) -> None: ...

    entry = Entry("handler", "x", "x:needs", "x 1", signature_of(needs), needs)
    made = tomllib.loads(example(entry).replace("…", "x"))
    assert made["two"] == [True]
    assert made["three"] == [1, 1.5]
    assert list(made) == ["handler", "one", "two", "three", "four", "five"]


# Another distribution, as in examples/third_party -------------------------------------------------

TEMPLATE = ROOT / "examples" / "third_party"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Return a folder with the template as if it were installed, and a broken distribution."""
    project = tomllib.loads((TEMPLATE / "pyproject.toml").read_text())["project"]
    points = project["entry-points"]["receiver.handlers"]
    _install(tmp_path, project["name"], project["version"], points)
    _install(tmp_path, "broken", "2.0", {"broken": "nothing_there:Handler"})
    (tmp_path / "acme_language.py").write_bytes((TEMPLATE / "acme_language.py").read_bytes())
    return tmp_path


def _install(site: Path, name: str, version: str, points: dict[str, str]) -> None:
    info = site / f"{name.replace('-', '_')}-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    rows = [f"{key} = {value}" for key, value in points.items()]
    (info / "entry_points.txt").write_text("\n".join(["[receiver.handlers]", *rows, ""]))


def test_the_template_is_listed_and_a_broken_distribution_with_its_reason(
    site: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(site)
    done = CliRunner().invoke(main, ["handlers"], catch_exceptions=False)
    assert done.exit_code == 0
    assert "language  (acme_language:Language, acme-handlers 1.0)" in done.stdout
    assert "broken  (nothing_there:Handler, broken 2.0)\n  broken: handler" in done.stdout
    assert "No module named 'nothing_there'" in find("handler", "broken").reason
    assert json.loads(CliRunner().invoke(main, ["handlers", "broken", "--json"]).stdout)[0][
        "broken"
    ]
    sys.modules.pop("acme_language", None)


def test_the_tests_of_the_template_pass(site: Path) -> None:
    for name in ("pyproject.toml", "tests/receiver.toml", "tests/test_language.py"):
        (site / "project" / name).parent.mkdir(parents=True, exist_ok=True)
        (site / "project" / name).write_bytes((TEMPLATE / name).read_bytes())
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q"],
        cwd=site / "project",
        env={"PATH": "", "PYTHONPATH": f"{site}:{ROOT}", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert "5 passed" in done.stdout, done.stdout + done.stderr
