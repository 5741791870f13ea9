"""The report of a load: bins against the deadline, as text, as a page and as plain data."""

from __future__ import annotations

import json
import re
from collections import Counter
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.testing.load import Load
from receiver.testing.load_report import FAILED, as_object, as_page, as_text, histogram

OUTCOMES = Counter({"forwarded to 222": 4, "failed: <late> & lost": 1})
IDLE = Load(3, 1.0, (), (), Counter(), 0, 0.0)


def make(*took: float, callbacks: int = 0, deadline: float | None = 2.0) -> Load:
    shares = tuple(one / (deadline or 2.0) for one in took)
    count = callbacks or len(took)
    return Load(count, 1.0, tuple(sorted(took)), shares, OUTCOMES, count, 0.0, deadline)


def test_the_bins_reach_from_the_fastest_answer_to_the_deadline() -> None:
    rows = histogram(make(0.002, 0.0021, 0.004, 0.4, callbacks=5))
    assert [(row.bound, row.callbacks) for row in rows] == [
        ("2 ms", 1),
        ("5 ms", 2),
        ("10 ms", 0),
        ("20 ms", 0),
        ("50 ms", 0),
        ("100 ms", 0),
        ("200 ms", 0),
        ("500 ms", 1),
        ("1000 ms", 0),
        ("2000 ms", 0),
        (FAILED, 1),
    ]
    assert (rows[0].share, rows[-2].share, rows[-1].share) == (0.001, 1.0, None)


def test_an_answer_just_at_the_deadline_is_in_the_last_bin() -> None:
    assert [row.callbacks for row in histogram(make(2.0001))] == [1, 0]


def test_an_answer_in_time_after_a_slow_connection_is_not_shown_within_the_deadline() -> None:
    done = make(1.5, 2.465)
    assert [(row.bound, row.callbacks) for row in histogram(done)] == [
        ("2000 ms", 1),
        ("2465 ms", 1),
        (FAILED, 0),
    ]
    assert "123% of the deadline, connecting included, which the PBX does not count" in (
        "\n".join(as_text(done))
    )


@given(st.lists(st.floats(0, 2), max_size=50), st.integers(0, 5))
def test_each_callback_is_in_one_bin(took: list[float], failed: int) -> None:
    done = make(*took, callbacks=len(took) + failed)
    assert sum(row.callbacks for row in histogram(done)) == done.callbacks


def test_different_deadlines_are_compared_in_percent() -> None:
    text = as_text(make(0.2, deadline=None))
    assert text[5:8] == [
        "time to answer, in percent of the deadline:",
        f"      ≤ 10.00%        1  {'█' * 40}",
        "      ≤ 25.00%        0",
    ]


def test_the_text_has_a_bar_for_each_bin() -> None:
    text = as_text(make(*[0.3] * 90, 0.9, callbacks=100))
    assert text[-5:] == [
        "time to answer:",
        f"      ≤ 500 ms       90  {'█' * 40}",
        "     ≤ 1000 ms        1  █",
        "     ≤ 2000 ms        0    deadline",
        "  none in time        9  ████",
    ]


def test_nothing_to_report_without_callbacks() -> None:
    assert as_text(IDLE) == IDLE.lines()
    assert as_object(IDLE, 99)["slowest_ms"] is None
    assert "3 calls without a callback" in as_page(IDLE, "x")


@pytest.mark.parametrize(("least", "passed"), [(80, True), (81, False)])
def test_the_data_for_programs(least: float, passed: bool) -> None:
    data = json.loads(json.dumps(as_object(make(0.1, 0.2, 0.3, 0.4, callbacks=5), least)))
    assert (data["passed"], data["in_time"], data["in_time_percent"]) == (passed, 4, 80)
    assert data["percentiles_ms"] == {"50": 200, "95": 400, "99": 400}
    assert (data["slowest_ms"], data["deadline_ms"], data["least_percent"]) == (400, 2000, least)
    assert data["histogram"][-1] == {"up_to_share_of_deadline": None, "callbacks": 1}
    assert as_object(make(0.1, deadline=None), 99)["deadline_ms"] is None


class Page(HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_is_complete_and_needs_no_network() -> None:
    text = as_page(make(0.001, 0.02, 0.5, 2.0, callbacks=5), "Load on 8000 of <app>")
    page = Page(text)
    assert "failed: <late> & lost" in page.words
    assert "Load on 8000 of <app>" in page.words
    assert "≤ 2000 ms (deadline)" in page.words
    assert not {"script", "link", "img", "iframe", "late", "app"} & set(page.tags)
    assert not re.search(r"https?:|url\(|@import|src=", text)
    assert page.tags.count("div") == 12
