"""Configuration files: the declarations that they make, and the errors that they report."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver import Call, Forward, Hangup, Repeat, Secret
from receiver.config.load_app import load_app
from receiver.declarations.ivr import desired_ivrs
from receiver.errors import ConfigurationError, LoadError
from tests.config.files import built, of_action, problems

GOOD = """
fallback = {forward = "0"}

[define.office]
handler = "hours"
zone = "$ZONE"
week = {mon-sun = "00:00-24:00"}
open = {use = "numbers"}
closed = "8999"

[define.numbers]
handler = "menu"
choices = {1 = "222", 2 = {repeat = true}, 3 = {handler = "menu", choices = {1 = "hangup"}}}

[[ivr]]
number = "8000"
pbx = "north"
fallback = "hangup"
name = "Sales"
timeout = 10
timeout_reply = "repeat"
failure_reply = {hangup = true}
pin = "$PIN"

[[ivr.caller]]
mask = "+49*********"
then = "222"
name = "from-germany"

[[ivr.dtmf]]
mask = "1;2"
then = {use = "office"}
method = "GET"
auth = "none"
request_timeout = 3
headers = {X-Key = "a $${KEY} ${key} $"}
secret_header = "X-Other"
fallback = {forward = "1"}

[[ivr.caller]]
mask = "100"
then = {use = "numbers"}
auth = "digest"
algorithms = ["MD5", "SHA-256"]

