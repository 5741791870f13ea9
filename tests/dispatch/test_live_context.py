"""Sessions, work after the answer and the budget, through the whole app."""

from __future__ import annotations

import asyncio
import contextlib
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from receiver import Call, Forward, Hangup, Ivr, Receiver, Repeat, Reply, Secret, Settings
from receiver.callbacks.request import RESCUE
from receiver.server.uvicorn_server import running
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
    assert call.after.durably(note, "durable")
    return Hangup()


@ivr.dtmf("5", auth=None)
def attempts_in_a_thread(call: Call) -> Reply:
    with call.session() as session:
        session["attempts"] = session.get("attempts", 0) + 1
        return Forward("222") if session["attempts"] == 3 else Repeat()


@ivr.dtmf("6", auth=None)
def raises_in_a_session(call: Call) -> Reply:
    with call.session() as session:
        session["attempts"] = 2
        raise ValueError


@ivr.dtmf("7", auth=None)
async def forgets_async(call: Call) -> Reply:
    with call.session():
        return Hangup()


@ivr.dtmf("8", auth=None)
async def forgets_await(call: Call) -> Reply:
    call.after.durably(note, "durable")
    return Hangup()


@ivr.dtmf("9", auth=None)
def asks_a_crm(call: Call) -> Reply:
    url = f"http://127.0.0.1:{crm.server_port}/"
    with httpx.Client(timeout=min(60.0, call.remaining()), trust_env=False) as client:
        return Forward(client.get(url).text)


class Crm(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"300")

    def log_message(self, *_: object) -> None:
        """Print nothing."""


crm: HTTPServer


