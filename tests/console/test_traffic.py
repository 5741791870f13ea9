"""Calls and totals, from what the workers tell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from receiver import Call, Forward, Hangup, Repeat, Reply
from receiver.console import totals, traffic
from receiver.console.telling import Told
from receiver.console.totals import Totals
from receiver.console.traffic import QUIET, Traffic
from receiver.recordings.masking import Masker
from tests.recordings.stage import ANSWER, KEY, action, make_ivr

BEGUN = 1_795_000_000.0
ASKED = Call(
    caller="+4930123456", ivr="8000", digits="1742", session_id="s1", caller_name="<script>"
)


def told(
    call: Call = ASKED,
    reply: Reply = ANSWER,
    *,
    name: str = "pick",
    reason: str = "handled",
    at: float = 0.0,
    seconds: float = 0.2,
    shown: bool = False,
) -> Told:
    masker = Masker(KEY, make_ivr(), caller_data=shown)
    record = masker.record(
        action(name), call, reply, reason, time="", seconds=seconds, handler=seconds / 2
    )
    return Told(record, BEGUN + at, 0.01, 0.02, 2.0)


def take(*all: Told) -> tuple[Traffic, dict[str, Any], list[dict[str, Any]]]:
    known = Traffic({"8000/pick": "app.pick (app.py:6)"})
    taken = [known.take(one) for one in all]
    return known, taken[-1][0].summary(), [step for _, step in taken]


def test_a_name_turns_nothing_around() -> None:
    _, call, _ = take(told(replace(ASKED, caller_name="\u202eabc\n"), shown=True))
    assert call["name"] == "\\u202eabc\\n"


def test_a_call_is_told_masked() -> None:
    _, call, [step] = take(told())
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
    assert back["outcome"]["then"] == "the call goes to 222"
    assert "30123456" not in repr((call, step))


def test_aloud_it_is_told_as_it_is() -> None:
    _, call, [step] = take(told(shown=True))
    assert (call["caller"], call["name"]) == ("+4930123456", "<script>")
    assert step["callback"]["digits"] == "1742"
    _, call, [step] = take(told(ASKED, name="pin", shown=True))
    assert (call["caller"], step["callback"]["digits"]) == ("<11>", "<4>")


def test_a_destination_that_was_keyed_in_is_a_length() -> None:
    asked = Call(digits="91234", session_id="s")
    _, call, _ = take(told(asked, Forward("091234")))
    assert call["end"]["text"] == "forwarded to 0<5>"


def test_callbacks_of_one_session_are_one_call() -> None:
    first = told(reply=Repeat(), reason="late", seconds=2.2)
    known, call, steps = take(first, told(at=4.5), told(Call(session_id="other")))
    assert call["id"] != known.take(told(at=5))[0].key
    last = known.take(told(reply=Hangup(), at=6))[0].summary()
    assert (last["callbacks"], last["worst"], last["reason"]) == (4, 1.1, "late")
    assert last["end"] == {"kind": "hung up", "text": "hung up"}
    assert steps[1]["at"] == 4.5


def test_those_without_a_session_are_calls_of_their_own() -> None:
    known = Traffic({})
    one, other = (known.take(told(Call(digits="22")))[0] for _ in range(2))
    assert one.key != other.key
    assert one.summary()["ivr"] == "8000"  # of the action, since the callback does not say it
    assert known.take(told(Call(), name="known"))[1]["callback"]["trigger"] == "arrival"


def test_what_comes_out_of_its_order_changes_no_end() -> None:
    _, call, steps = take(told(at=3), told(reply=Repeat(), at=1))
    assert call["end"]["text"] == "forwarded to 222"
    assert steps[1]["at"] == 0.0


def test_a_call_that_is_quiet_has_ended() -> None:
    known, call, _ = take(told(reply=Repeat()))
    assert (call["state"], call["end"]) == ("waiting", None)
    assert known.quiet(BEGUN + QUIET) == []
    [over] = known.quiet(BEGUN + QUIET + 1)
    assert over.summary()["end"]["kind"] == "caller left"
    assert known.quiet(BEGUN + QUIET + 2) == []
    assert known.take(told(at=QUIET + 3))[0].summary()["end"]["kind"] == "forwarded"


def test_the_oldest_calls_are_forgotten(monkeypatch: Any) -> None:
    monkeypatch.setattr(traffic, "MOST", 2)
    known = Traffic({})
    for name in "abc":
        known.take(told(Call(session_id=name)))
    assert known.take(told(Call(session_id="a")))[0].callbacks == 1
    assert known.take(told(Call(session_id="c")))[0].callbacks == 2


def test_an_hour_is_added_up() -> None:
    sums = Totals()
    for one in (told(), told(reply=Hangup(), reason="late", seconds=2.2), told(at=-7200)):
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


def test_where_calls_went_is_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr(totals, "MOST", 2)
    sums = Totals()
    for reply in (Forward("1"), Hangup(), Forward("2"), Repeat(), Hangup()):
        sums.add(told(reply=reply))
    assert sums.observed == {"8000/pick": {"1": 1, "hang up": 2, totals.FURTHER: 2}}
