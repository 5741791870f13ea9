"""Prints the fault table when the tests are over."""

from __future__ import annotations

import pytest

LINES = pytest.StashKey[list[str]]()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if lines := config.stash.get(LINES, []):
        terminalreporter.section("faults")
        for line in lines:
            terminalreporter.write_line(line)
