"""The same line once a minute."""

from receiver.telemetry.seldom import INTERVAL, Seldom


def test_the_same_line_is_due_once_in_an_interval() -> None:
    seldom = Seldom()
    assert [seldom.due("a", 0.0), seldom.due("b", 0.0)] == ["", ""]
    assert [seldom.due("a", now) for now in (1.0, 2.0, INTERVAL - 0.1)] == [None] * 3
    assert seldom.due("a", INTERVAL) == ", and 3 times since that was said last"
    assert seldom.due("a", INTERVAL * 2) == ""


def test_a_clock_that_was_set_back_silences_nothing() -> None:
    seldom = Seldom()
    assert seldom.due("a", 1000.0) == ""
    assert seldom.due("a", 500.0) == ""


def test_many_different_lines_are_a_flood_too() -> None:
    seldom = Seldom(most=2)
    assert [seldom.due(line, 0.0) for line in "abcd"] == ["", "", None, None]
    assert seldom.due("c", INTERVAL - 0.1) is None
    assert seldom.due("c", INTERVAL) == " (and 3 lines like it were left out)"
    assert seldom.due("b", INTERVAL) == ""
    assert seldom.due("a", INTERVAL) is None
    assert seldom.due("a", 0.0) == " (and 1 lines like it were left out)"  # the clock was set back
