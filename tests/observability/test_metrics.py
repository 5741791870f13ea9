"""Counting."""

import pytest

from receiver.observability.metrics import DROPPED, LAG, Counts, add_up


def test_a_snapshot_stays_as_it_was() -> None:
    counts = Counts()
    counts.add(DROPPED)
    before = counts.snapshot()
    counts.add(DROPPED)
    assert before[DROPPED.name] == [((), [1.0])]


def test_workers_add_up() -> None:
    one, two = Counts(), Counts()
    one.add(DROPPED)
    two.add(DROPPED)
    two.observe(LAG, (), 0.5)
    total = add_up([one.snapshot(), two.snapshot()])
    assert total[DROPPED.name] == [((), [2.0])]
    ((_, cell),) = total[LAG.name]
    assert (sum(cell[:-1]), cell[-1]) == (1.0, 0.5)


def test_cells_of_another_length_stay_apart() -> None:
    assert add_up([{"a": [((), [1.0])]}, {"a": [((), [1.0, 2.0])]}, {"a": [((), [3.0])]}]) == {
        "a": [((), [4.0]), ((), [1.0, 2.0])]
    }


@pytest.mark.parametrize(("seconds", "index"), [(0.0, 0), (0.001, 0), (0.002, 1), (7.0, -2)])
def test_the_bucket_of_a_value(seconds: float, index: int) -> None:
    counts = Counts()
    counts.observe(LAG, (), seconds)
    cell = counts.cell(LAG)
    assert (cell[index], cell[-1]) == (1.0, seconds)
