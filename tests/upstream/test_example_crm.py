"""examples/09_crm_in_time.py with a CRM on a socket."""

import inspect
import sys
from pathlib import Path

import pytest

from receiver import Call, Forward, Receiver, Repeat, Reply
from receiver.config.loader import load
from receiver.declarations.actions import Action
from tests.upstream.stage import Crm, answer

EXAMPLE = Path(__file__).parent.parent.parent / "examples" / "09_crm_in_time.py"


async def ask(action: Action, call: Call) -> Reply:
    reply = action.handler(call)
    assert inspect.isawaitable(reply)
    return await reply


async def test_the_owner_is_requested_ahead(crm: Crm, monkeypatch: pytest.MonkeyPatch) -> None:
    crm.script = [answer(b'[{"owner":"7"}]'), answer(b'{"extension":"222"}'), answer(b"[]")]
    monkeypatch.setenv("CRM_URL", crm.url)
    for name, module in list(sys.modules.items()):  # it may have been run with another CRM before
        if getattr(module, "__file__", None) == str(EXAMPLE):
            monkeypatch.delitem(sys.modules, name)
    app = load(f"{EXAMPLE}:app")
    assert isinstance(app, Receiver)
    arrive, my_contact = app
    assert await ask(arrive, Call(caller="101")) == Repeat()
    await crm.received(2)
    assert await ask(my_contact, Call(caller="101", digits="1")) == Forward("222")
    assert [request.split()[1] for request in crm.requests] == ["/contacts?phone=101", "/owners/7"]
    assert await ask(my_contact, Call(caller="102", digits="1")) == Forward("0")
