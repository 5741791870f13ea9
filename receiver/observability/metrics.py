"""The metrics of a process; `receiver.callbacks.metrics_page` renders them.

Rule 1: a count only grows, so the counts of several workers can be added.
Rule 2: labels come from declarations and lists in the code: no client can add one, and none
        contains caller data.
Rule 3: counting creates no object: it is a look-up and an addition.

The counts of one process are one global value, like its loggers.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

Labels = tuple[str, ...]
Snapshot = dict[str, list[tuple[Labels, list[float]]]]
"""By the name of a family and by labels: the cells. A counter has one; a histogram has one for each
bound, one for values above the last, and the sum."""


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """A metric family: a counter, or with ``bounds`` a histogram."""

    name: str
    about: str
    labels: Labels = ()
    bounds: tuple[float, ...] = ()

    @property
    def cells(self) -> int:
        return len(self.bounds) + 2 if self.bounds else 1


CALLBACKS = Family(
    "receiver_callbacks_total",
    "Callbacks that were answered.",
    ("action", "decision", "reason"),
)
STAGE = Family(
    "receiver_stage_budget_ratio",
    "Time of a stage as a share of the request_timeout that the PBX has.",
    ("action", "stage"),
    (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0),
)
REFUSALS = Family(
    "receiver_refusals_total",
    "Requests that were refused; missing is also how digest begins, undeclared got the fallback.",
    ("reason",),
)
EVENTS = Family(
    "receiver_events_total",
    "Events of calls that the PBX reported.",
    ("kind", "result"),
)
OUTAGES = Family("receiver_store_outages_total", "Times a shared store failed.", ("store",))
LAG = Family(
    "receiver_event_loop_lag_seconds",
    "How late a timer of the event loop ran.",
    (),
    (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5),
)
DROPPED = Family("receiver_log_lines_dropped_total", "Log lines that could not be written.")
UNRECORDED = Family("receiver_callbacks_unrecorded_total", "Callbacks that RECEIVER_RECORD lost.")
USER_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
"""The variable of prometheus_client that names the folder of the user's metrics."""

PROCESS = "process_"
"""The prefix of families that describe a running process."""

FAMILIES = (CALLBACKS, STAGE, REFUSALS, EVENTS, OUTAGES, LAG, DROPPED, UNRECORDED)


class Counts:
    """The counts of one process. One label set is counted by one thread at a time."""

    def __init__(self) -> None:
        self._cells: dict[Family, dict[Labels, list[float]]] = {one: {} for one in FAMILIES}

    def cell(self, family: Family, labels: Labels = ()) -> list[float]:
        """Return the cells of one label set, created with zeros on first use."""
        cells = self._cells[family].get(labels)
        if cells is None:
            cells = self._cells[family].setdefault(labels, [0.0] * family.cells)
        return cells

    def add(self, family: Family, labels: Labels = ()) -> None:
        """Increase a counter by one."""
        self.cell(family, labels)[0] += 1

    def observe(self, family: Family, labels: Labels, value: float) -> None:
        """Add ``value`` to a histogram."""
        put(family, (self.cell(family, labels),), (value,))

    def snapshot(self) -> Snapshot:
        """Return a copy; any thread may call this."""
        return {
            family.name: [(labels, cell[:]) for labels, cell in list(label_sets.items())]
            for family, label_sets in self._cells.items()
        }


def put(
    family: Family, cells: Iterable[list[float]], values: Iterable[float], unit: float = 1.0
) -> None:
    """Add each of ``values``, in ``unit``, to a label set of a histogram."""
    bounds = family.bounds
    for cell, value in zip(cells, values, strict=True):
        if value:
            share = value / unit
            cell[bisect_left(bounds, share)] += 1
            cell[-1] += share
        else:  # most stages end in the iteration of the event loop in which they began
            cell[0] += 1


COUNTS = Counts()
"""The counts of this process."""


def add_up(snapshots: Iterable[Snapshot]) -> Snapshot:
    """Return the sum of ``snapshots``; cells of different lengths are not added."""
    total: dict[str, dict[tuple[Labels, int], list[float]]] = {}
    for snapshot in snapshots:
        for name, label_sets in snapshot.items():
            sums = total.setdefault(name, {})
            for labels, cell in label_sets:
                key = (labels, len(cell))
                before = sums.get(key, [0.0] * len(cell))
                sums[key] = [one + more for one, more in zip(before, cell, strict=True)]
    return {
        name: [(labels, cell) for (labels, _), cell in sums.items()] for name, sums in total.items()
    }
