"""Warnings: each has a number as an example, none stops anything."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from msgspec.structs import replace as replace_fields

from receiver import Call, Disa, Forward, Ivr, MenuEntry, NumberFormat, Reply, Secret
from receiver.declarations.ivr import desired_ivrs
from receiver.pbx import models_ivr
from receiver.pbx.models import ActionUrl, IvrSummary
from receiver.registration.desired import desired_action_urls
from receiver.registration.lints import IvrRules, declared, lint, with_declared
from receiver.registration.plans import plan, plan_ivr

BASE = "https://ivr.example.com"
IVR = IvrSummary(id="i1", name="Sales", extension_number="8000")
SLOW = "a caller who enters the longer one too slowly gets the shorter one"
UNKNOWN = "which of them gets the callback is not documented"


async def handler(call: Call) -> Reply:
    return Forward("222")


def make_ivr(*rows: tuple[str, str, dict[str, Any]]) -> Ivr:
    ivr = Ivr("8000")
    for name, mask, options in rows:
        kind = options.pop("kind", "DTMF")
        ivr.add(kind, mask, handler, name=name, **options)
    return ivr


def look(ivr: Ivr, *unmanaged: ActionUrl, own: IvrRules | None = None) -> tuple[str, ...]:
    made = plan(desired_action_urls(ivr, BASE, Secret("x" * 16)), [(IVR, unmanaged)], BASE)
    return lint(made, ["8000", "9000"], {"8000": own} if own else None)


@pytest.mark.parametrize(
    ("rows", "texts"),
    [
        ((("a", "1;2", {}), ("b", "30-39", {})), ()),
        ((("a", "2;22", {}),), (f'8000/a matches "2" and "22": {SLOW}',)),
        ((("a", "22", {}), ("b", "2", {})), (f'8000/b matches "2", 8000/a "22": {SLOW}',)),
        ((("a", "2", {}), ("b", "22", {"enabled": False})), ()),
        ((("a", "2;22", {"kind": "CALLER"}),), ()),
        ((("a", "ALL", {}),), ()),
    ],
)
def test_prefixes(rows: Any, texts: tuple[str, ...]) -> None:
    ivr = make_ivr(*((name, mask, dict(options)) for name, mask, options in rows))
    assert declared(ivr) == texts
    assert look(ivr) == texts


def theirs(mask: str, **fields: Any) -> ActionUrl:
    fields = {"type": "DTMF", "enabled": True, "name": "crm\n", **fields}
    return ActionUrl(id="u9", url="https://crm.example.com/sesame", dtmf_mask=mask, **fields)


@pytest.mark.parametrize(
    ("unmanaged", "found"),
    [
        (theirs("20-29"), True),
        (theirs("30-39"), False),
        (theirs("20-29", enabled=False), False),
        (theirs("20-29", type="CALLER"), False),
        (theirs("?"), False),
    ],
)
def test_overlaps_with_other_services(unmanaged: ActionUrl, found: bool) -> None:
    texts = look(make_ivr(("a", "22", {})), unmanaged)
    whose = '8000/a and "crm\\n" of another service (https://crm.example.com/…) both match "22"'
    assert texts == ((f"{whose}: {UNKNOWN}",) if found else ())


def test_what_blocks_a_declaration_is_not_warned_of_too() -> None:
    assert look(make_ivr(("a", "22", {})), theirs("22", name="A")) == ()


def test_the_menu_of_the_ivr() -> None:
    own = IvrRules.of(
        models_ivr.Ivr(
            custom_forward_rules=tuple(
                models_ivr.CustomRule(user_input=key) for key in ("1", "3#", "", "*", "7")
            )
        )
    )
    texts = look(make_ivr(("a", "1;300", {}), ("b", "7", {"kind": "CALLER"})), own=own)
    assert texts == (
        "8000/a matches 1: the IVR's own menu entry 1 is not reached",
        'the IVR\'s own menu entry 3# may fire before "300" of 8000/a is keyed in whole',
    )


@pytest.mark.parametrize(
    ("mask", "excluded", "found"),
    [
        ("9***", (), True),
        ("9***", ("8999-9001",), False),
        ("9***", ("rubbish",), True),
        ("7***", (), False),
        ("ALL", (), False),
    ],
)
def test_extensions_that_can_be_dialled(mask: str, excluded: tuple[str, ...], found: bool) -> None:
    texts = look(make_ivr(("a", mask, {})), own=IvrRules(excluded=excluded))
    assert [text.split(",")[0] for text in texts] == ["8000/a matches 9000"] * found


DISA = models_ivr.KeyRule(action="DISA")


@pytest.mark.parametrize("enable_pin", [False, True, None])
@pytest.mark.parametrize(
    "rule", ["office_hours_forward_rule", "non_office_hours_forward_rule", "holiday_forward_rule"]
)
def test_disa_without_a_pin(enable_pin: bool | None, rule: str) -> None:
    rules = (replace_fields(models_ivr.CustomRule(user_input="9"), **{rule: DISA}),)
    own = IvrRules.of(models_ivr.Ivr(enable_pin=enable_pin, custom_forward_rules=rules))
    texts = look(make_ivr(("a", "1", {})), own=own)
    if enable_pin is False:
        (text,) = texts
        assert text.startswith("IVR 8000: its menu key 9 leads to DISA and enable_pin is false")
    else:
        assert texts == ()


def test_declared_fields_of_an_ivr_count_as_applied() -> None:
    rules = (models_ivr.CustomRule(user_input="9", office_hours_forward_rule=DISA),)
    found = models_ivr.Ivr(id="i1", enable_pin=False, custom_forward_rules=rules)
    for ivr, warned in (
        (Ivr("8000", name="Sales"), True),
        (Ivr("8000", name="Sales", pin="135790"), False),
    ):
        one = ivr.desired
        assert one is not None
        made = replace(plan((), [(IVR, ())], BASE), ivrs=(plan_ivr(one, IVR, found),))
        for own in ({}, {"8000": IvrRules.of(found)}):
            assert bool(lint(made, [], own)) == warned
            assert len(lint(made, [], own)) <= 1


@pytest.mark.parametrize(
    ("number_format", "mask", "reason"),
    [
        ("automatic", "+49*********;49*********;0170*******", ""),
        ("e164", "+49*********;101;200-299", ""),
        ("e164", "49*********", "so all numbers from outside have a +"),
        ("e164", "0170*******", "so all numbers from outside have a +"),
        ("e164-without-plus", "49*********;101", ""),
        ("e164-without-plus", "+49*********", "so no number has a +"),
        ("e164-without-plus", "01700000000-01709999999", "so no number begins with 0"),
        ("national", "0170*******;101", ""),
        ("national", "+493012345", "so no number has a +"),
    ],
)
def test_masks_in_another_form_than_the_trunks(
    number_format: NumberFormat, mask: str, reason: str
) -> None:
    ivr = make_ivr(("vip", mask, {"kind": "CALLER"}), ("keyed", "4711471147", {}))
    made = plan(desired_action_urls(ivr, BASE, Secret("x" * 16)), [(IVR, ())], BASE)
    texts = lint(made, [], None, number_format)
    assert len(texts) == bool(reason)
    for text in texts:
        assert text.startswith("8000/vip matches ")
        assert text.endswith(f"says {number_format}, {reason}")


@pytest.mark.parametrize(
    ("mask", "found"),
    [
        ("+49*", ['"+490" and no longer number: a * is one digit. Write one for every digit, as']),
        ("+49***;030*", ['"+49000" and no longer', '"0300" and no longer']),
        ("+49*********;10*", []),
        ("+4930****;03012**", []),
        ("+49", ['"+49" and no longer number: a * is one digit']),
        ("030;101", []),
    ],
)
def test_a_star_that_may_stand_for_the_rest_of_a_number(mask: str, found: list[str]) -> None:
    ivr = Ivr("8000")
    ivr.add("CALLER", mask, handler, name="vip")
    texts = declared(ivr)
    assert len(texts) == len(found)
    for text, part in zip(texts, found, strict=True):
        assert part in text
        assert text.endswith('or the mask "any" and compare call.caller in the handler')


def test_any_caller_is_warned_of_in_no_form_of_the_trunk() -> None:
    ivr = Ivr("8000")
    ivr.add("CALLER", "any", handler, name="all")
    assert declared(ivr, {"": "national"}) == ()


def test_a_declared_menu_counts_in_place_of_that_of_the_pbx() -> None:
    menu = [MenuEntry("1", Forward("222"))]
    ivrs = desired_ivrs(
        [
            Ivr("8000", name="Sales", menu=menu),
            Ivr("8001", name="Support", exclude_list=["3000"]),
            Ivr("8002", name="New", menu=menu),
        ]
    )
    there = IvrRules(("1", "2"), ("1001-2001",), "DISA")
    assert with_declared({"8000": there, "8001": there, "9000": there}, ivrs) == {
        "8000": replace(there, keys=("1",)),
        "8001": replace(there, excluded=("3000",)),
        "8002": IvrRules(("1",)),
        "9000": there,
    }


def test_disa_without_a_pin_is_warned_of_without_a_pbx() -> None:
    menu = [MenuEntry("9", Disa())]
    open_to_all = Ivr("8000", name="Sales", menu=menu, enable_pin=False)
    (text,) = declared((), ivrs=desired_ivrs([open_to_all]))
    assert text.startswith("IVR 8000: its menu key 9 leads to DISA and enable_pin is false")
    assert not declared((), ivrs=desired_ivrs([Ivr("8000", name="Sales", menu=menu)]))
