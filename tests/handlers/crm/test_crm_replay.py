"""Recorded calls of each CRM are replayed without it, and end as they did."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from handlers.crm.lookup import CallerLookup
from receiver import Forward, Ivr, Receiver, Settings
from receiver.recording.reader import read
from receiver.server.uvicorn_server import running
from receiver.testing.block_network import blocked_network
from receiver.testing.replay import replay
from receiver.testing.replay_diff import ReplayResult
from tests.handlers.crm.connected import Stage
from tests.handlers.crm.test_crm_connectors import add
from tests.support import SECRET

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLER = "+493023125000"
FIELDS = ("email", "Email", "login", "owner_id", "OwnerId", "hubspot_owner_id", "id", "Id")


def app(stage: Stage, **settings: Any) -> Receiver:
    """Return an app whose connector and cache are new, as after a restart."""
    ivr = Ivr("8001")
    options: dict[str, Any] = {"owners": {"ada@example.com": "201"}, "region": "DE"}
    lookup = CallerLookup(stage.crm, unknown="8000", log="never", **options)
    ivr.add("CALLER", "+49**********", lookup.ahead, name="ahead", auth=None)
    ivr.add("DTMF", "1", lookup, name="pick", auth=None, fallback=Forward("0"), request_timeout=30)
    return Receiver(ivr, settings=Settings(secret=SECRET, **settings))


async def record(stage: Stage, folder: Path, *callers: str, **settings: Any) -> str:
    """Record calls of an app; return the recording as text."""
    async with (
        running(app(stage, record=folder, **settings)) as url,
        httpx.AsyncClient(base_url=url, timeout=60) as http,
    ):
        for number, caller in enumerate(callers):
            for name in ("ahead", "pick"):
                fields = {"from": caller, "to": "8001", "session_id": f"{caller}/{number}"}
                keyed = {"input": "1"} if name == "pick" else {}
                await http.post(f"/action/8001/{name}", json={**fields, **keyed})
    return "".join(path.read_text() for path in folder.iterdir())


async def replayed(stage: Stage, folder: Path) -> list[ReplayResult]:
    """Return the results of a replay by an app that was restarted."""
    today, calls = app(stage), read(folder).calls
    with blocked_network() as attempts:
        results = await replay(today, calls, today.settings, attempts)
    assert attempts.count == 0
    return [one for call in results for one in call]


@pytest.mark.parametrize(
    "shown", [{"record_caller_data": True}, {"record_fields": FIELDS}], ids=["shown", "masked"]
)
async def test_a_recorded_call_is_replayed_without_the_crm(
    stage: Stage, tmp_path: Path, shown: dict[str, Any]
) -> None:
    add(stage)
    # Known twice, the second time by the cache; and one that the CRM does not know.
    text = await record(stage, tmp_path, CALLER, CALLER, "+493099999999", **shown)
    before = len(stage.fake.requests)
    results = await replayed(stage, tmp_path)
    assert len(stage.fake.requests) == before
    ends = [one.now.destination for one in results if one.record.kind == "DTMF"]
    assert ends == ["201", "201", "8000"]
    assert [(one.differs, one.now.reason) for one in results] == [(False, "handled")] * 6
    assert sum(one.played for one in results) >= 4
    assert "of-the-tests" not in text
    if "record_caller_data" not in shown:
        for secret in (CALLER, "23125000", "Lovelace", "Grace", "Hopper"):
            assert secret not in text


async def test_failures_of_the_crm_are_replayed_and_open_no_circuit(
    stage: Stage, tmp_path: Path
) -> None:
    add(stage)
    stage.fake.trouble = "down"
    await record(stage, tmp_path, *[f"+49302312500{n}" for n in range(1, 10)])
    stage.fake.trouble = ""
    await record(stage, tmp_path, CALLER, record_caller_data=True)
    results = await replayed(stage, tmp_path)
    ends = [one.now.destination for one in results if one.record.kind == "DTMF"]
    assert ends == ["8000"] * 9 + ["201"]
    assert not any(one.differs for one in results)
