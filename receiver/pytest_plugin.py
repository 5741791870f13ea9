"""The pytest plugin: a phone as a fixture, scenario files as tests, ladders of tests that failed.

Rule 1: where it is not used it costs nothing: until a fixture or a scenario file asks for more,
        only pytest and the standard library are imported.
Rule 2: it works with async tests of pytest-asyncio and of anyio (on asyncio), and knows neither:
        the fixture is a plain one, the phone opens when the test dials, and what the test is
        wrapped in closes it, both in the loop of the test.
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
    from receiver.testing.playing import Played
    from receiver.testing.scenarios import Scenario

_MOST = 10
"""How many calls of a test that failed are shown, the last ones."""

_OF_A_TEST: weakref.WeakSet[Phone] = weakref.WeakSet()
"""The phones that the fixtures made; those of other fixtures are not for us to close."""

_BEFORE = pytest.StashKey[dict[int, int]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "The Receiver that the fixture phone calls, as in app:app."
    parser.addini("receiver_app", text, default="")


# Fixtures ------------------------------------------------------------------------------------


@pytest.fixture
def receiver_app(pytestconfig: pytest.Config) -> Receiver:
    """The app under test: the one that the ini option ``receiver_app`` names. Override it at will.

    It may give a Receiver, or a text as on the command line.
    """
    return _load(pytestconfig, "")


@pytest.fixture
def phone(receiver_app: Receiver | str) -> Phone:
    """A `receiver.testing.Phone` that calls the app under test within the process."""
    return _phone(receiver_app, http=False)


@pytest.fixture
def http_phone(receiver_app: Receiver | str) -> Phone:
    """The same over real HTTP, on a free loopback port."""
    return _phone(receiver_app, http=True)


def _phone(app: Receiver | str, *, http: bool) -> Phone:
    from receiver.testing import Phone  # noqa: PLC0415 - rule 1

    made = Phone(app, http=http)
    _OF_A_TEST.add(made)
    return made


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, None, None]:
    """Have an async test close its phones before its loop ends."""
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

    item.obj = closing  # type: ignore[attr-defined]  # it is a function's item
    try:
        return (yield)
    finally:
        item.obj = test  # type: ignore[attr-defined]


def _is_ours(fixture: object) -> bool:
    return any(fixture is phone for phone in _OF_A_TEST)


def _load(config: pytest.Config, target: str) -> Receiver:
    """The app that ``target``, or else the ini option, names."""
    target = target or config.getini("receiver_app")
    if not target:
        pytest.fail(
            'which app is called? Set receiver_app = "app:app" where pytest is configured, or '
            "write a fixture receiver_app that returns your Receiver",
            pytrace=False,
        )
    from receiver.apps import load_app  # noqa: PLC0415 - rule 1
    from receiver.errors import ReceiverError  # noqa: PLC0415

    try:
        with contextlib.chdir(config.rootpath):
            return load_app(target)
    except ReceiverError as error:
        pytest.fail(f"receiver_app: {error}", pytrace=False)


# What a test that failed had on the line -----------------------------------------------------


def _phones() -> Iterable[Phone]:
    """Those that are held by somebody; none where the test kit was not even imported."""
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
            text = "\n\n".join(made.transcript for made in calls[-_MOST:])
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
        from receiver.testing.playing import read  # noqa: PLC0415 - rule 1
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
        from receiver.testing.playing import play  # noqa: PLC0415 - rule 1

        played = asyncio.run(play(self._scenario, _load(self.config, self._app)))
        if played.problem:
            raise _AsNotExpectedError(played)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from receiver.errors import ReceiverError  # noqa: PLC0415 - rule 1

        if not isinstance(excinfo.value, _AsNotExpectedError | ReceiverError):
            return super().repr_failure(excinfo, style)
        return f"{self.path.name}:{self._scenario.line}: {excinfo.value}"

    def reportinfo(self) -> tuple[Path, int, str]:
        return self.path, self._scenario.line - 1, self.name


class _AsNotExpectedError(Exception):
    """A scenario did not go as its file says; with its call, for the report."""

    def __init__(self, played: Played) -> None:
        super().__init__(played.problem)
        self.played = played
