"""Counting, and what Prometheus reads."""

import math
import re

from receiver.telemetry.counts import CALLBACKS, DROPPED, FAMILIES, LAG, Counts, Snapshot, render


def test_counters_and_histograms() -> None:
    counts = Counts()
    for _ in range(2):
        counts.add(CALLBACKS, ("8000/pick", "call", "handled"))
    for seconds in (0.001, 0.002, 7.0):
        counts.observe(LAG, (), seconds)
    lines = render([counts.snapshot()]).splitlines()
    told = 'receiver_callbacks_total{action="8000/pick",decision="call",reason="handled"} 2'
    assert told in lines
    assert "# TYPE receiver_callbacks_total counter" in lines
    assert "# TYPE receiver_event_loop_lag_seconds histogram" in lines
    assert 'receiver_event_loop_lag_seconds_bucket{le="0.001"} 1' in lines
    assert 'receiver_event_loop_lag_seconds_bucket{le="0.005"} 2' in lines
    assert 'receiver_event_loop_lag_seconds_bucket{le="2.5"} 2' in lines
    assert 'receiver_event_loop_lag_seconds_bucket{le="+Inf"} 3' in lines
    assert "receiver_event_loop_lag_seconds_sum 7.003" in lines
    assert "receiver_event_loop_lag_seconds_count 3" in lines


def test_every_line_is_of_the_format() -> None:
    counts = Counts()
    for family in FAMILIES:
        counts.add(family, tuple('a "quoted" \\ name\n' for _ in family.labels))
    text = render([counts.snapshot()])
    assert text.endswith("\n")
    label = r'[a-z_]+="(?:[^"\\\n]|\\[\\"n])*"'
    value = re.compile(rf"[a-z_]+(?:\{{{label}(?:,{label})*\}})? [0-9.e+-]+")
    for line in text.splitlines():
        assert value.fullmatch(line) or re.fullmatch(r"# (HELP|TYPE) [a-z_]+ .+", line), line


def test_workers_add_up() -> None:
    one, two = Counts(), Counts()
    one.add(DROPPED)
    two.add(DROPPED)
    two.observe(LAG, (), 0.5)
    text = render([one.snapshot(), two.snapshot()])
    assert "receiver_log_lines_dropped_total 2" in text
    assert "receiver_event_loop_lag_seconds_count 1" in text


def test_a_snapshot_stays_as_it_was() -> None:
    counts = Counts()
    counts.add(DROPPED)
    before = counts.snapshot()
    counts.add(DROPPED)
    assert before[DROPPED.name] == [((), [1.0])]


def test_cells_of_another_version_are_left_out() -> None:
    strange: Snapshot = {
        LAG.name: [((), [1.0, math.inf])],
        DROPPED.name: [(("a",), [1.0])],
        "what": [],
    }
    assert "receiver_event_loop_lag_seconds_count" not in render([strange])
    assert not re.search(r"^receiver_log", render([strange]), re.MULTILINE)
