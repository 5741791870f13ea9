"""What all tests share."""

import logging
import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from hypothesis import settings

# Examples are drawn anew in each run; a deadline would make a busy machine a failure.
settings.register_profile("default", deadline=None)
settings.load_profile("default")


@pytest.fixture(autouse=True)
def no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    """RECEIVER_* variables of whoever runs the tests must not decide what they show."""
    for name in [name for name in os.environ if name.startswith("RECEIVER_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def loggers_as_they_were() -> Iterator[None]:
    """The command line sets up logging; the next test must not inherit it."""
    logger = logging.getLogger("receiver")
    before = logger.handlers[:], logger.filters[:], logger.level, logger.propagate
    logger.setLevel(logging.DEBUG)
    yield
    logger.handlers, logger.filters, level, logger.propagate = before
    logger.setLevel(level)


@pytest.fixture
def program() -> Callable[[str], str]:
    """The path of a program that a test runs for real; where it is missing CI fails."""

    def find(name: str) -> str:
        path = shutil.which(name)
        if path is None and os.environ.get("CI"):
            pytest.fail(f"{name} is not installed: .ci/run must install it")
        if path is None:
            pytest.skip(f"{name} is not installed on this machine")
        return path

    return find
