"""handlers/screen.py"""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.screen import Screen, Visits
from receiver import Call, DeclarationError, Forward, Hangup, Reply

IN, OUT = Forward("1"), Hangup()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def ask(screen: Screen, *callers: str) -> list[Reply]:
    return [await screen(Call(caller=caller)) for caller in callers]


async def test_numbers_masks_ranges_and_beginnings() -> None:
    screen = Screen("1", block=["+49 30 123456", "200-299", "+49301***", "+49900...", "77..."])
    out = ("+4930123456", "004930123456", "250", "+49301999", "00499001", "7701")
    assert await ask(screen, *out) == [OUT] * len(out)
    passing = ("030123456", "300", "+493019999", "+4990", "+77", "", "anonymous")
    assert await ask(screen, *passing) == [IN] * len(passing)


async def test_numbers_as_they_are_dialled_in_a_region() -> None:
    screen = Screen("1", block=["0900...", "030 123456", "0301234***"], region="DE")
    out = ("+499001234567", "0049900123456", "4930123456", "+49301234999", "0301234999")
    assert await ask(screen, *out) == [OUT] * len(out)
    assert await ask(screen, "+12015550900", "101") == [IN, IN]


async def test_beginnings_compare_however_they_are_written() -> None:
    for entry in ("0049900...", "+49 900...", "+49 (900) ...", "(+49)900..."):
        screen = Screen("1", block=[entry])
        assert await ask(screen, "+499001", "00499001", "+49901") == [OUT, OUT, IN]
    for entry in ("00...", "0900..."):
        assert await ask(Screen("1", block=[entry]), "+499001") == [IN]


async def test_the_allowed_come_before_all_others() -> None:
    screen = Screen("1", allow=["101", "2**"], block=["1..."], most=1, blocked="0", often="9")
    assert await ask(screen, "101", "101", "102", "200", "200") == [
        IN,
        IN,
        Forward("0"),
        IN,
        IN,
    ]
    only = Screen("1", allow=["101"], others="hangup")
    assert await ask(only, "101", "102", "") == [IN, OUT, OUT]


async def test_the_anonymous() -> None:
    screen = Screen("1", anonymous="8", block=["1"], most=1)
    nobody = ("", "anonymous", "Restricted", "+", "anonymous")
    assert await ask(screen, *nobody) == [Forward("8")] * 5
    assert await ask(Screen("1", most=1), *nobody) == [IN] * 5


async def test_lists_in_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    block, allow = tmp_path / "block.txt", tmp_path / "allow.txt"
    block.write_text("# nuisances\n+49 30 123456 # again and again\n\n1...\n", "utf-8-sig")
    allow.write_text("101\n")
    screen = Screen("1", block_file=block, allow_file=str(allow), block=["300"])
    found = await ask(screen, "+4930123456", "102", "101", "300", "301")
    assert found == [OUT, OUT, IN, OUT, IN]
    block.write_text("301\n")
    allow.write_text("")
    assert await ask(screen, "102", "101", "300", "301") == [IN, IN, OUT, OUT]
    block.write_text("302\n303 nobody\n")
    assert await ask(screen, "301", "302") == [OUT, IN]
    block.write_bytes(b"\xff")
    assert await ask(screen, "301") == [OUT]
    block.unlink()
    assert await ask(screen, "301") == [OUT]
    assert [m.partition("use: ")[2].partition(":")[2][:20] for m in caplog.messages[:1]] == [
        "2: an entry is a num"
    ]
    assert len(caplog.messages) == 3
    assert "303" not in caplog.text


