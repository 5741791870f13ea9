"""A reply that is defined here by one class works in every part that reads replies."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest

from receiver import Call, Ivr, Receiver, Reply, Settings
from receiver.config.json_schema import schema
from receiver.console.outcomes import outcome_json
from receiver.console.totals import Totals
from receiver.console.traffic import Traffic
from receiver.declarations.destinations import handler_of
from receiver.declarations.introspection import named
from receiver.observability.callback_record import Record
from receiver.observability.metrics import COUNTS
from receiver.pbx.callback_trace import Outcome
from receiver.recording.format import decode, encode
from receiver.recording.publisher import PublishedCallback
from receiver.replies import KINDS, BaseReply, is_reply
from receiver.replies import decode as decode_reply
from receiver.replies import encode as encode_reply
from receiver.testing import Phone
from receiver.testing.block_network import Attempts
from receiver.testing.replay import replay
from receiver.testing.replay_export import pytest_module as export
from receiver.testing.scenarios import parse
from tests.config.files import built, of_action
from tests.recording.recorded_actions import make_ivr, record
from tests.support import SECRET

CALL = Call(caller="+493012345", ivr="8000", digits="22", session_id="s1")
ENDED = Outcome("left in a mailbox", "900")


@pytest.fixture(autouse=True)
def voicemail() -> Iterator[type[BaseReply]]:
    @dataclass(frozen=True)
    class Voicemail(
        BaseReply,
        action="voicemail",
        keyword="voicemail",
        rule="FORWARD_TO_VOICEMAIL",
        outcome="left in a mailbox",
        outcome_text="left in the mailbox of {}",
        caller_text="sent to the mailbox of {}",
        label="voicemail {}",
        summary="Connect the caller to its mailbox.",
    ):
        number: str

    globals()["Voicemail"] = Voicemail  # as an import at the head of a module of handlers
    yield Voicemail
    del KINDS[Voicemail.action], globals()["Voicemail"]


def reply() -> Reply:
    return KINDS["voicemail"].of("900")


async def answer(call: Call) -> Reply:
    return reply()


async def literal(call: Call) -> Reply:
    return Voicemail("900")  # type: ignore[name-defined,no-any-return]  # noqa: F821


def test_a_reply_without_all_of_its_words_cannot_be_defined_and_mypy_reports_it() -> None:
    with pytest.raises(TypeError, match=r"missing 5 required .* 'keyword', .* and 'summary'"):

        class Park(BaseReply, action="park"):  # type: ignore[call-arg]
            pass

    with pytest.raises(TypeError, match=r"missing 6 required .* 'action'"):

        class Bare(BaseReply):  # type: ignore[call-arg]
            pass

    assert "park" not in KINDS


def test_on_the_wire() -> None:
    body = b'{"status_code":200,"action":"voicemail","destination":"900"}'
    assert (encode_reply(reply()), decode_reply(body)) == (body, reply())
    assert is_reply(reply())


async def test_on_the_phone_and_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "receiver")
    app = Receiver(make_ivr(answer), settings=Settings(secret=SECRET))
    async with Phone(app) as phone:
        call = await phone.dial("8000", caller="+4940")
        step = await call.press("22")
    assert (step.outcome, call.ended) == (ENDED, True)
    assert step.outcome.text == "left in the mailbox of 900"
    (logged,) = [one.msg for one in caplog.records if isinstance(one.msg, Record)]
    assert logged.fields()["decision"] == "voicemail"
    assert ": voicemail, handled, " in str(logged)


async def test_in_the_metrics() -> None:
    app = Receiver(make_ivr(answer), settings=Settings(secret=SECRET, metrics=True))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app)) as http:
        await http.post("http://service/action/8000/pick", json={"input": "22"})
    counted = dict(COUNTS.snapshot()["receiver_callbacks_total"])
    assert ("8000/pick", "voicemail", "handled") in counted


async def test_in_a_recording_and_its_replay() -> None:
    recorded = record("pick", CALL, reply())
    assert (recorded.decision, recorded.destination) == ("voicemail", "900")
    assert decode(encode(recorded)) == recorded
    app = Receiver(make_ivr(answer), settings=Settings(secret=SECRET))
    calls = await replay(app, [[recorded]], app.settings, Attempts())
    assert [one.differs for call in calls for one in call] == [False]
    assert 'outcome.kind == "left in a mailbox"' in export(calls, "app:app")


def test_in_the_console() -> None:
    published = PublishedCallback(record("pick", CALL, reply()), 1_795_000_000.0, 0.01, 0.02, 2.0)
    call, _ = Traffic({"8000/pick": "app.pick"}).take(published)
    end = {"kind": "left in a mailbox", "text": "left in the mailbox of 900"}
    assert call.summary()["end"] == end
    assert outcome_json(ENDED, "prompt", "DTMF")["text"] == "left in the mailbox of 900"
    assert outcome_json(ENDED, "prompt", "CALLER")["text"] == "sent to the mailbox of 900"
    totals = Totals()
    totals.add(published)
    assert totals.observed == {"8000/pick": {"voicemail 900": 1}}


def test_in_a_call_flow() -> None:
    assert named(literal) == ("voicemail 900",)
    assert named(reply()) == ("voicemail 900",)


async def test_in_a_configuration_file() -> None:
    (action,) = built(of_action('{voicemail = "900"}'))
    assert await handler_of(action.handler, "then")(CALL) == reply()
    table = schema([])["$defs"]["reply-table"]["properties"]
    assert table["voicemail"] == {
        "type": "string",
        "description": "Connect the caller to its mailbox.",
    }


def test_in_a_scenario() -> None:
    text = '[[call]]\nivr = "8000"\nexpect = "voicemail 900"\n'
    assert [one.expect for one in parse(text, "a").calls] == [ENDED]


async def test_as_a_rule_of_an_ivr_and_in_the_simulator() -> None:
    sales = Ivr("8000", name="Sales", timeout=10, timeout_reply=reply())
    sales.add("DTMF", "1", answer, name="pick")
    async with Phone(Receiver(sales)) as phone:
        call = await phone.dial("8000")
        await call.wait(40)
    assert call.outcome == ENDED
