"""The pytest plugin: a phone as a fixture, scenario files as tests, and calls of failed tests.

Rule 1: it costs nothing where it is not used: only pytest and the standard library are imported
        until a fixture or a scenario file is used.
Rule 2: it works with async tests of pytest-asyncio and of anyio (on asyncio): the fixture is plain,
        the phone opens when the test dials, and a wrapper of the test closes it in its event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import sys
import weakref
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from receiver.app import Receiver
    from receiver.testing import Phone
    from receiver.testing.scenario_run import ScenarioResult
    from receiver.testing.scenarios import Scenario

_MAX_SHOWN = 10
"""The last calls of a failed test that are shown."""

_OF_A_TEST: weakref.WeakSet[Phone] = weakref.WeakSet()
"""The phones that these fixtures made, and close."""

_BEFORE = pytest.StashKey[dict[int, int]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "The Receiver that the fixture phone calls, as in app:app."
    parser.addini("receiver_app", text, default="")


# Fixtures ------------------------------------------------------------------------------------


@pytest.fixture
def receiver_app(pytestconfig: pytest.Config) -> Receiver:
    """The app under test, by default the one that the ini option ``receiver_app`` names.

    Override it to return a Receiver, or a text as on the command line.
    """
    return _load(pytestconfig, "")


@pytest.fixture
def phone(receiver_app: Receiver | str) -> Phone:
    """A `receiver.testing.Phone` that calls the app under test in the process."""
    return _phone(receiver_app, http=False)


@pytest.fixture
def http_phone(receiver_app: Receiver | str) -> Phone:
    """A `receiver.testing.Phone` that calls over HTTP, on a free loopback port."""
    return _phone(receiver_app, http=True)


def _phone(app: Receiver | str, *, http: bool) -> Phone:
    from receiver.testing import Phone  # noqa: PLC0415 - rule 1

    made = Phone(app, http=http)
    _OF_A_TEST.add(made)
    return made


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Close the phones of an async test before its event loop ends."""
    phones = [one for one in getattr(item, "funcargs", {}).values() if _is_ours(one)]
    test = getattr(item, "obj", None)
    if not phones or not inspect.iscoroutinefunction(test):
        return (yield)

    @functools.wraps(test)
    async def closing(*args: Any, **kwargs: Any) -> Any:
        try:
            return await test(*args, **kwargs)
        finally:
            for phone in phones:
                await phone.close()

    item.obj = closing  # type: ignore[attr-defined]  # a function's item
    try:
        return (yield)
    finally:
        item.obj = test  # type: ignore[attr-defined]


def _is_ours(fixture: object) -> bool:
    return any(fixture is phone for phone in _OF_A_TEST)


def _load(config: pytest.Config, target: str) -> Receiver:
    """Return the app that ``target``, or else the ini option, names."""
    target = target or config.getini("receiver_app")
    if not target:
        pytest.fail(
            'no app to call: set receiver_app = "app:app" where pytest is configured, or '
            "write a fixture receiver_app that returns your Receiver",
            pytrace=False,
        )
    from receiver.config.load_app import load_app  # noqa: PLC0415 - rule 1
    from receiver.errors import ReceiverError  # noqa: PLC0415

    try:
        with contextlib.chdir(config.rootpath):
            return load_app(target)
    except ReceiverError as error:
        pytest.fail(f"receiver_app: {error}", pytrace=False)


# The calls of a failed test -----------------------------------------------------------------


def _phones() -> Iterable[Phone]:
    """Return the existing phones; none if the test kit was not imported."""
    module = sys.modules.get("receiver.testing.phone")
    return list(module.PHONES) if module else ()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_BEFORE] = {id(phone): len(phone.calls) for phone in _phones()}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and call.when == "call":
        before = item.stash.get(_BEFORE, {})
        calls = [made for phone in _phones() for made in phone.calls[before.get(id(phone), 0) :]]
        if calls:
            text = "\n\n".join(made.transcript for made in calls[-_MAX_SHOWN:])
            report.sections.append(("Calls on the simulated PBX", text))
    return report


# Scenario files ------------------------------------------------------------------------------


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if not file_path.name.endswith(".calls.toml"):
        return None
    return ScenarioFile.from_parent(parent, path=file_path)


class ScenarioFile(pytest.File):
    """A scenario file; each call in it is a test."""

    def collect(self) -> Iterator[pytest.Item]:
        from receiver.testing.scenario_run import read  # noqa: PLC0415 - rule 1
        from receiver.testing.scenarios import ScenarioError  # noqa: PLC0415

        try:
            found = read(self.path)
        except ScenarioError as error:
            raise self.CollectError(str(error)) from None
        for scenario in found.calls:
            yield ScenarioItem.from_parent(
                self, name=scenario.name, scenario=scenario, app=found.app
            )


class ScenarioItem(pytest.Item):
    """A call of a scenario file."""

    def __init__(self, *, scenario: Scenario, app: str, **rest: Any) -> None:
        super().__init__(**rest)
        self._scenario = scenario
        self._app = app

    def runtest(self) -> None:
        from receiver.testing.scenario_run import run_scenario  # noqa: PLC0415 - rule 1

        result = asyncio.run(run_scenario(self._scenario, _load(self.config, self._app)))
        if result.problem:
            raise _UnexpectedResultError(result)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from receiver.errors import ReceiverError  # noqa: PLC0415 - rule 1

        if not isinstance(excinfo.value, _UnexpectedResultError | ReceiverError):
            return super().repr_failure(excinfo, style)
        return f"{self.path.name}:{self._scenario.line}: {excinfo.value}"

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self._scenario.line - 1, self.name


class _UnexpectedResultError(Exception):
    """A scenario did not end as expected; with its call, for the report."""

    def __init__(self, result: ScenarioResult) -> None:
        super().__init__(result.problem)
        self.result = result