[[ivr]]
number = "8100"
pbx = "north"
[[ivr.dtmf]]
then = {use = "numbers"}
"""


async def test_a_file_with_all_features() -> None:
    app = built(GOOD, ZONE="Europe/Berlin", PIN="135790", key="b")
    german, office, known, second = app
    assert [one.identity for one in app] == [
        "north/8000/from-germany",
        "north/8000/office",
        "north/8000/numbers",
        "north/8100/numbers",
    ]
    assert [one.kind for one in app] == ["CALLER", "DTMF", "CALLER", "DTMF"]
    assert app.fallback == Forward("0")
    assert (german.ivr_fallback, german.fallback) == (Hangup(), None)
    assert (office.auth, office.method, office.request_timeout) == (None, "GET", 3)
    assert office.headers == {"X-Key": "a ${KEY} b $"}
    assert office.fallback == Forward("1")
    assert (known.auth, known.algorithms) == ("digest", ("MD5", "SHA-256"))
    assert known.handler is second.handler
    assert str(second.mask) == "1;2;31"
    assert german.where == "app.toml:25"
    assert await german.handler(Call()) == Forward("222")  # type: ignore[misc]
    assert await office.handler(Call(digits="1")) == Forward("222")  # type: ignore[misc]
    assert await office.handler(Call(digits="31")) == Hangup()  # type: ignore[misc]
    assert await office.handler(Call(digits="2")) == Repeat()  # type: ignore[misc]
    (declared,) = desired_ivrs(app.ivrs, "north")
    assert (declared.fields.name, declared.fields.pin) == ("Sales", Secret("135790"))


def test_fallbacks_of_several_pbxs() -> None:
    app = built(
        'fallback = {north = "1", south = {hangup = true}}\n'
        + "".join(f'[[ivr]]\nnumber = "8000"\npbx = "{pbx}"\n' for pbx in ("north", "south"))
    )
    assert app.fallbacks == {"north": Forward("1"), "south": Hangup()}


def test_paths_are_relative_to_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "vips.csv").write_text("number,destination\n101,222\n")
    (tmp_path / "conf" / "app.toml").write_text(
        of_action('{handler = "table", source = "vips.csv"}'), encoding="utf-8-sig"
    )
    monkeypatch.chdir(tmp_path)
    assert len(list(load_app("conf/app.toml"))) == 1


# then = …, and the error.
THENS = {
    '"x"': 'then: this is neither "hangup", nor "repeat", nor a destination of 1 to 64 digits, '
    "* or #, with or without a leading +",
    "3": 'then: this is an integer; it must be a reply such as "222" or a handler',
    "{}": 'then: this is a table; it must be a reply such as "222" or a handler',
    "{forward = 3}": 'then.forward: this is an integer; it must be a string, as in forward = "222"',
    '{forward = "x"}': "then.forward: Forward got a destination of 1 character that cannot be "
    "dialled: use 1 to 64 digits, * or #, with or without a leading +",
    '{forward = "$NO"}': "then.forward: the variable NO is not set: export it, or write it to .env",
    "{hangup = false}": "then.hangup: write hangup = true",
    '{repeat = true, "a b" = 1}': 'then."a b": repeat = … is a complete reply: remove this key',
    '{handler = "menue"}': "then.handler: no handler 'menue' is installed: did you mean 'menu'?",
    '{handler = "zzz"}': "then.handler: no handler 'zzz' is installed: run receiver "
    "handlers for a list",
    "{handler = 3}": "then.handler: this must be a name, as a string",
    '{connector = "zzz"}': "then.connector: no connector 'zzz' is installed: run receiver "
    "handlers for a list",
    '{handler = "menu"}': "then: choices is missing; it must be a table (a reply such as "
    '"222" or a handler)',
    '{handler = "menu", choice = {1 = "1"}, choices = {2 = "2"}}': "then.choice: there is no such "
    "key; did you mean choices?",
    '{handler = "menu", xxx = 1, choices = {2 = "2"}}': "then.xxx: there is no such key; known are "
    "choices, otherwise, finish_key",
    '{handler = "menu", choices = {}}': "then: Menu: choices= is a table with at least one choice",
    '{handler = "balance", to = ["1"], draw = 1}': "then.draw: only Python can set this, because "
    "it is a function",
    '{handler = "balance", to = [["1", 1, 1]]}': "then.to: this has 3 entries; it must be a list "
    'of 2 (a reply such as "222" or a handler, a number)',
    '{handler = "balance", to = [["1", "x"]]}': "then.to: this is a string; it must be a number",
    '{handler = "balance", to = ["1"], by = "turn"}': "then.by: this is 'turn'; it must be "
    '"turns", "chance" or "caller"',
    '{handler = "account", check = 2580}': "then.check: this is an integer; it must be a table "
    '(a reply such as "222" or a handler, or a string or "$NAME"), or a list (a string or '
    '"$NAME"), or '
    'a string or "$NAME"',
    '{handler = "account", check = ["$NO"]}': "then.check: the variable NO is not set: export it, "
    "or write it to .env",
    '{use = "zzz"}': "then.use: 'zzz' is not defined: add a table [define.zzz]",
    '{use = "numbersx"}': "then.use: 'numbersx' is not defined: did you mean 'numbers'?",
    '{use = "numbers", otherwise = "1"}': "then.otherwise: options belong in [define.numbers], not "
    "next to use",
    '{use = "numbers.ahead"}': "then.use: 'numbers' has no handler 'ahead'",
    '{use = "numbers._add"}': "then.use: 'numbers' has no handler '_add'",
}
NUMBERS = '[define.numbers]\nhandler = "menu"\nchoices = {1 = "222"}\n'


@pytest.mark.parametrize("then", THENS)
def test_errors_of_then(then: str) -> None:
    assert problems(of_action(then) + NUMBERS) == [f"6 ivr.dtmf.{THENS[then]}"]


def test_a_variable_in_quotes_is_a_problem() -> None:
    """docker run --env-file keeps the quotes; the error does not contain the value."""
    line = '{handler = "account", kind = "pin", check = "$STAFF_PIN", then = "300"}'
    found = problems(of_action(line), STAFF_PIN='"2580"')
    assert found == [
        "6 ivr.dtmf.then.check: the variable STAFF_PIN is in quotes, which are part of its value: "
        "docker run --env-file keeps them, so write it without"
    ]


WHOLE = {
    "x = ": "1 not valid TOML: Invalid value",
    'a = 1\n\na = "2580"': "3 not valid TOML: Cannot overwrite a value",
    "a = " + "[" * 5000: "1 the nesting is too deep",
    "a = " + "9" * 5000: "1 an integer in it has too many digits",
    "": '1 there is no [[ivr]]: add one with number = "8000"',
    '\n[ivr]\nnumber = "8000"': "2 ivr: write each entry as [[ivr]], with two brackets, "
    "before its own tables",
    '[[ivr]]\nnumber = "8000"\n[ivr.dtmf]\nmask = "1"': "3 ivr.dtmf: write each entry as "
    "[[ivr.dtmf]], with two brackets, before its own tables",
    "define = 3": "1 define: definitions are tables, as in [define.office]",
    "define.a = 3": "1 define.a: this must be a table, as in [define.a]",
    "[define.a]\nb = 1": '1 define.a: this needs a key handler = "…", connector, value or use',
    'fallback = {handler = "menu"}': "1 fallback.handler: only a reply is accepted here: "
    '"222", "hangup", "repeat"',
    "[[ivr]]": "1 ivr: number is missing; it must be a string",
    "[[ivr]]\nnumber = 8000": "2 ivr.number: this is an integer; it must be a string",
    '[[ivr]]\nnumber = "x"': "1 ivr: an Ivr has an extension number of 3 to 64 digits, as in "
    "Ivr(\"8000\"): 'x'",
    '[[ivr]]\nnumber = "8000"\ndtfm = 1': "3 ivr.dtfm: there is no such key; did you mean dtmf?",
    '[[ivr]]\nnumber = "8000"\ntimeout = 3': "1 ivr: timeout= is for an Ivr that declares the "
    "IVR itself: give it a name= too",
    'fallback = {west = "1"}\n[[ivr]]\nnumber = "8000"': "1 fallback has 'west', which is the pbx= "
    "of no Ivr: there are ''",
}


@pytest.mark.parametrize("text", WHOLE, ids=range(len(WHOLE)))
def test_errors_of_a_file(text: str) -> None:
    assert WHOLE[text] in problems(text)


ACTIONS = {
    'mask = "x"\nthen = "1"\nname = "x"': '4 ivr.dtmf.mask: mask entry "x" is neither digits, nor '
    "* for a digit, nor a range",
    'then = "1"\nname = "x"': "3 ivr.dtmf: mask is missing; it must be a string such as "
    '"1;2;1000-1999"',
    'then = "1"\nmask = "1"': "3 ivr.dtmf: name is missing; it must be a string that "
    "identifies the action on the PBX",
    'mask = "1"\nname = "x"': '3 ivr.dtmf: then is missing; it must be a reply such as "222" or a '
    "handler",
    'mask = "1"\nthen = "1"\nname = "a/b"': "3 ivr.dtmf: ",
    'mask = "1"\nthen = "1"\nname = "x"\n[[ivr.dtmf]]\nmask = "1"\nthen = "1"\nname = "y"': "7 "
    "ivr.dtmf: the masks of 'y' and 'x' (app.toml:3) on IVR 8000 both match",
}


@pytest.mark.parametrize("text", ACTIONS, ids=range(len(ACTIONS)))
def test_errors_of_an_action(text: str) -> None:
    (problem,) = problems(f'[[ivr]]\nnumber = "8000"\n[[ivr.dtmf]]\n{text}')
    assert problem.startswith(ACTIONS[text])


def test_overlapping_masks_in_two_tables_of_one_ivr() -> None:
    text = of_action('"1"')
    assert problems(text + text.replace('"x"', '"y"'))[0].startswith("9 the masks of 'y' and 'x'")


def test_all_problems_at_once_in_the_order_of_the_file() -> None:
    text = (
        'fallbck = "0"\n[[ivr]]\nnumber = 8\n[[ivr.dtmf]]\nmask = "x"\nthen = {handler = "hou"}\n'
        '[[ivr.dtmf]]\nmask = "2"\nthen = "1"\nname = "good"\n'
    )
    assert [line.partition(":")[0] for line in problems(text)] == [
        "1 fallbck",
        "3 ivr.number",
        "5 ivr.dtmf.mask",
        "6 ivr.dtmf.then.handler",
    ]


def test_definitions_that_refer_to_themselves() -> None:
    one = '[define.{}]\nhandler = "balance"\nto = [{{use = "{}"}}]\n'
    text = one.format("a", "b") + one.format("b", "a") + of_action('{use = "a"}')
    assert problems(text) == ["6 define.b.to.use: the definition refers to itself: a → b → a"]


def test_no_error_contains_a_variable() -> None:
    then = '{handler = "hours", zone = "$ZONE", week = {mon = "closed"}, open = "1", closed = "1"}'
    (problem,) = problems(of_action(then), ZONE="hush-hush")
    assert "zone='***'" in problem
    (problem,) = problems(
        of_action('{handler = "balance", to = ["1"], by = "$BY"}'), BY="hush-hush"
    )
    assert "'***'" in problem


PIN = "2580"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"check = {{{PIN} = 3}}", "9 define.a.check.***: this is an integer"),
        (f"check = {{Bob = {{hangup = 1, {PIN} = 1}}}}", "9 define.a.check.***.***: hangup = …"),
        (f'check = {{{PIN} = {{use = "zzz"}}}}', "9 define.a.check.***.use: 'zzz' is not defined"),
        (f"check = {{{PIN} = 'x'}}", "9 define.a.check.***: this is neither"),
        (f'[define.a.check]\n{PIN} = "$NO"', "10 define.a.check.***: the variable NO is not set"),
        (f"{PIN} = '201'", "9 define.a.***: there is no such key"),
        (f"check = {{{PIN} = '1', {PIN} = '2'}}", "9 not valid TOML: Duplicate inline table key"),
        (f"[define.a.check.{PIN}]\n[define.a.check.{PIN}]", "10 not valid TOML: Cannot declare"),
        (f"check = {{{PIN} = {{}}}}\ncheck.{PIN}.b = 1", "10 not valid TOML: Cannot "),
    ],
)
def test_no_error_contains_a_key_that_may_be_a_callers_number(text: str, problem: str) -> None:
    (found,) = problems(of_action('"1"') + f'[define.a]\nhandler = "account"\n{text}')
    assert found.startswith(problem)
    assert PIN not in found
    assert "Bob" not in found


def test_other_keys_are_named() -> None:
    then = '{handler = "menu", choices = {12 = 3, line-8000 = 3, 4711 = 3}}'
    assert [one.partition(":")[0] for one in problems(of_action(then))] == [
        "6 ivr.dtmf.then.choices.***",
        "6 ivr.dtmf.then.choices.12",
        "6 ivr.dtmf.then.choices.line-8000",
    ]
    assert problems("[[a]]\n[a]") == ["2 not valid TOML: Cannot declare ('a',) twice"]


CRM = '{connector = "hubspot", token = "t"}'


def lookups(*options: str) -> str:
    rows = [f'[define.{"abc"[n]}]\nhandler = "caller-lookup"\n{o}\n' for n, o in enumerate(options)]
    return "".join(rows) + of_action('"1"')


@pytest.mark.parametrize("crm", [CRM, '{connector = "hubspot", token = "another"}'])
def test_two_crms_of_one_name(crm: str) -> None:
    """Otherwise only the background job that logs a call would fail."""
    (problem,) = problems(lookups(f"crm = {CRM}", f"region = 'DE'\ncrm = {crm}"))
    assert problem == (
        "7 define.b.crm: the name 'hubspot' is already used in line 3: if both are the same, write "
        'one [define.…] and use crm = {use = "…"} twice; otherwise set a different name = for one '
        "of them"
    )


@pytest.mark.parametrize(
    "other",
    [
        'crm = {connector = "hubspot", token = "t", name = "other"}',
        f'crm = {CRM}\nlog = "never"',
    ],
)
def test_crms_with_different_names(other: str) -> None:
    assert list(built(lookups(f"crm = {CRM}", other)))


def test_a_crm_that_several_lookups_share() -> None:
    crm = f"[define.crm]\n{CRM[1:-1].replace(', ', chr(10))}\n"
    assert list(built(crm + lookups(*['crm = {use = "crm"}'] * 3)))


def test_an_empty_variable_is_an_error() -> None:
    then = '{handler = "relay", url = "https://x.example.com", secret = "$FLOW"}'
    assert "FLOW is not set" in problems(of_action(then), FLOW="")[0]


# Handlers of all kinds in another distribution.

MODULE = '''
from typing import Any, Literal
from receiver import Call, Forward, LoadError

async def itself(call: Call):
    return Forward("1")

class Crm:
    """A connector.

    Parameters:
        token: a token.
    """
    def __init__(self, token: str) -> None:
        self.token = token

class Finder:
    def __init__(
        self,
        crm: Crm,
        rows: list[dict[str, Any]] = [],
        level: Literal[1, 2] = 1,
        **more: Any,
    ) -> None:
        self.crm, self.rows, self.more = crm, rows, more

    async def __call__(self, call: Call):
        return Forward(self.crm.token)

    async def ahead(self, call: Call):
        return Forward("2")

class NoHandler:
    pass

class Fails:
    def __init__(self) -> None:
        raise KeyError("hush")

class Refuses:
    def __init__(self) -> None:
        raise LoadError("not here")

number = 3
'''
POINTS = """
[receiver.handlers]
itself = acme:itself
finder = acme:Finder
nothing = acme:NoHandler
fails = acme:Fails
refuses = acme:Refuses
number = acme:number
missing = acme:Missing
[receiver.crms]
crm = acme:Crm
"""


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "acme.py").write_text(MODULE)
    info = tmp_path / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    import sys

    sys.modules.pop("acme", None)


@pytest.mark.usefixtures("distribution")
async def test_handlers_and_connectors_of_another_distribution() -> None:
    app = built(
        """
        [define.crm]
        connector = "crm"
        token = "$TOKEN"
        [define.lookup]
        handler = "finder"
        crm = {use = "crm"}
        rows = [{to = {handler = "itself"}, at = 2026-01-01, n = [1, {hangup = true}]}]
        level = 2
        other = {forward = "5"}
        more = {a = {b = "$TOKEN"}}
        [[ivr]]
        number = "8000"
        [[ivr.dtmf]]
        mask = "1"
        then = {use = "lookup"}
        [[ivr.dtmf]]
        mask = "2"
        then = {handler = "itself"}
        [[ivr.caller]]
        mask = "101"
        then = {use = "lookup.ahead"}
        """,
        TOKEN="777",
    )
    lookup, itself, _ = app
    assert [one.name for one in app] == ["lookup", "itself", "lookup-ahead"]
    found = [await one.handler(Call()) for one in app]  # type: ignore[misc]
    assert found == [Forward("777"), Forward("1"), Forward("2")]
    made: object = lookup.handler
    assert made.more == {"other": Forward("5"), "more": {"a": {"b": "777"}}}  # type: ignore[attr-defined]
    (row,) = made.rows  # type: ignore[attr-defined]
    assert row["to"] is itself.handler
    assert (str(row["at"]), row["n"]) == ("2026-01-01", [1, Hangup()])


@pytest.mark.usefixtures("distribution")
@pytest.mark.parametrize(
    ("then", "problem"),
    [
        ('{handler = "itself", x = 1}', "then.x: it has no options"),
        (
            '{handler = "nothing"}',
            "then: this is not a handler, which takes a Call: it is a NoHandler",
        ),
        ('{handler = "fails"}', "then: handler 'fails' (acme:Fails) could not be made: KeyError"),
        ('{handler = "refuses"}', "then: not here"),
        ('{handler = "number"}', "then.handler: it is neither a class nor a function"),
        ('{handler = "missing"}', 'then.handler: handler "missing" (acme:Missing) is broken'),
        ('{handler = "finder", crm = "x"}', "then.crm: this is a string; it must be a connector"),
        (
            '{connector = "crm", token = "x"}',
            "then: this is not a handler, which takes a Call: it is a Crm",
        ),
    ],
)
def test_errors_of_handlers_of_another_distribution(then: str, problem: str) -> None:
    (found,) = problems(of_action(then))
    assert found.startswith(f"6 ivr.dtmf.{problem}")
    assert "hush" not in found


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("octets.toml").write_bytes(b"\xff")
    for name, problem in (
        ("octets.toml", "UTF-8"),
        ("none.toml", "No such file"),
        (".toml", "No such file"),
        ("a\0.toml", "is not text"),
    ):
        with pytest.raises(LoadError, match=problem):
            load_app(name)


def test_variables_come_from_the_env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("app.toml").write_text(of_action('{forward = "$DESK"}'))
    with pytest.raises(ConfigurationError, match=re.escape("app.toml:6: ivr.dtmf.then.forward")):
        load_app("app.toml")
    Path(".env").write_text("DESK=222\n")
    (action,) = load_app("app.toml")
    assert json.dumps(action.where) == '"app.toml:3"'


def test_a_long_chain_of_definitions() -> None:
    chain = "".join(
        f'[define.a{n}]\nhandler = "menu"\nchoices = {{1 = {{use = "a{n + 1}"}}}}\n'
        for n in range(500)
    )
    assert problems(chain + "[define.a500]\n") == ["1 the nesting is too deep"]


def test_a_shortened_value_contains_no_part_of_a_variable() -> None:
    secret = "abcdefgh" * 9
    found = problems(of_action('{handler = "account", kind = "$IT", check = ["1"]}'), IT=secret)
    assert "abcdefgh" not in found[0]
    assert "'***'" in found[0]
