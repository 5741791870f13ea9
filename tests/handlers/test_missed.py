"""handlers/missed.py: one follow-up of each missed call."""

from __future__ import annotations

import asyncio
import csv
import json
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from handlers.crm.contacts import Contact
from handlers.missed import FIELDS, FollowUp, add_line, fields_of, key_of
from receiver import CallEvent, CallTarget, DeclarationError, Unavailable
from receiver.server.uvicorn_server import running
from tests.handlers.crm.memory import MemoryCrm

TIME = datetime(2026, 11, 29, 8, 0, tzinfo=UTC)
MISSED = CallEvent(
    "call_missed",
    session_id="900110022003300440",
    cdr_id="1",
    caller="+493023125000",
    caller_name="Grace; =Hopper",
    callee="8000",
    ended=TIME,
    ring_duration=12.0,
    targets=(CallTarget("8000", is_ivr=True), CallTarget("222"), CallTarget("222")),
)
AGAIN = replace(MISSED, cdr_id="2", ended=TIME + timedelta(minutes=1))
"""Another record of the same call."""


# a task --------------------------------------------------------------------------------------


@pytest.fixture
def crm() -> MemoryCrm:
    crm = MemoryCrm()
    crm.contacts = {"493023125000": (Contact("1", "Grace", "7"),)}
    return crm


async def test_a_task_for_the_owner_of_the_contact(crm: MemoryCrm) -> None:
    follow_up = FollowUp(crm=crm, within=3600.0)
    for event in (MISSED, MISSED, AGAIN):
        await follow_up(event)
    (task,) = crm.tasks
    assert (task.title, task.owner) == ("Missed call: call back Grace", "7")
    assert task.due == TIME + timedelta(hours=1)
    assert (task.key, task.contact) == (key_of(MISSED), Contact("1", "Grace", "7"))


@pytest.mark.parametrize(
    ("event", "options", "titles"),
    [
        (replace(MISSED, caller="030 1234567"), {"region": "DE"}, ["call back Grace; =Hopper"]),
        (replace(MISSED, caller="+49301234567", caller_name=""), {}, ["call back +49301234567"]),
        (replace(MISSED, caller="+49301234567"), {"unknown": False}, []),
        (replace(MISSED, caller="anonymous"), {}, []),
    ],
)
async def test_a_task_of_an_unknown_caller(
    crm: MemoryCrm, event: CallEvent, options: Any, titles: list[str]
) -> None:
    await FollowUp(crm=crm, **options)(event)
    assert [task.title.removeprefix("Missed call: ") for task in crm.tasks] == titles


async def test_the_log_says_why_there_is_no_follow_up(
    crm: MemoryCrm, caplog: pytest.LogCaptureFixture
) -> None:
    crm.error = Unavailable("answered 403: MISSING_SCOPES")
    with pytest.raises(Unavailable):
        await FollowUp(crm=crm)(MISSED)
    text = "FollowUp: a missed call is not followed up yet: answered 403: MISSING_SCOPES"
    assert caplog.messages == [text]


async def test_a_crm_that_is_down_is_tried_again(crm: MemoryCrm) -> None:
    crm.error = Unavailable("down")
    with pytest.raises(Unavailable):
        await FollowUp(crm=crm)(MISSED)
    crm.error = None
    await FollowUp(crm=crm)(MISSED)
    assert len(crm.tasks) == 1


# a request -----------------------------------------------------------------------------------


