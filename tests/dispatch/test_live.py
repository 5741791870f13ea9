"""Sessions, work after the answer and the budget, through the whole app."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from receiver import Call, Forward, Hangup, Ivr, Receiver, Repeat, Reply, Secret, Settings
from receiver.serving.server import running
from receiver.serving.watchdog import RESCUE
from tests.support import FIELDS, SECRET

ivr = Ivr("888", fallback=Forward("9"))
done: list[str] = []


@pytest.fixture(autouse=True)
def nothing_done() -> None:
    done.clear()


def note(text: str) -> None:
    done.append(text)


async def note_later(text: str) -> None:
    done.append(text)


@ivr.dtmf("1", auth=None)
async def attempts(call: Call) -> Reply:
    async with call.session() as session:
        session["attempts"] = session.get("attempts", 0) + 1
        return Forward("222") if session["attempts"] == 3 else Repeat()


@ivr.dtmf("2", auth=None)
async def works(call: Call) -> Reply:
    call.after(note, "plain")
    call.after(note_later, "async")
    assert await call.after.durably(note, "durable")
    assert "plain" not in done
    return Hangup()


@ivr.dtmf("3", auth=None)
def from_a_thread(call: Call) -> Reply:
    assert 0 < call.remaining() <= 1.5
    call.after(note, "thread")
    assert call.after.durably_from_thread(note, "durable")
    return Hangup()


@ivr.dtmf("4", auth=None)
async def works_and_raises(call: Call) -> Reply:
    call.after(note, "all the same")
    raise RuntimeError


@asynccontextmanager
async def service(tmp_path: Path, store: str = "") -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(
        secret=SECRET, store=Secret(store), after=Secret(str(tmp_path / "after.db"))
    )
    app = Receiver(ivr, settings=settings)
    async with running(app) as url, httpx.AsyncClient(base_url=url) as client:
        yield client


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"only {done} was done")


async def ask(client: httpx.AsyncClient, name: str, **fields: str) -> str:
    answer = await client.post(f"/action/888/{name}", json=FIELDS | fields)
    return str(answer.json().get("destination") or answer.json()["action"])


@pytest.mark.parametrize("store", ["", "store.db"])
async def test_a_session_is_that_of_its_call(store: str, tmp_path: Path) -> None:
    async with service(tmp_path, store and str(tmp_path / store)) as client:
        one = [await ask(client, "attempts", session_id="1") for _ in range(3)]
        other = [await ask(client, "attempts", session_id="2") for _ in range(2)]
    assert one == ["repeat", "repeat", "222"]
    assert other == ["repeat", "repeat"]


async def test_two_services_share_the_session_of_a_call(tmp_path: Path) -> None:
    store = str(tmp_path / "store.db")
    async with service(tmp_path, store) as one, service(tmp_path, store) as other:
        answers = [await ask(client, "attempts") for client in (one, other, one)]
    assert answers == ["repeat", "repeat", "222"]


async def test_a_lost_session_is_the_fallback(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with service(tmp_path, str(tmp_path / "store.db")) as client:
        assert await ask(client, "attempts") == "repeat"
        for path in tmp_path.glob("store.db*"):
            path.unlink()
        tmp_path.joinpath("store.db").mkdir()
        assert await ask(client, "attempts") == "9"
    assert "Traceback" not in caplog.text
    assert "888/attempts: the store of sessions is out of order" in caplog.text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("works", ["async", "durable", "plain"]),
        ("from_a_thread", ["durable", "thread"]),
        ("works_and_raises", ["all the same"]),
    ],
)
async def test_what_comes_after_the_answer_is_done(
    name: str, expected: list[str], tmp_path: Path
) -> None:
    async with service(tmp_path) as client:
        assert await ask(client, name) in ("hangup", "9")
        await until(lambda: sorted(done) == expected)


async def test_shutdown_waits_for_what_was_asked(tmp_path: Path) -> None:
    async with service(tmp_path) as client:
        await ask(client, "works")
    assert {"async", "plain"} <= set(done)


async def test_a_mounted_app_does_its_work_too(tmp_path: Path) -> None:
    """It is never told that it starts."""
    settings = Settings(secret=SECRET, after=Secret(str(tmp_path / "after.db")))
    transport = httpx.ASGITransport(Receiver(ivr, settings=settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        await ask(client, "works")
        await until(lambda: "durable" in done)


async def test_a_call_made_by_hand_has_it_all() -> None:
    call = Call()
    assert [await attempts(call) for _ in range(3)] == [Repeat(), Repeat(), Forward("222")]
    await works(call)
    assert [work.args for work in call.context.after] == [("plain",), ("async",), ("durable",)]  # type: ignore[attr-defined]
    assert Call(digits="1") == Call(digits="1", context=call.context)


async def test_a_call_that_the_watchdog_answered_loses_no_work(tmp_path: Path) -> None:
    class Rescued:
        def arm(self, deadline: float, answer: bytes) -> None: ...

        def disarm(self) -> bool:
            return False

    settings = Settings(secret=SECRET, after=Secret(str(tmp_path / "after.db")))
    app = Receiver(ivr, settings=settings)

    async def stuck(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, RESCUE: Rescued()}, receive, send)

    transport = httpx.ASGITransport(stuck)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        with contextlib.suppress(AssertionError):  # httpx misses the answer, which it does not see
            await client.post("/action/888/works_and_raises", json=FIELDS)
        await until(lambda: done == ["all the same"])
