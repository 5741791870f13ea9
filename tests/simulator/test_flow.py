"""The call flow of an IVR, with every time passed in."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.calls import Call
from receiver.errors import MaskError
from receiver.masks import Mask
from receiver.pbx.callback_trace import Outcome
from receiver.simulator.behaviour import Behaviour
from receiver.simulator.events import Event, Events, Moment
from receiver.simulator.flow import Flow
from receiver.simulator.hours import LocalTime
from receiver.simulator.model import Pbx

NOON = LocalTime(2026, 1, 5, 12, 0, 0)  # a Monday
NIGHT = LocalTime(2026, 1, 5, 23, 0, 0)
FORWARDED = Outcome("forwarded", "222")


def to(number: str) -> dict[str, str]:
    return {"action": "FORWARD_TO_NUMBER", "number": number}


class Phoned:
    """A flow with a clock, which keeps what happened."""

    def __init__(self, behaviour: Behaviour | None = None, **ivr: Any) -> None:
        self.pbx = Pbx(behaviour)
        self.id = self.pbx.ivrs.create({"name": "Sales", "extension_number": "888", **ivr})
        self.seconds = 0.0
        self.local = NOON
        self.events: list[Event] = []

    def action(self, mask: str, kind: str = "DTMF", **more: Any) -> Phoned:
        key = "dtmf_mask" if kind == "DTMF" else "caller_mask"
        row = {
            "name": f"on {mask}",
            "enabled": True,
            "type": kind,
            key: mask,
            "url": "http://action",
        }
        self.pbx.action_urls(self.id).create(row | more)
        return self

    def menu(self, user_input: str, **rules: Any) -> Phoned:
        entry = {"user_input": user_input, "office_hours_forward_rule": to("300"), **rules}
        before = self.pbx.ivrs.stored(self.id).get("custom_forward_rules") or []
        self.pbx.ivrs.update(self.id, {"custom_forward_rules": [*before, entry]})
        return self

    def arrive(self) -> Phoned:
        self.flow = Flow(self.pbx, Call("101", "", "888", "Sales"))
        return self.take(self.flow.arrive(self.at))

    @property
    def at(self) -> Moment:
        return Moment(self.seconds, self.local)

    def take(self, events: Events) -> Phoned:
        self.events += events
        return self

    def press(self, keys: str) -> Phoned:
        for key in keys:
            self.take(self.flow.key(key, self.at))
        return self

    def wait(self, seconds: float) -> Phoned:
        self.seconds += seconds
        return self.take(self.flow.on_time(self.at))

    def answer(self, outcome: Outcome) -> Phoned:
        return self.take(self.flow.answered(outcome, self.at))

    @property
    def kinds(self) -> list[str]:
        """The kinds of events since the last look."""
        kinds: list[str] = [event.kind for event in self.events]
        self.events = []
        return kinds

    @property
    def outcomes(self) -> list[Outcome]:
        return [event.step.outcome for event in self.events if event.step]

    @property
    def rule(self) -> str:
        """By which rule the last step was decided."""
        return [event.step.rule for event in self.events if event.step][-1]


# Arrival -------------------------------------------------------------------------------------


def test_the_prompt_is_played_and_a_key_is_waited_for() -> None:
    call = Phoned().arrive()
    assert call.outcomes == [Outcome("menu")]
    assert call.kinds == ["decided", "prompt"]
    assert (call.flow.due, call.flow.digits, call.flow.outcome) == (30, "", None)


def test_the_caller_action_is_asked_before_the_prompt() -> None:
    call = Phoned().action("100-199", "CALLER").arrive()
    assert call.kinds == ["asking"]
    assert (call.flow.due, call.flow.asking is not None) == (None, True)
    assert call.answer(FORWARDED).kinds == ["ended"]
    assert (call.flow.outcome, call.flow.due) == (FORWARDED, None)


def test_a_caller_action_that_repeats_leads_to_the_prompt() -> None:
    call = Phoned().action("100-199", "CALLER").arrive().answer(Outcome("repeated"))
    assert call.kinds == ["asking", "prompt"]


@pytest.mark.parametrize(
    ("version", "kinds"),
    [
        ("22.6", ["decided", "ended"]),
        ("22.3", ["prompt", "decided", "ended"]),
    ],
)
def test_night_mode_forwards_without_a_callback(version: Any, kinds: list[str]) -> None:
    night = {"enable_night_mode": True, "night_mode_forward_rule": to("900")}
    call = Phoned(Behaviour(version), **night).action("100-199", "CALLER").arrive()
    assert call.rule == "night mode"
    assert call.kinds == kinds
    assert call.flow.outcome == Outcome("forwarded", "900")


def test_the_night_mode_of_the_tenant() -> None:
    call = Phoned(Behaviour("22.2"), pin="135790", night_mode_forward_rule=to("900"))
    call.pbx.night_mode = True
    assert call.arrive().flow.outcome == Outcome("forwarded", "900")
    old = Phoned(Behaviour("22.0"), pin="135790", night_mode_forward_rule=to("900"))
    old.pbx.night_mode = True
    assert old.arrive().flow.outcome is None


def test_night_mode_without_a_rule_is_as_by_day() -> None:
    assert Phoned(enable_night_mode=True).arrive().kinds == ["decided", "prompt"]


# Keys ----------------------------------------------------------------------------------------


def test_an_action_is_asked_when_the_gap_has_passed() -> None:
    call = Phoned(dtmf_interval=4).action("22").arrive().press("2")
    assert call.flow.due == 4
    call.wait(3).press("2")
    assert (call.flow.due, call.flow.digits) == (7, "22")
    assert call.kinds == ["decided", "prompt", "key", "key"]
    assert call.wait(3.9).kinds == []
    assert call.wait(0.1).kinds == ["asking"]
    asked = call.flow.asking
    assert asked is not None
    assert (asked.trigger, asked.kind, asked.call.digits) == ("press", "DTMF", "22")
    assert call.answer(Outcome("repeated")).kinds == ["prompt"]
    assert (call.flow.digits, call.flow.due) == ("", 37)


def test_keys_are_ignored_during_a_callback_and_after_the_end() -> None:
    call = Phoned().action("2").arrive().press("2").wait(2)
    assert call.press("3").kinds[-1] == "deaf"
    assert call.answer(FORWARDED).press("3").kinds == ["ended", "deaf"]


def test_keys_without_a_match() -> None:
    call = Phoned().action("22").arrive().press("3").wait(2)
    assert call.outcomes[-1] == Outcome("menu")
    assert call.kinds[-2:] == ["decided", "prompt"]


def test_a_menu_entry_acts_at_once() -> None:
    call = Phoned().menu("1").action("12").arrive().press("1")
    assert call.rule == "menu entry 1"
    assert call.flow.outcome == Outcome("forwarded", "300")


def test_a_menu_entry_that_ends_in_hash_waits() -> None:
    call = Phoned().menu("1#").menu("12").arrive().press("1")
    assert call.flow.due == 3
    assert call.press("2").flow.outcome == Outcome("forwarded", "300")
    other = Phoned().menu("1#").arrive().press("1").wait(3)
    assert other.rule == "menu entry 1#"
    literally = Phoned().menu("1#").arrive().press("1#")
    assert literally.flow.outcome == other.flow.outcome == Outcome("forwarded", "300")


def test_an_action_beats_the_menu_for_the_same_keys() -> None:
    call = Phoned().menu("1").menu("2#").action("1;2").arrive().press("1")
    assert call.flow.due == 2
    assert call.wait(2).kinds[-1] == "asking"
    assert call.answer(Outcome("repeated")).press("2").flow.due == 4


def test_all_leaves_nothing_to_the_menu() -> None:
    call = Phoned().menu("1").action("ALL").arrive().press("1#").wait(2)
    assert call.kinds[-1] == "asking"


def test_extensions_are_dialled_directly_but_for_those_excluded() -> None:
    call = Phoned(exclude_list="300-399,500")
    for number in ("200", "301", "500"):
        call.pbx.add_extension(number)
    call.arrive().press("200").wait(2)
    assert call.rule == "an extension, dialled directly"
    assert call.flow.outcome == Outcome("forwarded", "200")
    for number in ("301", "500"):
        assert call.arrive().press(number).wait(2).flow.outcome is None
    call.pbx.ivrs.update(call.id, {"exclude_list": "what?"})
    assert call.arrive().press("301").wait(2).flow.outcome == Outcome("forwarded", "301")


@pytest.mark.parametrize(
    ("rule", "outcome"),
    [
        ({"action": "FORWARD_TO_VOICEMAIL", "number": "300"}, Outcome("voicemail", "300")),
        ({"action": "HANGUP", "number": "300"}, Outcome("hung up")),
        ({"action": "DISA"}, Outcome("disa")),
        ({"action": "REPEAT"}, Outcome("repeated")),
        ({"action": "FORWARD_TO_NUMBER"}, Outcome("menu")),
        ({}, Outcome("menu")),
    ],
)
def test_actions_of_a_rule(rule: dict[str, str], outcome: Outcome) -> None:
    call = Phoned().menu("1", office_hours_forward_rule=rule).arrive().press("1")
    assert call.outcomes[-1] == outcome
    assert call.flow.outcome == (outcome if outcome.ends_call else None)


# Hours ---------------------------------------------------------------------------------------


def test_office_hours_and_holidays_of_a_menu_entry() -> None:
    call = Phoned()
    xmas = {"name": "Xmas", "region": "DEU", "consecutive": True, "every_year": True}
    day = call.pbx.holidays.create({**xmas, "month_start": 12, "day_start": 25})
    hours = {
        "mode": "CUSTOM",
        "monday": {"enabled": True, "ranges": [{"from": "09:00", "to": "17:00"}]},
    }
    call.menu(
        "1",
        office_hours=hours,
        non_office_hours_forward_rule=to("400"),
        holidays=[day],
        holiday_forward_rule=to("500"),
    )
    ends = []
    for call.local in (NOON, NIGHT, LocalTime(2026, 12, 25, 12, 0, 4)):
        ends.append((call.arrive().press("1").flow.outcome, call.rule))
    assert ends == [
        (Outcome("forwarded", "300"), "menu entry 1"),
        (Outcome("forwarded", "400"), "menu entry 1, outside of office hours"),
        (Outcome("forwarded", "500"), "menu entry 1, on a holiday"),
    ]


def test_the_hours_of_the_tenant() -> None:
    call = Phoned().menu("1", non_office_hours_forward_rule=to("400"))
    call.pbx.office_hours = {"sunday": {"enabled": True}}
    assert call.arrive().press("1").flow.outcome == Outcome("forwarded", "400")


# No key --------------------------------------------------------------------------------------


def test_no_key_repeats_the_prompt_and_then_follows_the_rule() -> None:
    rule = {"timeout": 5, "repeat_times": 2, **to("0")}
    call = Phoned(timeout_forward_rule=rule).arrive()
    for _ in range(2):
        assert call.wait(5).flow.outcome is None
    assert call.rule == "nothing for 5 s, time 2 of 2"
    assert call.wait(5).flow.outcome == Outcome("forwarded", "0")
    assert call.outcomes == [
        Outcome("menu"),
        Outcome("repeated"),
        Outcome("repeated"),
        Outcome("forwarded", "0"),
    ]


def test_a_key_begins_the_count_anew() -> None:
    rule = {"timeout": 5, "repeat_times": 1, "action": "HANGUP"}
    call = Phoned(timeout_forward_rule=rule).arrive().wait(5).press("9").wait(2).wait(5)
    assert call.flow.outcome is None
    assert call.wait(5).flow.outcome == Outcome("hung up")


def test_no_key_and_no_rule_is_the_end() -> None:
    call = Phoned(timeout_forward_rule={"timeout": 0, "repeat_times": 0}).arrive()
    assert call.flow.due == 30  # 0 is not documented
    assert call.wait(30).flow.outcome == Outcome("hung up")


def test_no_key_and_a_rule_that_repeats_goes_on() -> None:
    rule = {"timeout": 5, "repeat_times": 0, "action": "REPEAT"}
    call = Phoned(timeout_forward_rule=rule).arrive()
    for _ in range(5):
        call.wait(5)
    assert call.flow.outcome is None
    assert call.kinds.count("prompt") == 6


# What fails ----------------------------------------------------------------------------------

FAILED = Outcome("failed", "HTTP status 500")


@pytest.mark.parametrize(
    ("after_failure", "outcome"),
    [
        ("prompt", None),
        ("failure_rule", Outcome("forwarded", "0")),
        ("menu", Outcome("forwarded", "300")),
        ("hang_up", Outcome("hung up")),
    ],
)
def test_after_a_failed_callback(after_failure: Any, outcome: Any) -> None:
    behaviour = Behaviour(after_failure=after_failure)
    call = Phoned(behaviour, failure_forward_rule=to("0")).menu("1").action("1")
    call.arrive().press("1").wait(2).answer(FAILED)
    assert call.flow.outcome == outcome


def test_a_caller_action_that_failed_has_no_menu_to_go_on_with() -> None:
    call = Phoned(Behaviour(after_failure="menu")).action("101", "CALLER").arrive().answer(FAILED)
    assert call.kinds == ["asking", "prompt"]


def test_a_number_that_cannot_be_reached() -> None:
    call = Phoned(failure_forward_rule=to("0")).action("1")
    call.pbx.unreachable = {"222"}
    call.arrive().press("1").wait(2).answer(FORWARDED)
    assert call.rule == "222 cannot be reached"
    assert call.flow.outcome == Outcome("forwarded", "0")
    call.pbx.unreachable = {"222", "0"}
    call.arrive().press("1").wait(2).answer(FORWARDED)
    assert call.flow.outcome == Outcome("hung up")
    call.pbx.ivrs.update(call.id, {"failure_forward_rule": {}})
    call.arrive().press("1").wait(2).answer(FORWARDED)
    assert call.flow.outcome is None


# The finish key ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("finish_key", "sent"), [("none", None), ("sent", "4711#"), ("stripped", "4711")]
)
def test_the_finish_key_ends_the_input(finish_key: Any, sent: str | None) -> None:
    call = Phoned(Behaviour(finish_key=finish_key)).action("ALL").arrive().press("4711#")
    asked = call.flow.asking
    assert (asked and asked.call.digits) == sent
    if asked is None:
        call.wait(2)
        assert call.flow.asking is not None
        assert call.flow.asking.call.digits == "4711#"


@pytest.mark.parametrize("finish_key", ["sent", "stripped"])
def test_a_mask_without_the_finish_key_matches(finish_key: Any) -> None:
    call = Phoned(Behaviour(finish_key=finish_key)).action("1").menu("2").arrive()
    assert call.press("1#").flow.asking is not None
    call.answer(Outcome("repeated")).press("2#")
    assert call.flow.outcome == Outcome("forwarded", "300")


def test_a_finish_key_without_digits_is_a_key() -> None:
    call = Phoned(Behaviour(finish_key="stripped")).action("ALL").arrive().press("#").wait(2)
    assert call.flow.asking is not None
    assert call.flow.asking.call.digits == "#"


# The end -------------------------------------------------------------------------------------


def test_the_caller_hangs_up() -> None:
    call = Phoned().arrive()
    call.take(call.flow.hang_up(call.at))
    assert call.flow.outcome == Outcome("left")
    assert call.flow.hang_up(call.at) == ()
    assert call.wait(100).flow.due is None


def test_an_answer_to_a_caller_who_has_left_changes_nothing() -> None:
    call = Phoned().action("1").arrive().press("1").wait(2)
    call.take(call.flow.hang_up(call.at))
    assert call.flow.answered(FORWARDED, call.at) == ()
    assert call.flow.answered(FORWARDED, call.at) == ()
    assert call.flow.outcome == Outcome("left")


def test_no_repr_shows_dtmf_input() -> None:
    call = Phoned().menu("4711").arrive().press("4711")
    assert "4711" not in repr(call.events)


# The mask engine -----------------------------------------------------------------------------

entries = st.from_regex(r"[0-9*]{1,3}|[0-4][0-9]-[5-9][0-9]|ALL", fullmatch=True)
masks = st.lists(entries, min_size=1, max_size=3).map(";".join)


@given(st.lists(masks, max_size=4), st.text("0123456789*#", min_size=1, max_size=4))
def test_no_input_asks_an_action_whose_mask_does_not_match(found: list[str], keys: str) -> None:
    call = Phoned().menu("7").menu("8#")
    for mask in found:
        call.action(mask, name="action")
    call.arrive().press(keys).wait(3)
    asked = call.flow.asking
    if asked is None:
        ended = call.flow.outcome is not None  # a menu entry acted before the keys were complete
        assert ended or not any(means(mask, keys) for mask in found)
    else:
        assert means(asked.action.dtmf_mask, asked.call.digits)
        assert keys.endswith(asked.call.digits)


def means(text: str, keys: str) -> bool:
    """Whether a mask matches; one that cannot be read never does."""
    try:
        return Mask.parse(text).matches(keys)
    except MaskError:
        return False
