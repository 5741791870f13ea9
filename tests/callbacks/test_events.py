"""Events from the request to the handler, over a phone: authenticated, stored, joined, once."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from receiver import (
    Call,
    CallEvent,
    Events,
    Forward,
    Hangup,
    Ivr,
    Receiver,
    Repeat,
    Reply,
    Secret,
    Settings,
)
from receiver.auth.client_address import read_networks
from receiver.auth.probe_token import HEADER, make_token
from receiver.auth.throttle import FREE_FAILURES
from receiver.callbacks import call_history
from receiver.callbacks.event_endpoint import BODY_LIMIT
from receiver.callbacks.event_forward import Forwarder, split_credentials
from receiver.credentials import derive
from receiver.dispatch.sessions import SessionLost, Sessions
from receiver.errors import UpstreamRefused
from receiver.observability.metrics import COUNTS, EVENTS
from receiver.storage.breaker import StoreError
from receiver.storage.jobs_sqlite import SqliteJobs
from receiver.testing import EventFaults, Phone

ENDED = {"event_type": "call_cdr", "session_id": "7", "call_status": "noanswer"}


def sales() -> Ivr:
    ivr = Ivr("8000")

    @ivr.dtmf("1")
    async def pick(call: Call) -> Reply:
        async with call.session() as session:
            session["customer"] = 7
        return Forward("222")

    @ivr.dtmf("2")
    def repeat(call: Call) -> Reply:
        return Repeat()

    @ivr.dtmf("3333", sensitive=True)
    def pin(call: Call) -> Reply:
        return Forward("333")

    @ivr.dtmf("4")
    def leave(call: Call) -> Reply:
        return Hangup()

    return ivr


class Recorder:
    """An app whose handlers keep the events that they get."""

    def __init__(self, *parts: Ivr | Events, settings: Settings | None = None) -> None:
        self.seen: list[CallEvent] = []
        self.app = Receiver(sales(), *parts, settings=settings)
        self.app.on("call_ended")(self.ended)
        self.app.on("call_missed")(self.missed)
        self.app.on("call_answered")(self.answered)

    async def ended(self, event: CallEvent) -> None:
        self.seen.append(event)

    def missed(self, event: CallEvent) -> None:
        self.seen.append(event)

    async def answered(self, event: CallEvent) -> None:
        await asyncio.sleep(0)
        self.seen.append(event)

    def kinds(self) -> list[str]:
        return sorted(event.kind for event in self.seen)

    def last(self, kind: str) -> CallEvent:
        return next(event for event in reversed(self.seen) if event.kind == kind)


class Line:
    """Sends events to an app with the right credentials."""

    def __init__(self, app: Receiver, **client: Any) -> None:
        self._app = app
        self.http = httpx.AsyncClient(
            transport=httpx.ASGITransport(app, **client), base_url="http://receiver"
        )
        self.token = derive(app.settings.secret, "events").token.reveal()

    async def post(self, body: object = None, **headers: str) -> int:
        content = body if isinstance(body, bytes) else json.dumps(body or ENDED).encode()
        sent = {"Authorization": f"Bearer {self.token}", **headers}
        self.answer = await self.http.post("/events", content=content, headers=sent)
        await self._app.idle()
        return self.answer.status_code


@pytest.fixture
def recorder(tmp_path: Any) -> Recorder:
    return Recorder(settings=settings(tmp_path))


@pytest.fixture
async def line(recorder: Recorder) -> AsyncIterator[Line]:
    async with recorder.app.lifespan():
        yield Line(recorder.app)


def settings(folder: Any, **more: Any) -> Settings:
    jobs = Secret(str(folder / "jobs.db"))
    return Settings(secret=Secret("6d0f2c9ab17e4583f4c8d25e90ab3716"), jobs=jobs, **more)


def counted(kind: str, result: str) -> float:
    return COUNTS.cell(EVENTS, (kind, result))[0]


# of a call ------------------------------------------------------------------------------------
@pytest.mark.parametrize("auth", ["bearer", "basic", "digest", None])
async def test_a_call_is_answered_and_ends(auth: Any) -> None:
    recorder = Recorder(Events(auth=auth))
    async with Phone(recorder.app) as phone:
        call = await phone.dial("8000", caller="101")
        await call.press("2")
        await call.press("1")
        sent = await phone.end(call, talk=12)
    assert all(one.acknowledged for one in sent)
    assert recorder.kinds() == ["call_answered", "call_ended"]
    ended = recorder.last("call_ended")
    assert [(one.action, one.digits, one.reply) for one in ended.callbacks] == [
        ("8000/repeat", "2", "repeat"),
        ("8000/pick", "1", "call"),
    ]
    assert (ended.digits, ended.forwarded_to, ended.session) == ("1", "222", {"customer": 7})
    assert ended.answered_by is not None
    assert (ended.answered_by.number, ended.answered_by.talk_duration) == ("222", 12.0)
    assert ended.callbacks[0].time is not None
    answered = recorder.last("call_answered")
    assert (answered.target.number, answered.session) == ("222", {})
    assert answered.callbacks == ended.callbacks


async def test_a_call_is_missed_and_one_that_ends_in_the_ivr_is_not() -> None:
    recorder = Recorder()
    async with Phone(recorder.app) as phone:
        call = await phone.dial("8000", caller="101")
        await call.press("1")
        await phone.end(call, answered=False)
        assert recorder.kinds() == ["call_ended", "call_missed"]
        assert recorder.last("call_missed").forwarded_to == "222"
        call = await phone.dial("8000", caller="101")
        await call.press("4")
        await phone.end(call)
        call = await phone.dial("8000", caller="101")
        await phone.end(call)
    assert recorder.kinds() == ["call_ended"] * 3 + ["call_missed"]


async def test_digits_of_a_sensitive_action_are_not_joined() -> None:
    recorder = Recorder()
    async with Phone(recorder.app) as phone:
        call = await phone.dial("8000", caller="101")
        await call.press("3333")
        await phone.end(call)
    (past,) = recorder.last("call_ended").callbacks
    assert (past.action, past.digits, past.destination, past.sensitive) == (
        "8000/pin",
        "",
        "",
        True,
    )


async def test_events_come_twice_in_any_order_and_with_lost_acknowledgements() -> None:
    recorder = Recorder()
    async with Phone(recorder.app) as phone:
        for _ in range(3):
            call = await phone.dial("8000", caller="101")
            await call.press("1")
            faults = EventFaults(copies=3, shuffled=True, lost=2)
            sent = await phone.end(call, answered=False, faults=faults)
            assert {one.statuses for one in sent} == {(0, 0, 200)}
    assert recorder.kinds() == ["call_ended"] * 3 + ["call_missed"] * 3


async def test_without_a_handler_there_is_no_event_url() -> None:
    async with Phone(Receiver(sales())) as phone:
        call = await phone.dial("8000", caller="101")
        assert await phone.end(call) == []
        assert phone.pbxs[""].show_tenant()["cdr_event"]["enabled"] is False
        async with httpx.AsyncClient(transport=httpx.ASGITransport(phone.app)) as http:
            assert (await http.post("http://receiver/events")).status_code == 404


async def test_one_of_several_pbxs() -> None:
    seen: list[str] = []
    north, events = Ivr("8000", pbx="north"), Events(pbx="north")
    events.add("call_ended", lambda event: seen.append(event.pbx), name="keep")
    app = Receiver(north, Ivr("8000", pbx="south"), events)
    async with Phone(app) as phone:
        await phone.end(await phone.dial("north/8000", caller="101"))
        await phone.end(await phone.dial("south/8000", caller="101"))
        url = phone.pbxs["north"].show_tenant()["cdr_event"]["url"]
    assert url.endswith("/events/north")
    assert seen == ["north"]


# of a request ---------------------------------------------------------------------------------
async def test_the_same_event_is_handled_once(line: Line, recorder: Recorder) -> None:
    before = counted("call_ended", "stored"), counted("call_ended", "duplicate")
    assert [await line.post() for _ in range(3)] == [200, 200, 200]
    assert line.answer.content == b""
    assert recorder.kinds() == ["call_ended", "call_missed"]
    after = counted("call_ended", "stored"), counted("call_ended", "duplicate")
    assert (after[0] - before[0], after[1] - before[1]) == (1, 2)


async def test_what_is_refused(line: Line, recorder: Recorder) -> None:
    assert await line.post(Authorization="Bearer wrong") == 401
    assert line.answer.headers["www-authenticate"].startswith("Bearer")
    for _ in range(FREE_FAILURES):
        await line.post(Authorization="Bearer wrong")
    assert await line.post(Authorization="Bearer wrong") == 429
    assert await line.post(b"x" * (BODY_LIMIT + 1)) == 413
    assert await line.post(**{"Content-Encoding": "br"}) == 415
    credentials = {"Authorization": f"Bearer {line.token}"}
    assert (await line.http.get("/events", headers=credentials)).status_code == 405
    assert (await line.http.put("/events", headers=credentials)).status_code == 405
    assert (await line.http.post("/events/", headers=credentials)).status_code == 404
    assert recorder.seen == []


async def test_a_record_may_be_larger_than_a_callback(line: Line, recorder: Recorder) -> None:
    target = {"callee": "222", "status": "noanswer", "destination": "x" * 1000}
    body = json.dumps({**ENDED, "call_targets": [target] * 150}).encode()
    assert len(body) > 100_000
    assert await line.post(gzip.compress(body), **{"Content-Encoding": "gzip"}) == 200
    assert len(recorder.last("call_ended").targets) == 150


async def test_another_address(tmp_path: Any) -> None:
    recorder = Recorder(settings=settings(tmp_path, allowed_sources=read_networks("192.0.2.1")))
    async with recorder.app.lifespan():
        assert await Line(recorder.app, client=("192.0.2.7", 1)).post() == 403
        assert await Line(recorder.app, client=("192.0.2.1", 1)).post() == 200


async def test_what_is_no_event_is_acknowledged_with_one_line_in_the_log(
    line: Line, recorder: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    bodies: list[object] = [b"", b"{", b"[]", {"event_type": "extension_status"}]
    for body in bodies * 2:
        assert await line.post(body) == 200
    dropped = [one for one in caplog.messages if "acknowledged and dropped" in one]
    assert len(dropped) == 3  # the first two say the same
    assert dropped[-1].startswith("events: not an event of a call: extension_status; ")
    assert await line.post({"event_type": "call_start"}) == 200
    assert recorder.seen == []


async def test_a_probe_stores_nothing(line: Line, recorder: Recorder) -> None:
    token = make_token(recorder.app.settings.secret, "events", 1e10)
    assert await line.post(**{HEADER: token}) == 200
    assert line.answer.headers[HEADER] != ""
    assert recorder.seen == []


async def test_an_unavailable_queue_is_503(
    line: Line, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(self: object, key: str, body: str, now: float) -> bool:
        raise StoreError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(SqliteJobs, "accept", fail)
        assert await line.post() == 503
    assert recorder.seen == []
    assert await line.post() == 200
    assert recorder.kinds() == ["call_ended", "call_missed"]


async def test_a_body_that_does_not_come() -> None:
    recorder = Recorder(Events(auth=None))
    async with Phone(recorder.app) as phone:
        answers = phone.app.callbacks._made["/events"]
        answers._body_timeout = 0.01  # type: ignore[attr-defined]
        sent: list[Any] = []
        scope = {
            "type": "http", "method": "POST", "path": "/events", "query_string": b"",
            "headers": [(b"host", b"x")], "client": ("127.0.0.1", 1), "http_version": "1.1",
        }  # fmt: skip

        async def receive() -> Any:
            await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        await phone.app(scope, receive, send)
        assert sent[0]["status"] == 408

        async def leave() -> Any:
            return {"type": "http.disconnect"}

        await phone.app(scope, leave, send)
        assert len(sent) == 2


# of handlers ----------------------------------------------------------------------------------
async def test_a_handler_that_raises_runs_again_and_no_other(
    tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    app, seen = Receiver(Ivr("8000"), settings=settings(tmp_path)), list[str]()

    @app.on("call_ended")
    def failing(event: CallEvent) -> None:
        seen.append("failing")
        raise ValueError(event.session_id)

    @app.on("call_ended", name="other")
    async def other(event: CallEvent) -> None:
        seen.append("other")

    async with app.lifespan():
        assert await Line(app).post() == 200
    assert sorted(seen) == ["failing", "other"]
    assert "call_ended:tests.callbacks.test_events:" in caplog.text
    assert "ValueError, try 1 of 10" in caplog.text


async def test_a_job_of_an_earlier_process_is_run(tmp_path: Any) -> None:
    first, second = (Recorder(settings=settings(tmp_path)) for _ in range(2))
    inside = first.app._inside  # it stores, and never runs: no lifespan, no worker
    jobs = inside._events
    assert jobs is not None
    body = json.dumps(ENDED).encode()
    assert await jobs.accept("", body, jobs.read("", body)) == "stored"
    async with second.app.lifespan():
        while len(second.seen) < 2:  # noqa: ASYNC110 - until its worker has polled
            await asyncio.sleep(0.01)
    assert second.kinds() == ["call_ended", "call_missed"]
    assert first.seen == []


async def test_no_history_is_no_error(
    line: Line, recorder: Recorder, monkeypatch: pytest.MonkeyPatch, caplog: Any
) -> None:
    class Lost:
        async def __aenter__(self) -> None:
            raise SessionLost("the session store is unavailable")

        async def __aexit__(self, *error: object) -> None: ...

    monkeypatch.setattr(Sessions, "open", lambda self, key, **more: Lost())
    assert await line.post() == 200
    assert recorder.last("call_ended").callbacks == ()
    assert "handled without the callbacks of its call" in caplog.text


async def test_the_history_is_bounded_and_garbage_in_it_is_left_out(recorder: Recorder) -> None:
    async with recorder.app.lifespan():
        history = recorder.app._inside._events._history  # type: ignore[union-attr]
        for number in range(call_history.MAX_CALLBACKS + 5):
            entry = {"action": "8000/pick", "digits": str(number), "time": 1e9 + number}
            await history.add("", "7", entry)
        await history.add("", "7", {"action": 8, "time": "x", "sensitive": 1})
        found = await history.callbacks("", "7")
        assert len(found) == call_history.MAX_CALLBACKS
        assert (found[0].action, found[0].sensitive) == ("", False)
        assert found[-1].digits == str(call_history.MAX_CALLBACKS + 4)
        assert await history.callbacks("", "unknown") == ()


def test_a_long_text_and_half_a_character_can_be_stored() -> None:
    assert call_history._short("\ud800" + "x" * 1000) == "?" + "x" * (call_history.MAX_LENGTH - 1)


# to another receiver --------------------------------------------------------------------------
class FakeClient:
    """Answers with a status, and keeps what was sent."""

    def __init__(self, status: int = 200) -> None:
        self.status = status
        self.sent: list[tuple[str, bytes, dict[str, str]]] = []

    async def request(
        self, method: str, url: str, *, content: bytes, headers: dict[str, str]
    ) -> None:
        self.sent.append((url, content, headers))
        if self.status != 200:
            raise UpstreamRefused("refused", status=self.status)


async def test_events_are_forwarded_once_as_they_came(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = FakeClient()
    monkeypatch.setattr("receiver.callbacks.event_forward._client", lambda: fake)
    url = "https://us%65r:secret@crm.example.com/hook"
    app = Receiver(sales(), Events(forward_to=url), settings=settings(tmp_path))
    async with app.lifespan():
        line = Line(app)
        bodies = [
            json.dumps(ENDED).encode(),
            b' {"event_type":"extension_status", "a": "\xff"}\r\n',
        ]
        for body in (bodies[0], *bodies):
            assert await line.post(body) == 200
    assert [one[0] for one in fake.sent] == ["https://crm.example.com/hook"] * 2
    assert [one[1] for one in fake.sent] == bodies  # byte for byte
    assert fake.sent[0][2]["Authorization"] == "Basic dXNlcjpzZWNyZXQ="


async def test_forwarding_ends_at_404_and_is_repeated_otherwise(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for status in (404, 500):
        run = Forwarder(lambda status=status: FakeClient(status)).run({"": "https://x/hook"})  # type: ignore[misc, arg-type]
        if status == 404:
            await run("", "{}")
        else:
            with pytest.raises(UpstreamRefused):
                await run("", "{}")
        await run("another", "{}")
    assert "an event is not wanted" in caplog.text
    assert split_credentials("https://x/hook") == ("https://x/hook", {})


def test_the_client_has_a_timeout() -> None:
    from receiver.callbacks.event_forward import _client
    from receiver.upstream import Client

    assert isinstance(_client(), Client)


async def test_no_number_and_no_digits_are_logged(
    tmp_path: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    recorder = Recorder()
    async with Phone(recorder.app, settings=settings(tmp_path)) as phone:
        call = await phone.dial("8000", caller="4930123456", caller_name="Jason")
        await call.press("1")
        await phone.end(call, answered=False)
    assert len(recorder.seen) == 2
    ours = [one.getMessage() for one in caplog.records if one.name.startswith("receiver")]
    assert not [one for one in ours if "4930123456" in one or "Jason" in one]