class Desk:
    """A service that counts what it gets."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.status = 200

    async def __call__(self, request: Request) -> Response:
        assert request.headers["Authorization"] == "Bearer desk"
        self.got.append((request.headers["Idempotency-Key"], await request.json()))
        return Response(status_code=self.status)


@pytest_asyncio.fixture
async def desk() -> AsyncIterator[tuple[Desk, str]]:
    desk = Desk()
    app = Starlette(routes=[Route("/hook", desk.__call__, methods=["POST"])])
    async with running(app) as url:
        yield desk, f"{url}/hook?a=1"


async def test_a_request_with_the_key_of_the_call(
    desk: tuple[Desk, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "receiver")
    service, url = desk
    follow_up = FollowUp(url=url, headers={"Authorization": "Bearer desk"}, timeout=30)
    service.status = 503
    with pytest.raises(Unavailable):
        await follow_up(MISSED)
    service.status = 204
    await follow_up(MISSED)
    assert [key for key, _ in service.got] == [key_of(MISSED)] * 2
    assert service.got[1][1] == {
        "key": key_of(MISSED),
        "time": "2026-11-29T08:00:00+00:00",
        "caller": "+493023125000",
        "caller_name": "Grace; =Hopper",
        "did": "",
        "callee": "8000",
        "forwarded_to": "",
        "rang": "222",
        "ring_duration": 12.0,
        "session_id": "900110022003300440",
    }
    assert "23125000" not in caplog.text
    assert "Grace" not in caplog.text


# a file --------------------------------------------------------------------------------------


async def test_a_line_of_a_csv_file(tmp_path: Path) -> None:
    path = tmp_path / "missed.csv"
    follow_up = FollowUp(file=path)
    await asyncio.gather(*(follow_up(event) for event in (MISSED, MISSED, AGAIN)))
    other = replace(MISSED, session_id="2", caller_name="=cmd()", caller="101")
    await follow_up(other)
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert list(rows[0]) == list(FIELDS)
    assert [row["key"] for row in rows] == [key_of(MISSED), key_of(other)]
    assert (rows[0]["caller"], rows[0]["caller_name"]) == ("+493023125000", "Grace; =Hopper")
    assert rows[1]["caller_name"] == "'=cmd()"
    assert os.stat(path).st_mode & 0o777 == 0o600


async def test_a_line_of_a_jsonl_file(tmp_path: Path) -> None:
    path = tmp_path / "missed.jsonl"
    for event in (MISSED, AGAIN, replace(MISSED, session_id="2")):
        await FollowUp(file=str(path))(event)
    first, second = map(json.loads, path.read_text().splitlines())
    assert first == fields_of(MISSED)
    assert second["session_id"] == "2"


def test_a_line_that_a_kill_cut_off_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "missed.jsonl"
    path.write_text('{"key": "')
    add_line(path, MISSED)
    add_line(path, MISSED)
    assert path.read_text().splitlines() == ['{"key": "', json.dumps(fields_of(MISSED))]


async def test_a_folder_that_is_missing_is_tried_again(tmp_path: Path) -> None:
    follow_up = FollowUp(file=tmp_path / "later" / "missed.csv")
    with pytest.raises(OSError, match="No such file"):
        await follow_up(MISSED)
    (tmp_path / "later").mkdir()
    await follow_up(MISSED)


# declaration ---------------------------------------------------------------------------------


def test_the_key_of_a_call() -> None:
    assert key_of(MISSED) == key_of(AGAIN)
    one, other = replace(MISSED, session_id=""), replace(AGAIN, session_id="")
    assert key_of(one) != key_of(other)
    assert key_of(replace(one, cdr_id="")) != key_of(replace(other, cdr_id=""))
    assert key_of(MISSED) != key_of(replace(MISSED, pbx="north"))


class NoTasks:
    name = "none"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "give one of crm=, url= and file="),
        ({"file": "a.csv", "url": "https://a.example"}, "give one of"),
        ({"file": "missed.txt"}, r"\.csv or \.jsonl"),
        ({"url": "http://desk.example.com/x"}, "FollowUp: url= is plain http"),
        ({"crm": NoTasks()}, "can create tasks"),
        ({"crm": {"connector": "none"}}, "none"),
    ],
)
def test_a_wrong_option(options: Any, text: str) -> None:
    with pytest.raises(DeclarationError, match=text):
        FollowUp(**options)


def test_a_crm_may_be_a_table() -> None:
    FollowUp(crm={"connector": "hubspot", "token": "pat-token-of-the-tests"})