@pytest.fixture
def crm_is_up() -> Iterator[None]:
    global crm
    with HTTPServer(("127.0.0.1", 0), Crm) as crm:
        thread = threading.Thread(target=crm.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield
        crm.shutdown()
        thread.join()


@ivr.dtmf("4", auth=None)
async def works_and_raises(call: Call) -> Reply:
    call.after(note, "done anyway")
    raise RuntimeError


@asynccontextmanager
async def service(tmp_path: Path, store: str = "") -> AsyncIterator[httpx.AsyncClient]:
    settings = Settings(secret=SECRET, store=Secret(store), jobs=Secret(str(tmp_path / "jobs.db")))
    app = Receiver(ivr, settings=settings)
    async with running(app) as url, httpx.AsyncClient(base_url=url) as client:
        yield client


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(6000):
        if condition():
            return
        await asyncio.sleep(0.01)
    pytest.fail(f"only {done} was done")


async def ask(client: httpx.AsyncClient, name: str, **fields: str) -> str:
    answer = await client.post(f"/action/888/{name}", json=FIELDS | fields)
    return str(answer.json().get("destination") or answer.json()["action"])


@pytest.mark.parametrize("name", ["attempts", "attempts_in_a_thread"])
@pytest.mark.parametrize("store", ["", "store.db"])
async def test_a_session_is_that_of_its_call(store: str, name: str, tmp_path: Path) -> None:
    async with service(tmp_path, store and str(tmp_path / store)) as client:
        one = [await ask(client, name, session_id="1") for _ in range(3)]
        other = [await ask(client, name, session_id="2") for _ in range(2)]
    assert one == ["repeat", "repeat", "222"]
    assert other == ["repeat", "repeat"]


@pytest.mark.parametrize("store", ["", "store.db"])
async def test_plain_and_async_handlers_share_the_session_of_a_call(
    store: str, tmp_path: Path
) -> None:
    async with service(tmp_path, store and str(tmp_path / store)) as client:
        names = ["attempts_in_a_thread", "attempts", "attempts_in_a_thread"]
        assert [await ask(client, name) for name in names] == ["repeat", "repeat", "222"]


async def test_a_session_changes_nothing_after_an_error_in_a_thread(tmp_path: Path) -> None:
    async with service(tmp_path) as client:
        assert await ask(client, "raises_in_a_session") == "9"
        assert await ask(client, "attempts_in_a_thread") == "repeat"


async def test_a_lost_session_is_the_fallback_in_a_thread_too(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tmp_path.joinpath("store.db").mkdir()
    async with service(tmp_path, str(tmp_path / "store.db")) as client:
        assert await ask(client, "attempts_in_a_thread") == "9"
    assert "888/attempts_in_a_thread: the session store is unavailable" in caplog.text


@pytest.mark.parametrize(
    "use",
    [
        lambda session: session["attempts"],
        lambda session: session.get("attempts", 0),
        lambda session: session.__setitem__("attempts", 1),
        lambda session: "attempts" in session,
    ],
)
async def test_a_session_that_is_not_opened_is_an_error_with_the_cure(
    use: Callable[[Any], Any],
) -> None:
    one = Ivr("888", fallback=Forward("9"))

    @one.dtmf("1", auth=None)
    async def forgets(call: Call) -> Reply:
        use(call.session())
        return Hangup()

    cure = "open the session first: async with call.session() as session"
    with pytest.raises(TypeError, match=re.escape(cure)):
        await forgets(Call(digits="1"))
    transport = httpx.ASGITransport(Receiver(one, settings=Settings(secret=SECRET)))
    async with httpx.AsyncClient(transport=transport, base_url="http://ivr.example") as client:
        answer = await client.post("/action/888/forgets", json=FIELDS | {"input": "1"})
    assert answer.json()["destination"] == "9"


async def test_with_in_an_async_handler_is_an_error_with_the_cure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(secret=SECRET, log_caller_data=True)
    async with running(Receiver(ivr, settings=settings)) as url, httpx.AsyncClient() as client:
        answer = await client.post(f"{url}/action/888/forgets_async", json=FIELDS)
    assert answer.json()["destination"] == "9"
    assert "RuntimeError: in an async def write: async with call.session()" in caplog.text


async def test_a_durable_job_without_await_is_done_and_the_log_has_the_cure(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with service(tmp_path) as client:
        assert await ask(client, "forgets_await") == "hangup"
        await until(lambda: done == ["durable"])
    assert "Write: await call.after.durably(…)" in caplog.text


@pytest.mark.usefixtures("crm_is_up")
async def test_a_plain_handler_asks_a_crm_with_a_plain_client(tmp_path: Path) -> None:
    async with service(tmp_path) as client:
        assert await ask(client, "asks_a_crm") == "300"
    assert await asyncio.to_thread(asks_a_crm, Call()) == Forward("300")  # in a test of it


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
    assert "888/attempts: the session store is unavailable" in caplog.text


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("works", ["async", "durable", "plain"]),
        ("from_a_thread", ["durable", "thread"]),
        ("works_and_raises", ["done anyway"]),
    ],
)
async def test_what_comes_after_the_answer_is_done(
    name: str, expected: list[str], tmp_path: Path
) -> None:
    async with service(tmp_path) as client:
        assert await ask(client, name) in ("hangup", "9")
        await until(lambda: sorted(done) == expected)


async def test_shutdown_waits_for_queued_jobs(tmp_path: Path) -> None:
    async with service(tmp_path) as client:
        await ask(client, "works")
    assert {"async", "plain"} <= set(done)


async def test_a_mounted_app_does_its_work_too(tmp_path: Path) -> None:
    """A mounted app gets no lifespan events."""
    settings = Settings(secret=SECRET, jobs=Secret(str(tmp_path / "jobs.db")))
    transport = httpx.ASGITransport(Receiver(ivr, settings=settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        await ask(client, "works")
        await until(lambda: "durable" in done)


async def test_a_call_made_by_hand_has_it_all() -> None:
    call = Call()
    assert [await attempts(call) for _ in range(3)] == [Repeat(), Repeat(), Forward("222")]
    await works(call)
    assert [work.args for work in call.context.after] == [("plain",), ("async",), ("durable",)]  # type: ignore[attr-defined]
    assert [attempts_in_a_thread(Call(context=call.context)) for _ in range(2)] == [Repeat()] * 2
    assert Call(digits="1") == Call(digits="1", context=call.context)


async def test_a_call_that_the_watchdog_answered_loses_no_work(tmp_path: Path) -> None:
    class Rescued:
        def arm(self, deadline: float, answer: bytes) -> None: ...

        def disarm(self) -> bool:
            return False

    settings = Settings(secret=SECRET, jobs=Secret(str(tmp_path / "jobs.db")))
    app = Receiver(ivr, settings=settings)

    async def stuck(scope: Any, receive: Any, send: Any) -> None:
        await app({**scope, RESCUE: Rescued()}, receive, send)

    transport = httpx.ASGITransport(stuck)
    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        with contextlib.suppress(AssertionError):  # httpx misses the answer, which it does not see
            await client.post("/action/888/works_and_raises", json=FIELDS)
        await until(lambda: done == ["done anyway"])


async def test_callers_who_withhold_their_number_share_no_session(tmp_path: Path) -> None:
    async with service(tmp_path) as client:
        for caller in ("anonymous", "sip:anonymous@anonymous.invalid", "+266696687"):
            fields = {"from": caller, "session_id": ""}
            assert [await ask(client, "attempts", **fields) for _ in range(4)] == ["repeat"] * 4
        fields = {"from": "102", "session_id": ""}
        assert [await ask(client, "attempts", **fields) for _ in range(3)][-1] == "222"


async def test_handlers_know_the_number_format_of_their_pbx(tmp_path: Path) -> None:
    async def tell(call: Call) -> Reply:
        return {"e164": Forward("1"), "national": Forward("2")}.get(call.number_format, Hangup())

    ivrs = [Ivr("888", pbx=label) for label in ("north", "south", "")]
    for one in ivrs:
        one.add("DTMF", "1", tell, name="tell", auth=None)
    plain = Settings(secret=SECRET, jobs=Secret(str(tmp_path / "jobs.db")))
    settings = {
        "": plain,
        "north": replace(plain, number_format="e164"),
        "south": replace(plain, number_format="national"),
    }
    async with (
        running(Receiver(*ivrs, settings=settings)) as url,
        httpx.AsyncClient(base_url=url) as client,
    ):
        for place, answer in (("north/", "1"), ("south/", "2"), ("", "")):
            found = await client.post(f"/action/{place}888/tell", json=FIELDS)
            assert found.json().get("destination") == answer
