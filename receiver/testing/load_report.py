"""The report of a load: a histogram against the deadline, as text, as a page and as plain data.

Rule 1: the bounds of the histogram are shares of the deadline of each callback: 1, 2, 5, 10, … ms
        of the usual 2 s. They are printed in milliseconds if all callbacks have one deadline, else
        in percent of it.
Rule 2: an answer after the deadline, or one that is not valid, is in no bin but in the last row.
        The deadline begins once connected: an answer in time that took longer, connecting included,
        has a separate row.
Rule 3: the page is one file without scripts, and refers to nothing on the network.

Pure.
"""

from __future__ import annotations

import html
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any, NamedTuple

from receiver.testing.load import Load, percentile

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
"""The upper bounds of the bins, as shares of the deadline."""

RANKS = (50, 95, 99)
"""The percentiles that are reported."""

FAILED = "none in time"
"""The last row of the histogram."""

_SLACK = 1.0001  # an answer just at a bound is within it
_WIDTH = 40  # characters of the longest bar


class Bin(NamedTuple):
    """A row of the histogram.

    Attributes:
        bound: the upper bound as text.
        share: the upper bound as a share of the deadline; None for late answers.
        callbacks: their number.
    """

    bound: str
    share: float | None
    callbacks: int


def histogram(done: Load) -> list[Bin]:
    """Return the rows from the fastest answer to the deadline, and the row of late answers."""
    counts = [0] * (len(BOUNDS) + 1)
    for share in done.shares:
        counts[bisect_left(BOUNDS, share / _SLACK)] += 1
    longer = counts.pop()
    first = next((at for at, count in enumerate(counts) if count), 0)
    rows = [
        Bin(_bound(share, done.deadline), share, count)
        for share, count in zip(BOUNDS[first:], counts[first:], strict=True)
    ]
    if longer:
        most = max(done.shares)
        rows.append(Bin(_bound(most, done.deadline), most, longer))
    return [*rows, Bin(FAILED, None, done.callbacks - len(done.took))]


def _bound(share: float, deadline: float | None) -> str:
    return f"{share:.2%}" if deadline is None else f"{share * deadline * 1000:.4g} ms"


def as_text(done: Load) -> list[str]:
    """Return the report as lines."""
    lines = done.lines()
    if not done.callbacks:
        return lines
    rows = histogram(done)
    most = max(row.callbacks for row in rows) or 1
    unit = "" if done.deadline else ", in percent of the deadline"
    return [*lines, f"time to answer{unit}:", *(_row(row, most) for row in rows)]


def _row(row: Bin, most: int) -> str:
    label = row.bound if row.share is None else f"≤ {row.bound}"
    end = "  deadline" if row.share == 1 else ""
    return f"{label:>14} {row.callbacks:8}  {'█' * _length(row.callbacks, most)}{end}".rstrip()


def _length(count: int, most: int) -> int:
    """Return the length of a bar; a count above 0 is always visible."""
    return max(1, round(_WIDTH * count / most)) if count else 0


def as_object(done: Load, least: float) -> dict[str, Any]:
    """Return the report for JSON; times are in milliseconds.

    Parameters:
        done: the results.
        least: the percentage of answers that must be in time.
    """
    return {
        "passed": done.passed(least),
        "calls": done.calls,
        "seconds": round(done.seconds, 3),
        "callbacks": done.callbacks,
        "in_time": len(done.took),
        "in_time_percent": round(done.in_time * 100, 3),
        "least_percent": least,
        "deadline_ms": None if done.deadline is None else round(done.deadline * 1000),
        "percentiles_ms": {str(p): _milliseconds(done, p) for p in RANKS} if done.took else {},
        "slowest_ms": _milliseconds(done, 100) if done.took else None,
        "histogram": [
            {"up_to_share_of_deadline": row.share, "callbacks": row.callbacks}
            for row in histogram(done)
        ],
        "outcomes": dict(done.decisions.most_common()),
        "start_delay_ms": round(done.behind * 1000, 1),
    }


def _milliseconds(done: Load, percent: float) -> float:
    return round(percentile(done.took, percent), 3)


def as_page(done: Load, title: str) -> str:
    """Return the report as an HTML page."""
    rows = histogram(done) if done.callbacks else []
    most = max((row.callbacks for row in rows), default=0) or 1
    return _PAGE.format(
        title=html.escape(title),
        style=_STYLE,
        summary="".join(f"<p>{html.escape(text)}</p>" for text in done.summary()),
        histogram="".join(_bars(rows, most)),
        outcomes="".join(
            f"<tr><td>{html.escape(what)}</td><td class=n>{count}</td></tr>"
            for what, count in done.decisions.most_common()
        ),
    )


def _bars(rows: list[Bin], most: int) -> Iterator[str]:
    for row in rows:
        label = row.bound if row.share is None else f"≤ {row.bound}"
        kind = "late" if row.share is None else "bar"
        note = " (deadline)" if row.share == 1 else ""
        width = 100 * row.callbacks / most
        yield (
            f"<tr><th scope=row>{html.escape(label)}{note}</th><td class=n>{row.callbacks}</td>"
            f'<td><div class={kind} style="width:{width:.1f}%"></div></td></tr>'
        )


_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 50rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0; }
caption { text-align: left; font-weight: 600; }
th { font-weight: normal; text-align: right; white-space: nowrap; }
th, td { padding: .1rem .5rem; }
.n { text-align: right; font-variant-numeric: tabular-nums; }
td:last-child:not(.n) { width: 70%; }
.bar, .late { height: 1rem; min-width: 0; background: #2a78b8; }
.late { background: #c0392b; }
"""

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<h1>{title}</h1>
{summary}
<table>
<caption>Time to answer, and how many callbacks took it</caption>
{histogram}
</table>
<table>
<caption>Outcomes</caption>
{outcomes}
</table>
</body>
</html>
"""
