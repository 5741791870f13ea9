"""Fixtures of all tests."""

import logging
import os
import shutil
import signal
import sys
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
from click.testing import Result
from hypothesis import HealthCheck, settings

from receiver.credentials import Secret
from receiver.errors import ReceiverError
from tests.command_line import CliRunner
from tests.limits import extend_limits
from tests.processes import Processes
from tests.stopwatch import Stopwatch

# Limits of time would make a busy machine a failure. On CI the examples are the same in each run,
# so that a change is refused for what it changed; elsewhere each run draws new ones, to find more.
settings.register_profile(
    "default",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize="CI" in os.environ,
)
settings.load_profile("default")

# Tests edit modules within a second, in which bytecode of the same size counts as current.
sys.dont_write_bytecode = True

# A shell that starts the tests in the background has them, and their processes, ignore Ctrl+C.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make a test's log valid Unicode: it is sent to another process."""
    report = yield
    report.sections = [
        (title, text.encode(errors="backslashreplace").decode()) for title, text in report.sections
    ]
    return report


@pytest.fixture(autouse=True)
def no_settings_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove RECEIVER_* variables of the user, which must not affect the tests."""
    for name in [name for name in os.environ if name.startswith("RECEIVER_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def a_busy_machine_is_no_outage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stores and CRMs have time; a test of an outage gives the limit that it meets."""
    extend_limits(monkeypatch.setitem)


@pytest.fixture(autouse=True)
def loggers_as_they_were() -> Iterator[None]:
    """The command line sets up logging; the next test must not inherit it."""
    names = ("receiver", "uvicorn.access", "uvicorn.error", "python_multipart")
    loggers = [logging.getLogger(name) for name in names]
    before = [(one.handlers[:], one.filters[:], one.level, one.propagate) for one in loggers]
    loggers[0].setLevel(logging.DEBUG)
    yield
    for one, state in zip(loggers, before, strict=True):
        one.handlers, one.filters, _, one.propagate = state
        one.setLevel(state[2])


@pytest.fixture(scope="session")
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


@pytest.fixture
def processes() -> Iterator[Processes]:
    """Starts processes that end with the test."""
    made = Processes()
    yield made
    made.end()


@pytest.fixture
def stopwatch() -> Iterator[Stopwatch]:
    """Measures times less the stalls of a busy machine."""
    with Stopwatch() as running:
        yield running


# No secret in any output: every Secret that a test makes is looked for in all that it printed,
# logged, and raised as one of our errors. `allow_secrets` marks the tests that print one.

_LONG = 12  # shorter ones, such as "t", occur in other words
_seen: set[str] = set()
_said: list[str] = []


def _watch(monkeypatch: pytest.MonkeyPatch) -> None:
    make_secret, make_error, invoke = Secret.__init__, ReceiverError.__init__, CliRunner.invoke

    def secret(self: Secret, text: str) -> None:
        make_secret(self, text)
        if isinstance(text, str) and len(text) >= _LONG and len(set(text)) > 3:
            _seen.add(text)

    def error(self: ReceiverError, *args: object) -> None:
        make_error(self, *args)
        _said.append(str(args))

    def run(self: CliRunner, *args: Any, **kwargs: Any) -> Result:
        result = invoke(self, *args, **kwargs)
        _said.append(result.output)
        return result

    monkeypatch.setattr(Secret, "__init__", secret)
    monkeypatch.setattr(ReceiverError, "__init__", error)
    monkeypatch.setattr(CliRunner, "invoke", run)


def leaks(said: str) -> list[str]:
    """Return the prefixes of the secrets in ``said``."""
    return [text[:4] + "…" for text in _seen if text in said]


@pytest.fixture(autouse=True)
def no_secret_in_any_output(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> Iterator[None]:
    _seen.clear()
    _said.clear()
    _watch(monkeypatch)
    yield
    printed = capfd.readouterr()
    said = "\n".join([*_said, printed.out, printed.err, caplog.text])
    if "allow_secrets" not in request.keywords:
        assert not leaks(said)
