"""Actions and calls to record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from receiver import Call, Forward, Ivr, Receiver, Reply, Settings
from receiver.declarations.actions import Action
from receiver.recording.format import Recorded
from receiver.recording.masking import Masker
from tests.support import SECRET

KEY = b"a key of the tests"
ANSWER = Forward("222")


async def answer(call: Call) -> Reply:
    return Forward("222")


def make_ivr(handler: Any = answer) -> Ivr:
    ivr = Ivr("8000")
    ivr.add("DTMF", "1;22;1000-1999;9****", handler, name="pick", auth=None)
    ivr.add("DTMF", "4711;4712", handler, name="pin", auth=None, sensitive=True)
    ivr.add("CALLER", "+4930*****;100-199", handler, name="known", auth=None)
    return ivr


def action(name: str) -> Action:
    return next(one for one in make_ivr() if one.name == name)


def record(name: str, call: Call, reply: Reply = ANSWER, *, shown: bool = False) -> Recorded:
    masker = Masker(KEY, make_ivr(), caller_data=shown)
    return masker.record(
        action(name),
        call,
        reply,
        "handled",
        time="2026-11-22T07:00:00.000Z",
        seconds=0.012,
        handler=0.01,
    )


def settings(folder: Path, **more: Any) -> Settings:
    return Settings(secret=SECRET, record=folder, **more)


def make_app(folder: Path, handler: Any = answer, **more: Any) -> Receiver:
    return Receiver(make_ivr(handler), settings=settings(folder, **more))


def lines(folder: Path) -> list[dict[str, Any]]:
    """All lines of the recording in ``folder``."""
    found = sorted(folder.glob("calls-*.jsonl"))
    return [json.loads(line) for path in found for line in path.read_bytes().splitlines()]
