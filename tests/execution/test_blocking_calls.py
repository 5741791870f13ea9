"""Synchronous calls in async handlers: which are found, and what the report says."""

from __future__ import annotations

import asyncio
import functools
import inspect
import threading
from collections.abc import Callable, Iterator
from types import CodeType, FrameType, FunctionType
from typing import Any

import pytest

from receiver.execution.blocking_calls import (
    BlockingCall,
    BlockingCallDetector,
    called,
)


class Reports:
    """The reports; the first one ends the block."""

    def __init__(self) -> None:
        self.found: list[BlockingCall] = []
        self.released = threading.Event()

    def __call__(self, what: BlockingCall) -> None:
        self.found.append(what)
        self.released.set()


@pytest.fixture
def detector() -> Iterator[BlockingCallDetector]:
    with BlockingCallDetector(0.01) as detector:
        yield detector


def made(source: str, file: str) -> Callable[..., Any]:
    """Return the function in ``source`` as if ``file`` had it."""
    [code] = (one for one in compile(source, file, "exec").co_consts if isinstance(one, CodeType))
    return FunctionType(code, {})


def line_of(function: Callable[..., object], text: str) -> int:
    lines, first = inspect.getsourcelines(function)
    return first + next(number for number, line in enumerate(lines) if text in line)


async def test_a_call_that_blocks_is_reported_once_with_its_place(
    detector: BlockingCallDetector,
) -> None:
    reports = Reports()

    async def handler(call: object) -> object:
        await asyncio.sleep(0)
        assert reports.released.wait(60)
        return call

    assert await detector.run(handler, "a call", reports) == "a call"
    [found] = reports.found
    assert (found.file, found.call) == (__file__, "reports.released.wait")
    assert found.line == line_of(handler, "reports.released.wait")
    assert found.function.endswith("handler")
    assert found.seconds == 0.01
    assert "blocked the event loop for more than 10 ms; await an async client" in found.problem


async def test_the_innermost_own_code_is_named_through_libraries(
    detector: BlockingCallDetector,
) -> None:
    reports = Reports()

    def convert(_: object) -> str:
        assert reports.released.wait(60)
        return "x"

    async def handler(call: object) -> object:
        return functools.reduce(lambda a, b: a + convert(b), [1], "") + inspect.cleandoc("y")

    assert await detector.run(handler, None, reports) == "xy"
    assert reports.found[0].line == line_of(convert, "reports.released.wait")


async def test_a_task_that_a_handler_started_is_reported(detector: BlockingCallDetector) -> None:
    reports = Reports()

    async def look_up() -> None:
        assert reports.released.wait(60)

    async def handler(call: object) -> object:
        return await asyncio.gather(look_up())

    await detector.run(handler, None, reports)
    assert reports.found[0].function.endswith("look_up")


async def test_the_handler_that_blocks_gets_the_report_and_no_other(
    detector: BlockingCallDetector,
) -> None:
    mine, other = Reports(), Reports()
    ended = asyncio.Event()

    async def waits(call: object) -> object:
        return await ended.wait()

    async def blocks(call: object) -> object:
        await asyncio.sleep(0)
        assert mine.released.wait(60)
        ended.set()
        return None

    await asyncio.gather(detector.run(waits, None, other), detector.run(blocks, None, mine))
    assert (len(mine.found), other.found) == (1, [])


async def test_waiting_is_not_blocking_and_what_blocks_outside_a_handler_is_not_reported(
    detector: BlockingCallDetector,
) -> None:
    reports = Reports()
    samples = 0
    entered = threading.Event()

    async def handler(call: object) -> object:
        nonlocal samples
        while samples < 50:
            samples += 1
            await asyncio.to_thread(entered.wait, 0.001)
        return None

    await detector.run(handler, None, reports)
    threading.Event().wait(0.05)  # no handler runs
    assert reports.found == []


async def test_a_block_inside_this_package_is_not_reported() -> None:
    done = threading.Event()

    class Checked(BlockingCallDetector):
        def _report(self, frame: FrameType | None) -> None:
            super()._report(frame)
            done.set()

    reports = Reports()
    block = made("def block(done):\n    done.wait(60)\n", inspect.getfile(BlockingCallDetector))

    async def handler(call: object) -> object:
        block(done)
        return None

    with Checked(0.01) as detector:
        await detector.run(handler, None, reports)
    assert done.is_set()
    assert reports.found == []


async def test_an_installed_app_is_reported_too(detector: BlockingCallDetector) -> None:
    reports = Reports()
    source = "async def handler(call):\n    call.released.wait(60)\n"
    handler = made(source, f"{asyncio.__path__[0]}/../installed.py")
    await detector.run(handler, reports, reports)
    assert reports.found[0].line == 2
    assert reports.found[0].call == "a call"  # there is no source


async def test_plain_handlers_are_left_alone(detector: BlockingCallDetector) -> None:
    def plain(call: object) -> object:
        return call

    async def asynchronous(call: object) -> object:
        return call

    assert detector.watched(plain, Reports()) is plain
    watched = detector.watched(asynchronous, Reports())
    assert watched.__name__ == "asynchronous"
    assert await watched(1) == 1


async def test_an_error_of_the_handler_passes(detector: BlockingCallDetector) -> None:
    async def handler(call: object) -> object:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await detector.run(handler, None, Reports())


def test_a_loop_that_ends_ends_the_thread() -> None:
    async def handler(call: object) -> object:
        return call

    detector = BlockingCallDetector(0.01)
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(detector.run(handler, 1, Reports())) == 1
    loop.close()
    detector.close()
    assert "receiver-blocking-calls" not in [thread.name for thread in threading.enumerate()]


def test_what_is_called_is_as_in_the_source() -> None:
    class Client:
        def get(self, *_: object) -> str:
            frame = inspect.currentframe()
            assert frame is not None
            assert frame.f_back is not None
            names.append(called(frame.f_back))
            return ""

    names: list[str] = []
    client = Client()
    client.get("ü", "one")
    print("ü", client.get(
        "two",
        "lines",
    ))  # fmt: skip
    assert names == ["client.get", "client.get"]


async def test_a_line_without_a_call_is_shown_whole(detector: BlockingCallDetector) -> None:
    reports = Reports()

    async def handler(call: object) -> object:
        total = 0
        while not reports.found:
            total += 1
        return total

    await detector.run(handler, None, reports)
    assert reports.found[0].call in ("while not reports.found:", "total += 1")
