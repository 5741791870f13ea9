"""Warnings: each has a number as an example, none stops anything."""

from __future__ import annotations

from typing import Any

import pytest

from receiver import Call, Forward, Ivr, Reply, Secret
from receiver.pbx.models import ActionUrl, IvrSummary
from receiver.registration.lints import Own, declared, lint
from receiver.registration.plans import plan
from receiver.registration.wanting import wanted

BASE = "https://ivr.example.com"
IVR = IvrSummary(id="i1", name="Sales", extension_number="8000")
SLOW = "who keys in the longer one too slowly gets the shorter one"
UNKNOWN = "which of them is asked is not documented"


async def handler(call: Call) -> Reply:
    return Forward("222")


def make_ivr(*rows: tuple[str, str, dict[str, Any]]) -> Ivr:
    ivr = Ivr("8000")
    for name, mask, options in rows:
        kind = options.pop("kind", "DTMF")
        ivr.add(kind, mask, handler, name=name, **options)
    return ivr


def look(ivr: Ivr, *foreign: ActionUrl, own: Own | None = None) -> tuple[str, ...]:
    made = plan(wanted(ivr, BASE, Secret("x" * 16)), [(IVR, foreign)], BASE)
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
    ("foreign", "found"),
    [
        (theirs("20-29"), True),
        (theirs("30-39"), False),
        (theirs("20-29", enabled=False), False),
        (theirs("20-29", type="CALLER"), False),
        (theirs("?"), False),
    ],
)
def test_overlaps_with_other_services(foreign: ActionUrl, found: bool) -> None:
    texts = look(make_ivr(("a", "22", {})), foreign)
    whose = '8000/a and "crm\\n" of another service (https://crm.example.com/…) both match "22"'
    assert texts == ((f"{whose}: {UNKNOWN}",) if found else ())


def test_the_menu_of_the_ivr() -> None:
    own = Own(keys=("1", "3#", "", "*", "7"))
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
    texts = look(make_ivr(("a", mask, {})), own=Own(excluded=excluded))
    assert [text.split(",")[0] for text in texts] == ["8000/a matches 9000"] * found