async def test_too_many_calls_of_one_number() -> None:
    clock = Clock()
    screen = Screen("1", most=2, within=60, often="0", clock=clock)
    assert await ask(screen, "101", "102", "00101", "+101") == [IN, IN, IN, Forward("0")]
    clock.now = 59.9
    assert await ask(screen, "101", "102") == [Forward("0"), IN]
    clock.now = 119.8
    assert await ask(screen, "101", "101") == [IN, Forward("0")]  # that of 59.9 still counts
    clock.now = 300
    assert await ask(screen, "101", "101", "101") == [IN, IN, Forward("0")]
    assert await ask(Screen("1", most=1), "1", "1") == [IN, OUT]  # as the blocked


def test_a_window_ends_to_the_second_and_who_is_idle_longest_is_forgotten() -> None:
    visits = Visits(1, 60, remember=2)
    assert [visits.add("a", "", now) for now in (0, 59.9, 120)] == [False, True, False]
    assert visits.add("a", "", 179.9)
    assert not visits.add("b", "", 179.9)
    assert visits.add("a", "", 179.9)
    assert not visits.add("c", "", 179.9)  # in the place of b
    assert visits.add("a", "", 179.9)
    assert not visits.add("b", "", 179.9)
    edge = Visits(1, 60, remember=2)
    assert [edge.add("a", "", now) for now in (0, 60)] == [False, False]


async def test_calls_are_counted_not_callbacks() -> None:
    screen = Screen("1", most=1)
    found = [await screen(Call(caller="101", session_id=s)) for s in "aaabba"]
    assert found == [IN, IN, IN, OUT, OUT, OUT]


EVENTS = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(0, 40), st.sampled_from(["", "x", "y", "z"])),
    max_size=60,
)


@given(EVENTS, st.integers(1, 5))
def test_the_window_slides(events: list[tuple[str, int, str]], most: int) -> None:
    visits, now = Visits(most, 60, 100), 0.0
    counted: list[tuple[str, float, str]] = []
    for who, later, session in events:
        now += later
        recent = [s for w, t, s in counted if w == who and now - 60 < t][-most - 1 :]
        if not session or session not in recent:
            counted.append((who, now, session))
            recent = [*recent, session]
        assert visits.add(who, session, now) == (len(recent) > most)


@given(st.lists(st.integers(0, 50), max_size=200))
def test_what_is_remembered_is_bounded(callers: list[int]) -> None:
    visits = Visits(3, 60, remember=10)
    for now, who in enumerate(callers):
        visits.add(str(who), "", now)
        assert len(visits._calls) <= 10
        assert all(len(calls) <= 4 for calls in visits._calls.values())


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"then": "x"}, "Screen: then is neither"),
        ({"others": "x"}, "Screen: others is neither"),
        ({"blocked": "x"}, "Screen: blocked is neither"),
        ({"anonymous": "x"}, "Screen: anonymous is neither"),
        ({"often": "x"}, "Screen: often is neither"),
        ({"block": "101"}, "block= is a list of numbers"),
        ({"allow": None}, "allow= is a list of numbers"),
        ({"block": ["101", "x"]}, "block: entry 2: an entry is a number"),
        ({"block": [101]}, "block: entry 1: an entry is a number"),
        ({"block": [""]}, "block: entry 1"),
        ({"block": ["..."]}, "block: entry 1"),
        ({"block": ["1*..."]}, "block: entry 1"),
        ({"block": ["1-22"]}, "block: entry 1"),
        ({"block_file": "none.txt"}, r"none\.txt: No such file"),
        ({"most": -1}, "most=-1 is no number above 0"),
        ({"most": 1, "within": 0}, "within=0 is no number above 0"),
        ({"most": 1, "remember": True}, "remember=True is no number"),
        ({"most": 1, "within": float("nan")}, "within=nan is no number above 0"),
        ({"most": 10**30}, "most= and remember= are numbers from 1 to 1000000"),
        ({"most": float("inf")}, "most= and remember= are"),
        ({"region": "XX"}, "region='XX'"),
    ],
)
def test_wrong_options(options: Any, problem: str) -> None:
    with pytest.raises(DeclarationError, match=problem):
        Screen(**({"then": "1"} | options))
