"""What is counted, and how Prometheus reads it (text exposition format 0.0.4).

Rule 1: a count only ever grows, so that those of several workers add up.
Rule 2: labels come out of declarations and lists in the code: no stranger adds one, and nothing of
        a caller is in any.
Rule 3: counting makes no object: a look-up and an addition.

The counts of one process are one value, as its loggers are.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass

Labels = tuple[str, ...]
Snapshot = dict[str, list[tuple[Labels, list[float]]]]
"""By the name of a family and by labels: the cells. A counter has one; a histogram one for each
bound, one for what is over the last, and the sum."""


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """What counts of one name have in common; with bounds it is a histogram."""

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
    "Requests that were turned away; missing is also how digest begins.",
    ("reason",),
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
FAMILIES = (CALLBACKS, STAGE, REFUSALS, OUTAGES, LAG, DROPPED, UNRECORDED)


class Counts:
    """The counts of one process. One label set is counted by one thread at a time."""

    def __init__(self) -> None:
        self._cells: dict[Family, dict[Labels, list[float]]] = {one: {} for one in FAMILIES}

    def cell(self, family: Family, labels: Labels = ()) -> list[float]:
        """The cells of one label set, which begin at nought when they are first asked for."""
        found = self._cells[family].get(labels)
        if found is None:
            found = self._cells[family].setdefault(labels, [0.0] * family.cells)
        return found

    def add(self, family: Family, labels: Labels = ()) -> None:
        """Count one more."""
        self.cell(family, labels)[0] += 1

    def observe(self, family: Family, labels: Labels, value: float) -> None:
        """Add ``value`` to a histogram."""
        put(family, (self.cell(family, labels),), (value,))

    def snapshot(self) -> Snapshot:
        """A copy, which may be taken in another thread."""
        return {
            family.name: [(labels, cell[:]) for labels, cell in list(there.items())]
            for family, there in self._cells.items()
        }


def put(
    family: Family, cells: Iterable[list[float]], values: Iterable[float], unit: float = 1.0
) -> None:
    """Add each of ``values``, in ``unit``, to a label set of a histogram."""
    bounds = family.bounds
    for cell, value in zip(cells, values, strict=True):
        share = value / unit
        cell[bisect_left(bounds, share)] += 1
        cell[-1] += share


COUNTS = Counts()
"""Those of this process."""


def render(snapshots: Iterable[Snapshot]) -> str:
    """The sum of ``snapshots`` as Prometheus reads it; cells of another shape are left out."""
    taken = list(snapshots)
    lines: list[str] = []
    for family in FAMILIES:
        lines.append(f"# HELP {family.name} {family.about}")
        lines.append(f"# TYPE {family.name} {'histogram' if family.bounds else 'counter'}")
        total: dict[Labels, list[float]] = {}
        for labels, cell in (one for each in taken for one in each.get(family.name, ())):
            if (len(labels), len(cell)) == (len(family.labels), family.cells):
                before = total.get(labels, [0.0] * family.cells)
                total[labels] = [one + more for one, more in zip(before, cell, strict=True)]
        for labels, cell in sorted(total.items()):
            pairs = tuple(zip(family.labels, labels, strict=True))
            lines += (
                _histogram(family, pairs, cell)
                if family.bounds
                else _counter(family.name, pairs, cell[0])
            )
    return "\n".join(lines) + "\n"


_Pairs = tuple[tuple[str, str], ...]


def _counter(name: str, pairs: _Pairs, value: float) -> list[str]:
    inside = ",".join(f'{key}="{_escape(text)}"' for key, text in pairs)
    return [f"{name}{{{inside}}} {value:.12g}" if inside else f"{name} {value:.12g}"]


def _histogram(family: Family, pairs: _Pairs, cell: list[float]) -> list[str]:
    lines: list[str] = []
    many = 0.0
    for bound, more in zip((*map(str, family.bounds), "+Inf"), cell[:-1], strict=True):
        many += more
        lines += _counter(f"{family.name}_bucket", (*pairs, ("le", bound)), many)
    lines += _counter(f"{family.name}_sum", pairs, cell[-1])
    return lines + _counter(f"{family.name}_count", pairs, many)


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
