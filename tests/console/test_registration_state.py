"""The differences between the declarations and the PBX, for the console."""

from __future__ import annotations

import asyncio

import pytest

from receiver import Call, Forward, Ivr, Receiver, Reply, Secret, Settings
from receiver.console.registration_state import CHECK_INTERVAL, RegistrationState
from receiver.errors import PbxError
from receiver.pbx.pbx_client import PbxClient
from receiver.registration.registrar import apply, make_plan
from tests.simulated_pbx import TOKEN, Stage
from tests.support import SECRET

BASE = "https://ivr.example.com"


async def pick(call: Call) -> Reply:
    return Forward("222")


class Pbx:
    """A PBX, a console that looks at it, and a clock that is set by hand."""

    def __init__(self, **settings: object) -> None:
        self.stage = Stage("8000")
        self.ivr = Ivr("8000")
        self.ivr.add("DTMF", "1", pick, name="pick")
        given = {"pbx_url": "http://localhost", "pbx_token": Secret(TOKEN), "public_url": BASE}
        self.app = Receiver(
            self.ivr,
            settings=Settings(secret=SECRET, **{**given, **settings}),  # type: ignore[arg-type]
        )
        self.now = 0.0
        self.made = 0
        self.registration = RegistrationState(
            self.app, now=lambda: f"at {self.now:g}", make=self._make, clock=lambda: self.now
        )

    def _make(self, settings: Settings) -> PbxClient:
        self.made += 1
        return self.stage.client()

    async def refresh(self) -> bool:
        """Whether the PBX was asked."""
        came = asyncio.Event()
        before = len(self.stage.transport.sent)
        self.registration.refresh(came.set)
        task = self.registration._visits._task
        if task is not None:
            await task
        return len(self.stage.transport.sent) > before and came.is_set()

    async def apply(self) -> None:
        plan = await make_plan(self.stage.client(), self.app, BASE, SECRET)
        await apply(self.stage.client(), plan, allow_deletes=False)


async def test_differences_are_shown_without_values() -> None:
    pbx = Pbx()
    assert pbx.registration.json == {"state": "unknown", "checked": None, "lines": [], "text": ""}
    pbx.ivr.add("DTMF", "2", pick, name="later", secret_header="X-Key")
    assert await pbx.refresh()
    found = pbx.registration.json
    assert (found["state"], found["checked"]) == ("differs", "at 0")
    assert found["lines"] == ["+ create 8000/pick", "+ create 8000/later"]
    await pbx.apply()
    pbx.stage.pbx.action_urls(pbx.stage.ivr("8000").id).update(
        pbx.stage.action_urls("8000")[0].id, {"dtmf_mask": "7"}
    )
    pbx.now = CHECK_INTERVAL
    assert await pbx.refresh()
    assert pbx.registration.json["lines"] == ["~ update 8000/pick: dtmf_mask"]
    await pbx.registration.close()


async def test_it_asks_seldom_and_keeps_its_client() -> None:
    pbx = Pbx()
    await pbx.apply()
    assert await pbx.refresh()
    assert pbx.registration.json["state"] == "in step"
    pbx.now = CHECK_INTERVAL - 1
    assert not await pbx.refresh()
    pbx.now = CHECK_INTERVAL
    assert await pbx.refresh()
    assert pbx.made == 1
    await pbx.registration.close()


async def test_the_ivrs_own_menus_are_read() -> None:
    pbx = Pbx()
    rule = {"user_input": "9", "office_hours_forward_rule": {"action": "REPEAT"}}
    pbx.stage.pbx.ivrs.update(pbx.stage.ivr("8000").id, {"custom_forward_rules": [rule]})
    await pbx.refresh()
    assert pbx.registration.menus == {("", "8000"): ("9",)}
    await pbx.registration.close()


async def test_a_pbx_that_is_down_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    pbx = Pbx()

    async def down(*_: object, **__: object) -> None:
        raise PbxError("the PBX does not answer: is it running?")

    monkeypatch.setattr("receiver.console.registration_state.make_plan", down)
    await pbx.refresh()
    assert pbx.registration.json["state"] == "unknown"
    assert "is it running?" in pbx.registration.json["text"]
    await pbx.registration.close()


async def test_without_a_pbx_nothing_is_read() -> None:
    pbx = Pbx(pbx_url="")
    assert not await pbx.refresh()
    assert pbx.registration.json["state"] == "off"
    await pbx.registration.close()


async def test_without_an_account_it_says_which_variable() -> None:
    pbx = Pbx(public_url="")
    await pbx.refresh()
    assert "RECEIVER_PUBLIC_URL" in pbx.registration.json["text"]
    await pbx.registration.close()


async def test_refreshing_does_not_wait() -> None:
    pbx = Pbx()
    never = asyncio.Event()

    async def stuck(*_: object) -> None:
        await never.wait()

    pbx.stage.transport.handle_async_request = stuck  # type: ignore[assignment, method-assign]
    pbx.registration.refresh(lambda: None)
    await asyncio.sleep(0)
    pbx.now = 10 * CHECK_INTERVAL
    first = pbx.registration._visits._task
    pbx.registration.refresh(lambda: None)
    assert pbx.registration._visits._task is first  # one at a time
    await pbx.registration.close()
