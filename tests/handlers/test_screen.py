"""handlers/screen.py"""

from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.screen import CallCounter, Screen
from receiver import Call, DeclarationError, Forward, Hangup, Reply
from receiver.call_context import Detached
from tests.clock import Clock
from tests.handlers.file_changes import read_again

IN, OUT = Forward("1"), Hangup()


async def replies_to(screen: Screen, *callers: str) -> list[Reply]:
    return [await screen(Call(caller=caller)) for caller in callers]


async def test_numbers_masks_ranges_and_prefixes() -> None:
    screen = Screen("1", block=["+49 30 123456", "200-299", "+49301***", "+49900...", "77..."])
    out = ("+4930123456", "004930123456", "250", "+49301999", "00499001", "7701")
    assert await replies_to(screen, *out) == [OUT] * len(out)
    passing = ("030123456", "300", "+493019999", "+4990", "+77", "", "anonymous")
    assert await replies_to(screen, *passing) == [IN] * len(passing)


async def test_numbers_as_they_are_dialled_in_a_region() -> None:
    screen = Screen("1", block=["0900...", "030 123456", "0301234***"], region="DE")
    out = ("+499001234567", "0049900123456", "4930123456", "+49301234999", "0301234999")
    assert await replies_to(screen, *out) == [OUT] * len(out)
    assert await replies_to(screen, "+12015550900", "101") == [IN, IN]


async def test_prefixes_compare_in_any_notation() -> None:
    for entry in ("0049900...", "+49 900...", "+49 (900) ...", "(+49)900..."):
        screen = Screen("1", block=[entry])
        assert await replies_to(screen, "+499001", "00499001", "+49901") == [OUT, OUT, IN]
    assert await replies_to(Screen("1", block=["0900..."]), "+499001") == [IN]


async def test_allowed_callers_take_precedence() -> None:
    screen = Screen("1", allow=["101", "2**"], block=["1..."], most=1, blocked="0", often="9")
    assert await replies_to(screen, "101", "101", "102", "200", "200") == [
        IN,
        IN,
        Forward("0"),
        IN,
        IN,
    ]
    only = Screen("1", allow=["101"], others="hangup")
    assert await replies_to(only, "101", "102", "") == [IN, OUT, OUT]


async def test_anonymous_callers() -> None:
    screen = Screen("1", anonymous="8", block=["1"], most=1)
    anonymous = ("", "anonymous", "Restricted", "+", "anonymous")
    assert await replies_to(screen, *anonymous) == [Forward("8")] * 5
    assert await replies_to(Screen("1", most=1), *anonymous) == [IN] * 5


async def test_lists_in_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    block, allow = tmp_path / "block.txt", tmp_path / "allow.txt"
    block.write_text("# nuisances\n+49 30 123456 # again and again\n\n1...\n", "utf-8-sig")
    allow.write_text("101\n")
    screen = Screen("1", block_file=block, allow_file=str(allow), block=["300"])
    reread = partial(read_again, screen._block._file, screen._allow._file)
    found = await replies_to(screen, "+4930123456", "102", "101", "300", "301")
    assert found == [OUT, OUT, IN, OUT, IN]
    block.write_text("301\n")
    allow.write_text("")
    reread()
    assert await replies_to(screen, "102", "101", "300", "301") == [IN, IN, OUT, OUT]
    block.write_text("302\n303 unknown\n")
    reread()
    assert await replies_to(screen, "301", "302") == [OUT, IN]
    block.write_bytes(b"\xff")
    reread()
    assert await replies_to(screen, "301") == [OUT]
    block.unlink()
    reread()
    assert await replies_to(screen, "301") == [OUT]
    assert [m.partition("kept: ")[2].partition(":")[2][:20] for m in caplog.messages[:1]] == [
        "2: it is not a phone"
    ]
    assert len(caplog.messages) == 3
    assert "303" not in caplog.text


async def test_too_many_calls_of_one_number() -> None:
    clock = Clock()
    screen = Screen("1", most=2, within=60, often="0", clock=clock)
    assert await replies_to(screen, "101", "102", "00101", "+101") == [IN, IN, IN, Forward("0")]
    clock.now = 59.9
    assert await replies_to(screen, "101", "102") == [Forward("0"), IN]
    clock.now = 119.8
    assert await replies_to(screen, "101", "101") == [IN, Forward("0")]  # that of 59.9 still counts
    clock.now = 300
    assert await replies_to(screen, "101", "101", "101") == [IN, IN, Forward("0")]
    assert await replies_to(Screen("1", most=1), "1", "1") == [IN, OUT]  # as the blocked


