"""Convert the engine's events to the messages of the page."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from receiver.declarations.missing_action import MissingAction
from receiver.dev.call_view import CallView
from receiver.dev.callback_view import Json, exchange_json
from receiver.pbx.callback_trace import Exchange, render
from receiver.simulator.behaviour import Behaviour
from receiver.simulator.events import Event
from receiver.simulator.line import Line, PhoneCall
from receiver.simulator.model import Pbx

BEGUN = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
REPEAT = b'{"status_code":200,"action":"repeat"}'
FORWARD = b'{"status_code":200,"action":"call","destination":"222"}'

Answer = Callable[[httpx.Request], httpx.Response]


class Page:
    """A call, and the steps as a page has them."""

    def __init__(self, pbx: Pbx, answer: Answer) -> None:
        self.seconds = 100.0
        self.line = Line(
            pbx,
            transport=httpx.MockTransport(answer),
            seconds=lambda: self.seconds,
            clock=lambda: 0.0,
            today=lambda: BEGUN.replace(tzinfo=None),
        )
        self.view = CallView("c1", 1, "8000", "", "101", "Ann", BEGUN, 100.0, {"text": None})
        self.view.after_failure = pbx.behaviour.after_failure
        self.steps: list[Json] = []
        self.before: list[Json] = []
        self.missing: MissingAction | None = None

    async def dial(self, caller_name: str = "") -> PhoneCall:
        return await self.line.dial(
            "8000", caller="101", caller_name=caller_name, listener=self.listen
        )

    def listen(self, phone: PhoneCall, event: Event) -> None:
        name = "8000/pick" if event.ask else ""
        unmatched = event.step is not None and event.step.is_unmatched
        changed = self.view.take(
            event,
            phone.due,
            phone.outcome,
            action=name,
            handler="app.pick",
            missing=self.missing if unmatched else None,
        )
        for index, step in changed:
            assert index <= len(self.steps)
            self.before += self.steps[index : index + 1]
            self.steps[index : index + 1] = [step]

    @property
    def types(self) -> list[str]:
        return [step["type"] for step in self.steps]


def make_pbx(behaviour: Behaviour | None = None, **fields: Any) -> Pbx:
    pbx = Pbx(behaviour)
    ivr = pbx.ivrs.create({"name": "Sales", "extension_number": "8000", **fields})
    pbx.action_urls(ivr).create(
        {
            "name": "pick",
            "enabled": True,
            "type": "DTMF",
            "method": "POST",
            "dtmf_mask": "1;22",
            "url": "http://app.example/action/8000/pick",
            "auth": "BEARER",
            "token": "secret-token-of-the-action",
            "headers": "X-Key:another-secret",
        }
    )
    return pbx


def forward(request: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=FORWARD, headers={"Set-Cookie": "a-secret-cookie"})


def refuse(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("no")


async def test_a_call_that_continues_in_another_ivr() -> None:
    pbx = make_pbx()
    pbx.ivrs.create({"name": "Doctors", "extension_number": "222"})
    page = Page(pbx, forward)
    phone = await page.dial()
    await phone.key("1")
    page.seconds += 2
    await phone.on_time()
    assert page.types == ["prompt", "key", "gap", "callback", "ivr", "prompt"]
    assert page.view.summary()["end"] is None
    page.view.at = phone.ivr
    assert (page.view.now()["ivr"], page.view.address) == ("222", "222")
    assert page.view.now()["repeats"] == 0


async def test_a_call_from_dial_to_forward() -> None:
    page = Page(make_pbx(), forward)
    phone = await page.dial(caller_name="Ann")
    assert page.types == ["prompt"]
    assert page.view.summary()["state"] == "prompt"
    assert page.view.now()["timeout_until"] == "2026-11-22T09:00:30.000+00:00"
    page.seconds += 1
    await phone.key("1")
    assert page.view.summary()["state"] == "gap"
    assert page.view.now() == {
        "ivr": "8000",
        "prompt": {"text": None},
        "keys": "1",
        "gap_until": "2026-11-22T09:00:03.000+00:00",
        "gap_seconds": 2.0,
        "timeout_until": None,
        "repeats": 0,
    }
    page.seconds += 2
    await phone.on_time()
    assert page.types == ["prompt", "key", "gap", "callback", "forward"]
    assert [step["at"] for step in page.steps] == [0, 1, 3, 3, 3]
    (asked,) = page.before
    assert asked["callback"]["outcome"] is None
    assert asked["callback"]["deadline"] == 2.0
    summary = page.view.summary()
    assert summary["end"] == {"kind": "forwarded", "text": "forwarded to 222"}
    assert (summary["state"], summary["callbacks"], summary["reason"]) == ("ended", 1, None)
    callback = page.steps[3]["callback"]
    assert (callback["action"], callback["handler"]) == ("8000/pick", "app.pick")
    assert (callback["trigger"], callback["digits"]) == ("press", "1")
    assert callback["outcome"] == {"kind": "forwarded", "text": "forwarded to 222", "then": ""}


async def test_no_secret_is_shown() -> None:
    page = Page(make_pbx(), forward)
    phone = await page.dial()
    await phone.press("1")
    (exchange,) = page.steps[-2]["callback"]["exchanges"]
    shown = dict(map(tuple, exchange["request_headers"]))
    assert shown["Authorization"] == "Bearer ***"
    assert shown["X-Key"] == "***"
    assert dict(map(tuple, exchange["response_headers"]))["Set-Cookie"] == "***"
    assert "secret" not in str(page.steps)


def test_credentials_in_a_url_are_masked_and_a_long_body_is_cut() -> None:
    made = exchange_json(
        Exchange("GET", "http://me:pass@x.example/?from=1", (), b"x" * 30_000, None, (), b"", 0.0)
    )
    assert made["url"] == "http://***@x.example/?from=1"
    assert made["request_body"].endswith("… (30000 bytes)")
    assert made["status"] is None


async def test_what_the_service_tells_belongs_to_its_callback() -> None:
    repeat = {"status_code": 200, "action": "repeat"}
    page = Page(make_pbx(), lambda request: httpx.Response(200, json=repeat))
    phone = await page.dial()
    await phone.press("1")
    await phone.press("22")
    report: Json = {"handler": "app.pick", "stages": None, "reason": None, "error": None}
    report |= {"log": [], "upstream": []}
    first = page.view.report("8000/pick", "report 1", report)
    second = page.view.report("8000/pick", "report 2", {**report, "reason": "handled"})
    again = page.view.report("8000/pick", "report 1", {**report, "reason": "raised"})
    assert first is not None
    assert second is not None
    assert again is not None
    asked = [i for i, step in enumerate(page.steps) if step["type"] == "callback"]
    assert [first[0], second[0], again[0]] == [asked[0], asked[1], asked[0]]
    assert again[1]["callback"]["reason"] == "raised"
    assert again[1]["callback"]["digits"] == "1"
    assert page.view.report("8000/pick", "report 3", report) is None
    assert page.view.report("8000/other", "report 4", report) is None
    assert page.view.summary()["reason"] == "raised"


async def test_a_callback_that_failed_says_what_the_pbx_does_then() -> None:
    for after, words in (("prompt", "plays its prompt"), ("hang_up", "hangs up")):
        page = Page(make_pbx(Behaviour(after_failure=after)), refuse)  # type: ignore[arg-type]
        phone = await page.dial()
        await phone.press("1")
        outcome = next(s for s in page.steps if s["type"] == "callback")["callback"]["outcome"]
        assert outcome["kind"] == "failed"
        assert words in outcome["then"]
        assert "not documented" in outcome["then"]
        assert page.view.summary()["reason"] == "failed"


async def test_an_answer_that_does_not_arrive_is_a_failure_even_if_the_handler_succeeded() -> None:
    page = Page(make_pbx(), refuse)
    phone = await page.dial()
    await phone.press("1")
    report: Json = {"handler": "app.pick", "stages": None, "reason": "handled", "error": None}
    page.view.report("8000/pick", "report 1", {**report, "log": [], "upstream": []})
    assert page.view.summary()["reason"] == "failed"


async def test_the_menu_silence_and_a_caller_who_leaves() -> None:
    entry = {"user_input": "9", "office_hours_forward_rule": {"action": "REPEAT"}}
    page = Page(make_pbx(custom_forward_rules=[entry]), forward)
    phone = await page.dial()
    await phone.key("9")
    assert page.types == ["prompt", "key", "menu", "prompt"]
    await phone.press("5")
    assert page.types[4:] == ["key", "gap", "menu", "prompt"]
    await phone.wait(30)
    assert page.types[8:] == ["no input", "prompt"]
    assert page.view.now()["repeats"] == 3
    await phone.hang_up()
    assert page.types[10:] == ["left"]
    assert page.view.summary()["end"] == {"kind": "caller left", "text": "the caller has hung up"}


async def test_keys_that_nothing_takes_show_what_to_declare() -> None:
    entry = {"user_input": "9", "office_hours_forward_rule": {"action": "REPEAT"}}
    page = Page(make_pbx(custom_forward_rules=[entry]), forward)
    page.missing = MissingAction('@ivr.dtmf("5")', 'mask = "5"', "a note")
    phone = await page.dial()
    await phone.press("5")
    await phone.press("9")
    await phone.press("1")
    menus = [step for step in page.steps if step["type"] == "menu"]
    assert menus[0]["missing"] == {
        "python": '@ivr.dtmf("5")',
        "toml": 'mask = "5"',
        "note": "a note",
    }
    assert menus[1]["missing"] is None  # the IVR's menu takes 9
    assert [step["type"] for step in page.steps if "missing" in step] == ["menu", "menu"]


async def test_repeat_before_the_prompt_continues_to_it() -> None:
    pbx = make_pbx()
    ivr = pbx.ivr_at("8000")
    assert ivr is not None
    [action] = pbx.action_urls(ivr.id)
    fields = {"name": "vip", "type": "CALLER", "caller_mask": "101", "dtmf_mask": ""}
    pbx.action_urls(ivr.id).create({**action, **fields})
    page = Page(pbx, lambda request: httpx.Response(200, content=REPEAT))
    phone = await page.dial()
    await phone.press("1")
    arrived, pressed = [step["callback"] for step in page.steps if step["type"] == "callback"]
    assert arrived["outcome"]["text"] == "the call continues to the prompt"
    assert pressed["outcome"]["text"] == "the prompt is repeated"
    assert render(phone.steps[0])[-1].startswith("  = the call continues to the prompt")


async def test_silence_ends_a_call() -> None:
    page = Page(make_pbx(timeout_forward_rule={"timeout": 5, "repeat_times": 0}), forward)
    phone = await page.dial()
    await phone.wait(5)
    assert page.types == ["prompt", "no input", "hang up"]
    assert page.view.summary()["end"] == {"kind": "hung up", "text": "hung up"}


@pytest.mark.parametrize(
    ("action", "kind"), [("FORWARD_TO_NUMBER", "forwarded"), ("FORWARD_TO_VOICEMAIL", "forwarded")]
)
async def test_at_night(action: str, kind: str) -> None:
    rule = {"action": action, "number": "100"}
    page = Page(make_pbx(enable_night_mode=True, night_mode_forward_rule=rule), forward)
    await page.dial()
    assert page.types == ["night", "forward"]
    assert page.view.summary()["end"]["kind"] == kind


async def test_keys_that_are_not_heard() -> None:
    page = Page(make_pbx(), forward)

    def press(request: httpx.Request) -> httpx.Response:
        for event in phone._flow.key("7", phone._now()):
            phone._record(event)
        return httpx.Response(200, content=FORWARD)

    page.line._client._transport = httpx.MockTransport(press)
    phone = await page.dial()
    await phone.press("1")
    assert page.types == ["prompt", "key", "gap", "callback", "key", "forward"]
    assert page.steps[4]["text"] == "the key 7 is ignored"
    assert page.steps[3]["callback"]["outcome"]["kind"] == "forwarded"


def test_control_characters_in_a_name_are_escaped() -> None:
    view = CallView("c1", 1, "8000", "", "\u202e101", "\u2067Zoë\n", BEGUN, 0.0, {"text": None})
    assert view.summary()["caller"] == r"\u202e101"
    assert view.summary()["name"] == r"\u2067Zoë\n"


def test_a_call_that_waits_for_the_service_or_never_began() -> None:
    view = CallView("c1", 1, "8000", "", "101", "", BEGUN, 0.0, {})
    view.held = True
    assert view.summary()["state"] == "waiting"
    view.fail("there is no such IVR")
    assert view.summary()["state"] == "ended"
    assert view.summary()["end"] == {"kind": "failed", "text": "there is no such IVR"}
