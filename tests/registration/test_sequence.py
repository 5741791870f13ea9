"""The order of requests: each input handled before and after a plan is handled throughout it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.masks import Mask
from receiver.pbx.models import ActionUrl, IvrSummary
from receiver.registration.changes import Change
from receiver.registration.sequence import Step, in_order

IVR = IvrSummary(id="i1", extension_number="8000")
Rows = dict[str, ActionUrl]


def row(name: str, mask: str, kind: str = "DTMF", enabled: bool = True) -> ActionUrl:
    made = ActionUrl(id=name, name=name, type=kind, enabled=enabled)
    field = "caller_mask" if kind == "CALLER" else "dtmf_mask"
    return msgspec.structs.replace(made, **{field: mask})


def changes(before: Sequence[ActionUrl], after: Sequence[ActionUrl]) -> list[Change[ActionUrl]]:
    there = {item.name: item for item in before}
    return [
        Change("update", IVR, item, before=there[item.name])
        if item.name in there
        else Change("create", IVR, item)
        for item in after
    ]


def shown(steps: Sequence[Step[ActionUrl]]) -> list[str]:
    return [f"{step.resource.name} {step.resource.mask}" for step in steps]


def test_what_need_not_wait_keeps_its_place() -> None:
    made = in_order(changes([row("b", "2")], [row("a", "1"), row("b", "2;3"), row("c", "4")]))
    assert shown(made) == ["a 1", "b 2;3", "c 4"]


def test_what_takes_over_comes_first() -> None:
    made = in_order(changes([row("a", "1;2"), row("b", "3")], [row("a", "1"), row("b", "2;3")]))
    assert shown(made) == ["b 2;3", "a 1"]
    made = in_order(changes([row("a", "1")], [row("a", "1", enabled=False), row("b", "1")]))
    assert shown(made) == ["b 1", "a 1"]


def test_one_of_two_that_swap_has_both_for_a_moment() -> None:
    made = in_order(changes([row("a", "1"), row("b", "2")], [row("a", "2"), row("b", "1")]))
    assert shown(made) == ["a 2;1", "b 1", "a 2"]
    assert [step.final for step in made] == [False, True, True]


def test_callers_and_keys_do_not_wait_for_each_other() -> None:
    before = [row("a", "1"), row("b", "1", "CALLER")]
    made = in_order(changes(before, [row("a", "2"), row("b", "3", "CALLER")]))
    assert shown(made) == ["a 2", "b 3"]


@pytest.mark.parametrize(
    ("one", "other"),
    [("ALL", "1"), (";".join(f"{n:03}" for n in range(60)), ";".join(map(str, range(1000, 1050))))],
)
def test_where_both_do_not_fit_there_is_a_moment_without(one: str, other: str) -> None:
    before = [row("a", one), row("b", other)]
    made = in_order(changes(before, [row("a", other), row("b", one)]))
    assert len(made) in (2, 3)
    assert {step.resource.name for step in made if step.final} == {"a", "b"}


def test_what_cannot_be_read_does_not_wait() -> None:
    made = in_order(changes([row("a", "?"), row("b", "1")], [row("a", "1"), row("b", "2")]))
    assert shown(made) == ["a 1", "b 2"]


numbers = [str(number) for number in range(1, 8)]
masks = st.lists(st.sampled_from(numbers), min_size=1, max_size=4, unique=True).map(";".join)
tables = st.dictionaries(st.sampled_from("abcde"), masks, max_size=5)


def disjoint(table: dict[str, str]) -> dict[str, str]:
    seen: set[str] = set()
    made = {}
    for name, mask in table.items():
        mine = [entry for entry in mask.split(";") if entry not in seen]
        seen.update(mine)
        if mine:
            made[name] = ";".join(mine)
    return made


@given(tables.map(disjoint), tables.map(disjoint))
def test_no_number_is_without_an_answer_on_the_way(
    before: dict[str, str], after: dict[str, str]
) -> None:
    after = {**{name: before[name] for name in before if name not in after}, **after}
    now = {name: row(name, mask) for name, mask in before.items()}
    todo = changes(list(now.values()), [row(name, mask) for name, mask in after.items()])
    always = [n for n in numbers if _heard(now.values(), n) and n in ";".join(after.values())]
    steps = in_order(todo)
    for step in steps:
        now[step.resource.name] = step.resource
        assert all(_heard(now.values(), number) for number in always)
    assert {name: item.mask for name, item in now.items()} == after
    assert len(steps) <= 2 * len(todo)


def _heard(rows: Iterable[ActionUrl], number: str) -> bool:
    return any(Mask.parse(item.mask).matches(number) for item in rows)


def test_all_but_the_mask_is_final_from_the_start() -> None:
    before = [row("a", "1", "CALLER"), row("b", "2", "CALLER")]
    after = [row("a", "2", "CALLER"), row("b", "1", "CALLER")]
    after[0] = msgspec.structs.replace(after[0], request_timeout=9)
    made = in_order(changes(before, after))
    assert (made[0].resource.request_timeout, made[0].resource.caller_mask) == (9, "2;1")


def test_two_that_swap_their_kinds_cannot_have_both() -> None:
    before = [row("a", "1"), row("b", "1", "CALLER")]
    made = in_order(changes(before, [row("a", "1", "CALLER"), row("b", "1")]))
    assert shown(made) == ["a 1", "b 1"]
    assert [step.final for step in made] == [True, True]
