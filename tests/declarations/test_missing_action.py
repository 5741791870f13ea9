"""The declaration to paste for an input that no action matches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import receiver
from receiver import Call, Forward, Ivr, Receiver, Reply
from receiver.calls import Kind
from receiver.config.build import build
from receiver.declarations.missing_action import MAX_INPUT_LENGTH, MissingAction, missing_action


async def handler(call: Call) -> Reply:
    return Forward("222")


def some(**options: Any) -> Ivr:
    """An IVR with an action for 1 and 22."""
    ivr = Ivr("8000", **options)
    ivr.add("DTMF", "1;22", handler, name="pick")
    return ivr


def paste(found: MissingAction, ivr: Ivr) -> None:
    """Run the Python text after the declarations of ``ivr``."""
    names = {name: getattr(receiver, name) for name in receiver.__all__}
    exec(found.python, {**names, "ivr": ivr})  # noqa: S102


def test_the_declaration_of_a_key_in_python_and_in_a_file() -> None:
    assert missing_action(some(), "8000", "DTMF", "7") == MissingAction(
        '# ivr is Ivr("8000")\n'
        '@ivr.dtmf("7")\n'
        "async def key_7(call: Call) -> Reply:\n"
        '    return Forward("222")\n',
        '[[ivr]]\nnumber = "8000"\n\n[[ivr.dtmf]]\nmask = "7"\nname = "key_7"\nthen = "222"\n',
    )


def test_the_declaration_of_a_caller_on_one_of_several_pbxs() -> None:
    found = missing_action(some(pbx="north"), "8000", "CALLER", "+49301234", pbx="north")
    assert found is not None
    assert found.python.splitlines()[:3] == [
        '# ivr is Ivr("8000", pbx="north")',
        '@ivr.caller("+49301234")',
        "async def known_caller(call: Call) -> Reply:",
    ]
    assert 'number = "8000"\npbx = "north"\n' in found.toml


@pytest.mark.parametrize(
    ("kind", "number"),
    [
        ("DTMF", "1"),  # an action matches it
        ("DTMF", ""),
        ("DTMF", "A"),
        ("DTMF", "1" * (MAX_INPUT_LENGTH + 1)),
        ("DTMF", "٧"),  # a digit, but no key
        ("CALLER", "anonymous"),
        ("CALLER", "+49 30 1234"),
        ("CALLER", '7")\nimport os'),
    ],
)
def test_an_input_without_a_declaration(kind: Kind, number: str) -> None:
    assert missing_action(some(), "8000", kind, number) is None


def test_a_switched_off_action_and_one_of_another_ivr_match_nothing() -> None:
    ivr = Ivr("8000")
    ivr.add("DTMF", "7", handler, name="key_7", enabled=False)
    ivr.add("DTMF", "8", handler, name="KEY_7_2")
    found = missing_action([*ivr, *some()], "8000", "DTMF", "7")
    assert found is not None
    assert "async def key_7_3(" in found.python
    assert missing_action([*ivr, *some()], "8001", "DTMF", "1") is not None


def test_star_and_hash_need_all_which_must_be_alone() -> None:
    alone = missing_action([], "8000", "DTMF", "*1#")
    assert alone is not None
    assert '@ivr.dtmf("ALL")\nasync def any_keys(' in alone.python
    assert alone.note == ""
    beside = missing_action(some(), "8000", "DTMF", "#")
    assert beside is not None
    assert "ALL matches any keys, and must be the only DTMF mask" in beside.note


def test_a_name_repeats_no_long_input() -> None:
    found = missing_action(some(), "8000", "DTMF", "4711")
    assert found is not None
    assert '@ivr.dtmf("4711")\nasync def keys(' in found.python


def test_digits_beside_a_sensitive_action_are_not_shown() -> None:
    ivr = Ivr("8000")
    ivr.add("DTMF", "****", handler, name="pin", sensitive=True)
    found = missing_action(ivr, "8000", "DTMF", "25801")
    assert found is not None
    assert '@ivr.dtmf("*****")' in found.python
    assert "2580" not in "".join(found)
    ivr.add("DTMF", "3*****", handler, name="other")
    assert missing_action(ivr, "8000", "DTMF", "258012") is None  # its mask would clash


@given(
    number=st.text("0123456789*#+", min_size=1, max_size=8),
    kind=st.sampled_from(["DTMF", "CALLER"]),
    pbx=st.sampled_from(["", "north"]),
)
def test_a_pasted_declaration_is_valid_and_matches(number: str, kind: Kind, pbx: str) -> None:
    ivr = some(pbx=pbx)
    found = missing_action(ivr, "8000", kind, number, pbx=pbx)
    if found is None or found.note:
        return
    paste(found, ivr)
    assert any(one.kind == kind and one.mask.matches(number) for one in ivr)
    Receiver(ivr)
    of_pbx = f'pbx = "{pbx}"\n' if pbx else ""
    whole = (
        f'[[ivr]]\nnumber = "8000"\n{of_pbx}[[ivr.dtmf]]\nmask = "1;22"\nname = "pick"\n'
        f'then = "1"\n\n{found.toml}'
    )
    app = build(whole, "app.toml", {}, Path())
    assert any(one.kind == kind and one.mask.matches(number) for one in app)
