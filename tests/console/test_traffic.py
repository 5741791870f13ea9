"""Calls and totals, from what the workers tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from receiver import Call, Forward, Hangup, Repeat, Reply
from receiver.console import totals
from receiver.console.totals import Totals
from receiver.console.traffic import CALL_TIMEOUT, Traffic
from receiver.recording.masking import Masker
from receiver.recording.publisher import PublishedCallback, PublishedEvent
from tests.recording.recorded_actions import ANSWER, KEY, action, make_ivr

BEGUN = 1_795_000_000.0
CALL = Call(
    caller="+4930123456", ivr="8000", digits="1742", session_id="s1", caller_name="<script>"
)


def published(
    call: Call = CALL,
    reply: Reply = ANSWER,
    *,
    name: str = "pick",
    reason: str = "handled",
    at: float = 0.0,
    seconds: float = 0.2,
    shown: bool = False,
) -> PublishedCallback:
    masker = Masker(KEY, make_ivr(), caller_data=shown)
    record = masker.record(
        action(name), call, reply, reason, time="", seconds=seconds, handler=seconds / 2
    )
    return PublishedCallback(record, BEGUN + at, 0.01, 0.02, 2.0)


def take(*all: PublishedCallback) -> tuple[Traffic, dict[str, Any], list[dict[str, Any]]]:
    known = Traffic({"8000/pick": "app.pick (app.py:6)"})
    taken = [known.take(one) for one in all]
    return known, taken[-1][0].summary(), [step for _, step in taken]


def test_control_characters_in_a_name_are_escaped() -> None:
    _, call, _ = take(published(replace(CALL, caller_name="\u202eabc\n"), shown=True))
    assert call["name"] == "\\u202eabc\\n"


def test_a_call_is_shown_masked() -> None:
    _, call, [step] = take(published())
    assert (call["caller"], call["name"], call["ivr"]) == ("<11>", "<8>", "8000")
    assert (call["state"], call["end"]) == (
        "ended",
        {"kind": "forwarded", "text": "forwarded to 222"},
    )
    assert (call["worst"], call["callbacks"], call["reason"]) == (0.1, 1, "handled")
    back = step["callback"]
    assert (back["digits"], back["exchanges"], back["handler"]) == (
        "<4>",
        [],
        "app.pick (app.py:6)",
    )
    assert back["stages"] == {"authentication": 0.01, "body": 0.02, "handler": 0.1, "whole": 0.2}
    assert back["outcome"]["then"] == ""
    assert "30123456" not in repr((call, step))


def test_caller_data_is_shown_if_allowed() -> None:
    _, call, [step] = take(published(shown=True))
    assert (call["caller"], call["name"]) == ("+4930123456", "<script>")
    assert step["callback"]["digits"] == "1742"
    _, call, [step] = take(published(CALL, name="pin", shown=True))
    assert (call["caller"], step["callback"]["digits"]) == ("<11>", "<4>")


def test_a_destination_that_was_keyed_in_is_a_length() -> None:
    asked = Call(digits="91234", session_id="s")
    _, call, _ = take(published(asked, Forward("091234")))
    assert call["end"]["text"] == "forwarded to 0<5>"


def test_callbacks_of_one_session_are_one_call() -> None:
    first = published(reply=Repeat(), reason="late", seconds=2.2)
    known, call, steps = take(first, published(at=4.5), published(Call(session_id="other")))
    assert call["id"] != known.take(published(at=5))[0].key
    last = known.take(published(reply=Hangup(), at=6))[0].summary()
    assert (last["callbacks"], last["worst"], last["reason"]) == (4, 1.1, "late")
    assert last["end"] == {"kind": "hung up", "text": "hung up"}
    assert steps[1]["at"] == 4.5


def test_those_without_a_session_are_calls_of_their_own() -> None:
    known = Traffic({})
    one, other = (known.take(published(Call(digits="22")))[0] for _ in range(2))
    assert one.key != other.key
    assert one.summary()["ivr"] == "8000"  # of the action, since the callback does not say it
    assert known.take(published(Call(), name="known"))[1]["callback"]["trigger"] == "arrival"


def test_what_comes_out_of_its_order_changes_no_end() -> None:
    _, call, steps = take(published(at=3), published(reply=Repeat(), at=1))
    assert call["end"]["text"] == "forwarded to 222"
    assert steps[1]["at"] == 0.0


def test_a_call_that_is_quiet_has_ended() -> None:
    known, call, _ = take(published(reply=Repeat()))
    assert (call["state"], call["end"]) == ("waiting", None)
    assert known.end_silent(BEGUN + CALL_TIMEOUT) == []
    [over] = known.end_silent(BEGUN + CALL_TIMEOUT + 1)
    assert over.summary()["end"]["kind"] == "caller left"
    assert known.end_silent(BEGUN + CALL_TIMEOUT + 2) == []
    assert known.take(published(at=CALL_TIMEOUT + 3))[0].summary()["end"]["kind"] == "forwarded"


def test_the_oldest_calls_are_removed() -> None:
    known = Traffic({}, max_calls=2)
    for name in "abc":
        known.take(published(Call(session_id=name)))
    assert known.take(published(Call(session_id="a")))[0].callbacks == 1
    assert known.take(published(Call(session_id="c")))[0].callbacks == 2


def test_the_totals_of_an_hour() -> None:
    sums = Totals()
    for one in (
        published(),
        published(reply=Hangup(), reason="late", seconds=2.2),
        published(at=-7200),
    ):
        sums.add(one)
    sums.lost = 3
    found = sums.json(BEGUN + 1)
    assert len(found["minutes"]) == 60
    assert {key: found["minutes"][-1][key] for key in ("answers", "fallbacks", "worst")} == {
        "answers": 2,
        "fallbacks": 1,
        "worst": 1.1,
    }
    assert (found["reasons"], found["decisions"]) == (
        {"handled": 1, "late": 1},
        {"call": 1, "hangup": 1},
    )
    assert found["lost"] == 3
    assert sums.json(BEGUN + 3600)["reasons"] == {}


def test_the_number_of_destinations_is_bounded() -> None:
    sums = Totals(max_destinations=2)
    for reply in (Forward("1"), Hangup(), Forward("2"), Repeat(), Hangup()):
        sums.add(published(reply=reply))
    assert sums.observed == {"8000/pick": {"1": 1, "hang up": 2, totals.FURTHER: 2}}


def test_events_appear_on_the_row_of_their_call() -> None:
    known, call, _ = take(one := published(at=1.0))
    session = one.record.session
    found = known.event(PublishedEvent(session, "call_answered", BEGUN + 3, "<3>"))
    assert found is not None
    assert found[1] == {
        "at": 2.0,
        "type": "event",
        "text": "the PBX reports: call answered at <3>",
    }
    assert found[0].summary()["end"] == call["end"]
    found = known.event(PublishedEvent(session, "call_ended", BEGUN + 9, "<3>", talk=12.4))
    assert found is not None
    end = {"kind": "forwarded", "text": "forwarded to 222; answered at <3>, 12 s"}
    assert (found[0].summary()["end"], found[0].steps) == (end, 3)
    assert known.event(PublishedEvent("other", "call_ended", BEGUN)) is None


def test_a_call_that_is_missed_or_left() -> None:
    for missed, text in ((True, "missed"), (False, "ended")):
        known, _, _ = take(one := published(reply=Repeat()))
        found = known.event(PublishedEvent(one.record.session, "call_ended", BEGUN, missed=missed))
        assert found is not None
        assert found[0].summary()["end"] == {
            "kind": "caller left",
            "text": f"the call ended; {text}",
        }