def test_the_window_is_exact_and_the_least_recent_is_dropped() -> None:
    counter = CallCounter(1, 60, remember=2)
    assert [counter.add("a", "", now) for now in (0, 59.9, 120)] == [False, True, False]
    assert counter.add("a", "", 179.9)
    assert not counter.add("b", "", 179.9)
    assert counter.add("a", "", 179.9)
    assert not counter.add("c", "", 179.9)  # in the place of b
    assert counter.add("a", "", 179.9)
    assert not counter.add("b", "", 179.9)
    edge = CallCounter(1, 60, remember=2)
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
    counter, now = CallCounter(most, 60, 100), 0.0
    counted: list[tuple[str, float, str]] = []
    for who, later, session in events:
        now += later
        recent = [s for w, t, s in counted if w == who and now - 60 < t][-most - 1 :]
        if not session or session not in recent:
            counted.append((who, now, session))
            recent = [*recent, session]
        assert counter.add(who, session, now) == (len(recent) > most)


@given(st.lists(st.integers(0, 50), max_size=200))
def test_the_memory_is_limited(callers: list[int]) -> None:
    counter = CallCounter(3, 60, remember=10)
    for now, who in enumerate(callers):
        counter.add(str(who), "", now)
        assert len(counter._calls) <= 10
        assert all(len(calls) <= 4 for calls in counter._calls.values())


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
        ({"block": ["101", "x"]}, "block: entry 2: it is .*; an entry is a number"),
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


@pytest.mark.parametrize(
    ("number_format", "caller"),
    [
        ("automatic", "491701234567"),
        ("e164", "+491701234567"),
        ("e164-without-plus", "491701234567"),
        ("national", "01701234567"),
        ("automatic", "sip:+491701234567@192.0.2.10;user=phone"),
    ],
)
async def test_blocked_numbers_are_blocked_in_all_formats_of_a_trunk(
    number_format: Any, caller: str
) -> None:
    for entry in ("+491701234567", "+49170...", "0170...", "0170 1234567", "+4917012*****"):
        screen = Screen("1", block=[entry], region="DE")
        call = Call(caller=caller, context=Detached(number_format=number_format))
        assert await screen(call) == OUT


async def test_the_number_format_applies_to_callers_only() -> None:
    screen = Screen("1", block=["+33 1 23456789"], region="DE")
    said = Detached(number_format="e164-without-plus")
    assert await screen(Call(caller="33123456789", context=said)) == OUT
    assert await screen(Call(caller="33123456789")) == IN  # 0331 23456789, as far as can be seen


@pytest.mark.parametrize(
    "caller", ["anonymous@192.0.2.10", "+266696687", "0000", '"Private" <sip:restricted@pbx>', "-"]
)
async def test_anonymous_callers_in_the_spellings_of_pbxs(caller: str) -> None:
    screen = Screen("1", anonymous="8", block=["+266...", "0...", "***"])
    assert await replies_to(screen, caller) == [Forward("8")]


async def test_an_ambiguous_dash_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(
        DeclarationError, match=r"block: entry 1: .* neither reading was taken: write"
    ):
        Screen("1", block=["6555-7777"])
    file = tmp_path / "block.txt"
    file.write_text("415-555-2671\n6555..7777\n", "utf-8")
    screen = Screen("1", block_file=file, region="US")
    assert await replies_to(screen, "7000", "+14155552671", "65557777") == [OUT, OUT, IN]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
@pytest.mark.parametrize("newline", ["\r\n", "\n"])
async def test_a_list_may_be_saved_by_any_editor(
    tmp_path: Path, encoding: str, newline: str
) -> None:
    file = tmp_path / "blocked.txt"
    text = newline.join(["# Gesperrte Anrufer von Herrn Müller", "", "+49 30 1234567  # Köln", ""])
    file.write_bytes(text.encode(encoding))
    screen = Screen("1", block_file=file)
    assert await screen(Call(caller="+49301234567")) == Hangup()
    assert await screen(Call(caller="+49301234568")) == Forward("1")
