"""The same line once a minute."""

from receiver.observability.log_throttle import INTERVAL, LogThrottle


def test_the_same_line_is_due_once_in_an_interval() -> None:
    log_throttle = LogThrottle()
    assert [log_throttle.due("a", 0.0), log_throttle.due("b", 0.0)] == ["", ""]
    assert [log_throttle.due("a", now) for now in (1.0, 2.0, INTERVAL - 0.1)] == [None] * 3
    assert log_throttle.due("a", INTERVAL) == ", and 3 times since it was last logged"
    assert log_throttle.due("a", INTERVAL * 2) == ""


def test_a_clock_that_was_set_back_silences_nothing() -> None:
    log_throttle = LogThrottle()
    assert log_throttle.due("a", 1000.0) == ""
    assert log_throttle.due("a", 500.0) == ""


def test_many_different_lines_are_a_flood_too() -> None:
    log_throttle = LogThrottle(max_lines=2)
    assert [log_throttle.due(line, 0.0) for line in "abcd"] == ["", "", None, None]
    assert log_throttle.due("c", INTERVAL - 0.1) is None
    assert log_throttle.due("c", INTERVAL) == " (3 lines like it omitted)"
    assert log_throttle.due("b", INTERVAL) == ""
    assert log_throttle.due("a", INTERVAL) is None
    assert log_throttle.due("a", 0.0) == " (1 line like it omitted)"  # the clock was set back
