"""The events of a call of the page, while a reload adds or removes the handlers of events."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from receiver.dev.call_view import CallView, Changed
from receiver.dev.event_report import report
from receiver.server.uvicorn_server import running
from receiver.simulator.line import Line
from receiver.simulator.model import Pbx

ARRIVED = "call_start, cdr_target_add, cdr_target_ringing, cdr_target_answer"
ENDED = "cdr_target_end, call_cdr"


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (True, True, [ARRIVED, ENDED]),
        (True, False, [ARRIVED]),
        (False, True, [ENDED]),
        (False, False, []),
    ],
    ids=["declared", "removed", "added", "none"],
)
async def test_events_are_reported_while_handlers_are_declared(
    before: bool, after: bool, shown: list[str]
) -> None:
    received, texts = list[str](), list[str]()
    pbx, states = Pbx(), iter((before, before, after))
    pbx.add_ivr("8000")

    async def service(scope: Scope, receive: Receive, send: Send) -> None:
        received.append(json.loads(await Request(scope, receive).body())["event_type"])
        await Response()(scope, receive, send)

    def show(changed: list[Changed]) -> None:
        texts.extend(step["text"].removeprefix("the PBX reports ") for _, step in changed)

    async with running(service, lifespan="off") as url:

        async def reload() -> None:
            event_url = {"enabled": next(states), "url": f"{url}/events"}
            pbx.update_tenant({"cdr_event": event_url})

        call = await Line(pbx).dial("8000", caller="101")
        await call.hang_up()
        await reload()
        begun = datetime(2026, 11, 30, 9, 0, tzinfo=UTC)
        view = CallView("c1", 1, "8000", "", "101", "Ann", begun, 0.0, {"text": None})
        await report(view, pbx, call, reload, show)
    assert texts == shown
    assert ", ".join(received) == ", ".join(shown)
