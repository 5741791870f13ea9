"""Configuration files: what they declare, and everything that may be wrong with one."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from receiver import Call, Forward, Hangup, Repeat, Secret
from receiver.apps import load_app
from receiver.errors import ConfigurationError, LoadError
from tests.configuration.configuring import built, of_action, problems

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
failure = {hangup = true}
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


async def test_a_file_with_much_in_it() -> None:
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
    (declared,) = app.receptionists("north")
    assert (declared.fields.name, declared.fields.pin) == ("Sales", Secret("135790"))


def test_fallbacks_of_several_pbxs() -> None:
    app = built(
        'fallback = {north = "1", south = {hangup = true}}\n'
        + "".join(f'[[ivr]]\nnumber = "8000"\npbx = "{pbx}"\n' for pbx in ("north", "south"))
    )
    assert app.fallbacks == {"north": Forward("1"), "south": Hangup()}


def test_paths_count_from_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "vips.csv").write_text("number,destination\n101,222\n")
    (tmp_path / "conf" / "app.toml").write_text(
        of_action('{handler = "table", source = "vips.csv"}'), encoding="utf-8-sig"
    )
    monkeypatch.chdir(tmp_path)
    assert len(list(load_app("conf/app.toml"))) == 1


# then = …, and what is said of it.
THENS = {
    '"x"': 'then: this is neither "hangup", nor "repeat", nor a destination of 1 to 64 digits, '
    "* or #, with a + in front or not",
    "3": 'then: this is a whole number; it must be a reply such as "222" or a handler',
    "{}": 'then: this is a table; it must be a reply such as "222" or a handler',
    "{forward = 3}": "then.forward: this is a whole number; it must be a text, as in "
    'forward = "222"',
    '{forward = "x"}': "then.forward: Forward got a destination of 1 characters that cannot be "
    "dialled: use 1 to 64 digits, * or #, with a + in front or not",
    '{forward = "$NO"}': "then.forward: the variable NO is not set: export it, or write it into "
    ".env",
    "{hangup = false}": "then.hangup: write hangup = true",
    '{repeat = true, "a b" = 1}': 'then."a b": repeat = … is a whole reply: nothing may stand '
    "beside it",
    '{handler = "menue"}': "then.handler: no handler 'menue' is installed: is 'menu' meant?",
    '{handler = "zzz"}': "then.handler: no handler 'zzz' is installed: receiver handlers lists "
    "those there are",
    "{handler = 3}": "then.handler: this must be a name, as a text",
    '{connector = "zzz"}': "then.connector: no connector 'zzz' is installed: receiver handlers "
    "lists those there are",
    '{handler = "menu"}': "then: choices is missing: it is a table (a reply such as "
    '"222" or a handler)',
    '{handler = "menu", choice = {1 = "1"}, choices = {2 = "2"}}': "then.choice: there is no such "
    "key; is choices meant?",
    '{handler = "menu", xxx = 1, choices = {2 = "2"}}': "then.xxx: there is no such key; there are "
    "choices, otherwise",
    '{handler = "menu", choices = {}}': "then: Menu: choices= is a table with at least one choice",
    '{handler = "balance", to = ["1"], draw = 1}': "then.draw: this can only be given in Python, "
    "for it is a function",
    '{handler = "balance", to = [["1", 1, 1]]}': "then.to: this has 3 entries; it must be a list "
    'of 2 (a reply such as "222" or a handler, a number)',
    '{handler = "balance", to = [["1", "x"]]}': "then.to: this is a text; it must be a number",
    '{handler = "balance", to = ["1"], by = "turn"}': "then.by: this is 'turn'; it must be "
    '"turns", "chance" or "caller"',
    '{handler = "account", check = 2580}': "then.check: this is a whole number; it must be a table "
    '(a reply such as "222" or a handler, or a text or "$NAME"), or a list (a text or "$NAME"), or '
    'a text or "$NAME"',
    '{handler = "account", check = ["$NO"]}': "then.check: the variable NO is not set: export it, "
    "or write it into .env",
    '{use = "zzz"}': "then.use: nothing is defined as 'zzz': write a table [define.zzz]",
    '{use = "numbersx"}': "then.use: nothing is defined as 'numbersx': is 'numbers' meant?",
    '{use = "numbers", otherwise = "1"}': "then.otherwise: options belong to [define.numbers], not "
    "beside use",
    '{use = "numbers.ahead"}': "then.use: 'numbers' has no handler 'ahead' that belongs to it",
    '{use = "numbers._add"}': "then.use: 'numbers' has no handler '_add' that belongs to it",
}
NUMBERS = '[define.numbers]\nhandler = "menu"\nchoices = {1 = "222"}\n'


@pytest.mark.parametrize("then", THENS)
def test_what_may_be_wrong_with_where_a_call_goes_on(then: str) -> None:
    assert problems(of_action(then) + NUMBERS) == [f"6 ivr.dtmf.{THENS[then]}"]


WHOLE = {
    "x = ": "1 this is no TOML: Invalid value",
    'a = 1\n\na = "2580"': "3 this is no TOML: Cannot overwrite a value",
    "a = " + "[" * 5000: "1 it is nested too deeply",
    "a = " + "9" * 5000: "1 a number in it has too many digits",
    "": '1 there is no [[ivr]]: begin with one, and its number = "8000"',
    '\n[ivr]\nnumber = "8000"': "2 ivr: write each of them as [[ivr]], with two brackets",
    '[[ivr]]\nnumber = "8000"\n[ivr.dtmf]\nmask = "1"': "3 ivr.dtmf: write each of them as "
    "[[ivr.dtmf]], with two brackets",
    "define = 3": "1 define: write what is defined as tables, as in [define.office]",
    "define.a = 3": "1 define.a: this must be a table, as [define.a]",
    "[define.a]\nb = 1": '1 define.a: this must have handler = "…", or connector or use',
    'fallback = {handler = "menu"}': "1 fallback.handler: only a reply may stand here: "
    '"222", "hangup", "repeat"',
    "[[ivr]]": "1 ivr: number is missing: it is a text",
    "[[ivr]]\nnumber = 8000": "2 ivr.number: this is a whole number; it must be a text",
    '[[ivr]]\nnumber = "x"': "1 ivr: an Ivr has an extension number of 3 to 64 digits, as in "
    "Ivr(\"8000\"): 'x'",
    '[[ivr]]\nnumber = "8000"\ndtfm = 1': "3 ivr.dtfm: there is no such key; is dtmf meant?",
    '[[ivr]]\nnumber = "8000"\ntimeout = 3': "1 ivr: timeout= is for an Ivr that declares the "
    "receptionist: give it a name= too",
    'fallback = {west = "1"}\n[[ivr]]\nnumber = "8000"': "1 fallback has 'west', which is the pbx= "
    "of no Ivr: there are ''",
}


@pytest.mark.parametrize("text", WHOLE, ids=range(len(WHOLE)))
def test_what_may_be_wrong_with_a_file(text: str) -> None:
    assert WHOLE[text] in problems(text)


ACTIONS = {
    'mask = "x"\nthen = "1"\nname = "x"': '4 ivr.dtmf.mask: mask entry "x" is neither digits, nor '
    "* for a digit, nor a range",
    'then = "1"\nname = "x"': '3 ivr.dtmf: mask is missing: it is a text such as "1;2;1000-1999"',
    'then = "1"\nmask = "1"': "3 ivr.dtmf: name is missing: it is a text, by which the PBX knows "
    "this",
    'mask = "1"\nname = "x"': '3 ivr.dtmf: then is missing: it is a reply such as "222" or a '
    "handler",
    'mask = "1"\nthen = "1"\nname = "a/b"': "3 ivr.dtmf: ",
    'mask = "1"\nthen = "1"\nname = "x"\n[[ivr.dtmf]]\nmask = "1"\nthen = "1"\nname = "y"': "7 "
    "ivr.dtmf: the masks of 'y' and 'x' (app.toml:3) on IVR 8000 both match",
}


@pytest.mark.parametrize("text", ACTIONS, ids=range(len(ACTIONS)))
def test_what_may_be_wrong_with_an_action(text: str) -> None:
    (problem,) = problems(f'[[ivr]]\nnumber = "8000"\n[[ivr.dtmf]]\n{text}')
    assert problem.startswith(ACTIONS[text])


def test_masks_that_clash_between_two_tables_of_one_ivr() -> None:
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


def test_definitions_that_lead_back_to_themselves() -> None:
    one = '[define.{}]\nhandler = "balance"\nto = [{{use = "{}"}}]\n'
    text = one.format("a", "b") + one.format("b", "a") + of_action('{use = "a"}')
    assert problems(text) == ["6 define.b.to.use: this leads back to itself: a → b → a"]


def test_what_came_from_the_environment_is_in_no_text() -> None:
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
        (f"check = {{{PIN} = 3}}", "9 define.a.check.***: this is a whole number"),
        (f"check = {{Bob = {{hangup = 1, {PIN} = 1}}}}", "9 define.a.check.***.***: hangup = …"),
        (f'check = {{{PIN} = {{use = "zzz"}}}}', "9 define.a.check.***.use: nothing is defined"),
        (f"check = {{{PIN} = 'x'}}", "9 define.a.check.***: this is neither"),
        (f'[define.a.check]\n{PIN} = "$NO"', "10 define.a.check.***: the variable NO is not set"),
        (f"{PIN} = '201'", "9 define.a.***: there is no such key"),
        (f"check = {{{PIN} = '1', {PIN} = '2'}}", "9 this is no TOML: Duplicate inline table key"),
        (f"[define.a.check.{PIN}]\n[define.a.check.{PIN}]", "10 this is no TOML: Cannot declare"),
        (f"check = {{{PIN} = {{}}}}\ncheck.{PIN}.b = 1", "10 this is no TOML: Cannot "),
    ],
)
def test_no_problem_names_a_key_that_a_caller_may_have(text: str, problem: str) -> None:
    (said,) = problems(of_action('"1"') + f'[define.a]\nhandler = "account"\n{text}')
    assert said.startswith(problem)
    assert PIN not in said
    assert "Bob" not in said


def test_other_keys_are_named() -> None:
    then = '{handler = "menu", choices = {12 = 3, line-8000 = 3, 4711 = 3}}'
    assert [one.partition(":")[0] for one in problems(of_action(then))] == [
        "6 ivr.dtmf.then.choices.***",
        "6 ivr.dtmf.then.choices.12",
        "6 ivr.dtmf.then.choices.line-8000",
    ]
    assert problems("[[a]]\n[a]") == ["2 this is no TOML: Cannot declare ('a',) twice"]


CRM = '{connector = "hubspot", token = "t"}'


def looking_up(*options: str) -> str:
    rows = [f'[define.{"abc"[n]}]\nhandler = "caller-lookup"\n{o}\n' for n, o in enumerate(options)]
    return "".join(rows) + of_action('"1"')


@pytest.mark.parametrize("crm", [CRM, '{kind = "hubspot", token = "t"}'])
def test_two_crms_of_one_name(crm: str) -> None:
    """Else it would be found out by the job that logs a call."""
    (problem,) = problems(looking_up(f"crm = {CRM}", f"region = 'DE'\ncrm = {crm}"))
    assert problem == (
        "7 define.b.crm: this has the name 'hubspot', as another has in line 3: if both are one, "
        'write it once as [define.…] and both times crm = {use = "…"}; if not, give one of them a '
        "name = of its own"
    )


@pytest.mark.parametrize(
    "other",
    [
        'crm = {connector = "hubspot", token = "t", name = "other"}',
        f'crm = {CRM}\nlog = "never"',
    ],
)
def test_crms_that_can_be_told_apart(other: str) -> None:
    assert list(built(looking_up(f"crm = {CRM}", other)))


def test_a_crm_that_several_look_ups_share() -> None:
    crm = f"[define.crm]\n{CRM[1:-1].replace(', ', chr(10))}\n"
    assert list(built(crm + looking_up(*['crm = {use = "crm"}'] * 3)))


def test_an_empty_variable_is_none() -> None:
    then = '{handler = "relay", url = "https://x.example.com", secret = "$FLOW"}'
    assert "FLOW is not set" in problems(of_action(then), FLOW="")[0]


# Handlers of all kinds, as another wheel may have them.

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
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "acme.py").write_text(MODULE)
    info = tmp_path / "acme-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    import sys

    sys.modules.pop("acme", None)


@pytest.mark.usefixtures("wheel")
async def test_handlers_and_connectors_of_another_wheel() -> None:
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


@pytest.mark.usefixtures("wheel")
@pytest.mark.parametrize(
    ("then", "problem"),
    [
        ('{handler = "itself", x = 1}', "then.x: there are no options"),
        (
            '{handler = "nothing"}',
            "then: this is no handler, which takes a Call, but of type NoHandler",
        ),
        ('{handler = "fails"}', "then: handler 'fails' (acme:Fails) could not be made: KeyError"),
        ('{handler = "refuses"}', "then: not here"),
        ('{handler = "number"}', "then.handler: it is neither a class nor a function"),
        ('{handler = "missing"}', 'then.handler: handler "missing" (acme:Missing) is broken'),
        ('{handler = "finder", crm = "x"}', "then.crm: this is a text; it must be a connector"),
        (
            '{connector = "crm", token = "x"}',
            "then: this is no handler, which takes a Call, but of type Crm",
        ),
    ],
)
def test_what_may_be_wrong_with_another_wheel(then: str, problem: str) -> None:
    (said,) = problems(of_action(then))
    assert said.startswith(f"6 ivr.dtmf.{problem}")
    assert "hush" not in said


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("octets.toml").write_bytes(b"\xff")
    for name, problem in (
        ("octets.toml", "UTF-8"),
        ("none.toml", "No such file"),
        (".toml", "No such file"),
        ("a\0.toml", "cannot be read"),
    ):
        with pytest.raises(LoadError, match=problem):
            load_app(name)


def test_variables_come_from_the_file_beside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("app.toml").write_text(of_action('{forward = "$DESK"}'))
    with pytest.raises(ConfigurationError, match=re.escape("app.toml:6: ivr.dtmf.then.forward")):
        load_app("app.toml")
    Path(".env").write_text("DESK=222\n")
    (action,) = load_app("app.toml")
    assert json.dumps(action.where) == '"app.toml:3"'


def test_definitions_that_lead_on_and_on() -> None:
    chain = "".join(
        f'[define.a{n}]\nhandler = "menu"\nchoices = {{1 = {{use = "a{n + 1}"}}}}\n'
        for n in range(500)
    )
    assert problems(chain + "[define.a500]\n") == ["1 it is nested too deeply"]


def test_what_is_cut_short_shows_nothing_of_a_variable() -> None:
    secret = "abcdefgh" * 9
    found = problems(of_action('{handler = "account", kind = "$IT", check = ["1"]}'), IT=secret)
    assert "abcdefgh" not in found[0]
    assert "'***'" in found[0]
