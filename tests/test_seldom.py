"""The same line once a minute."""

from receiver.seldom import INTERVAL, Seldom


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


def test_what_was_said_longest_ago_is_forgotten() -> None:
    seldom = Seldom(most=2)
    for line in "abc":
        seldom.due(line, 0.0)
    assert (seldom.due("c", 1.0), seldom.due("a", 1.0)) == (None, "")
