"""The progress bar: on a terminal only, without escape codes, and gone at the end."""

from __future__ import annotations

import io
from types import SimpleNamespace

import pytest

from receiver.cli.progress_bar import ProgressBar, bar, megabytes, progress_bar


class Screen(io.StringIO):
    """Standard error as a terminal, or as a pipe."""

    def __init__(self, terminal: bool = True) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal

    @property
    def lines(self) -> list[str]:
        """The lines that overwrote each other."""
        return [line.rstrip() for line in self.getvalue().split("\r")[1:]]


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    made = Screen()
    monkeypatch.setattr("receiver.cli.progress_bar.sys", SimpleNamespace(stderr=made))
    monkeypatch.setenv("COLUMNS", "60")
    return made


def test_the_line_is_overwritten_and_removed_at_the_end(screen: Screen) -> None:
    with progress_bar("reading IVRs") as show:
        show(1, 10)
        show(10, 10)
    assert screen.lines == [
        "reading IVRs  [##----------------------]  1 of 10",
        "reading IVRs  [########################]  10 of 10",
        "",
        "",
    ]
    assert "\x1b" not in screen.getvalue()


def test_the_line_is_removed_after_an_error(screen: Screen) -> None:
    def fail() -> None:
        with progress_bar("reading IVRs") as show:
            show(1, 10)
            raise OSError

    with pytest.raises(OSError, match=r"^$"):
        fail()
    assert screen.lines[-1] == ""


def test_it_is_shown_ten_times_a_second_and_at_the_end(screen: Screen) -> None:
    now = iter([0.0, 0.05, 0.1, 0.15])
    made = ProgressBar("calls", clock=lambda: next(now))
    for done in (1, 2, 3, 4):
        made.show(done, 4)
    assert [line[-6:] for line in screen.lines] == ["1 of 4", "3 of 4", "4 of 4"]


def test_a_long_line_is_cut_at_the_width_of_the_terminal(screen: Screen) -> None:
    ProgressBar("x" * 100).show(1, 2)
    assert screen.lines == ["x" * 59]


def test_without_a_total_there_is_no_bar(screen: Screen) -> None:
    ProgressBar("a.wav", amount=megabytes).show(1_500_000, 0)
    assert screen.lines == ["a.wav    1.5 MB"]


def test_nothing_is_written_to_a_pipe(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = Screen(terminal=False)
    monkeypatch.setattr("receiver.cli.progress_bar.sys", SimpleNamespace(stderr=pipe))
    with progress_bar("reading IVRs") as show:
        show(1, 2)
    assert pipe.getvalue() == ""


@pytest.mark.parametrize(
    ("done", "total", "expected"), [(0, 3, "[---]"), (1, 3, "[#--]"), (9, 3, "[###]"), (1, 0, "")]
)
def test_the_bar(done: int, total: int, expected: str) -> None:
    assert bar(done, total, 3) == expected
