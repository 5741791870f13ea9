"""The requests of the collections, and the handling of their answers."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest
from msgspec.structs import replace

from receiver.credentials import Secret
from receiver.errors import (
    DeclarationError,
    PbxInvalid,
    PbxNotFound,
    PbxRefused,
    PbxThrottled,
    PbxUnreachable,
    RegistrationError,
)
from receiver.pbx.collections import literal
from receiver.pbx.models import ActionUrl, write
from receiver.pbx.models_ivr import ForwardRule, Ivr, TimeoutRule
from receiver.pbx.models_shared import Holiday, IvrServer, ServerStatus
from tests.pbx.recorder import Recorder, ok

SALES = Ivr(name="Sales", extension_number="8000", enable_pin=False)
SHOWN: dict[str, Any] = {
    "id": "i1",
    "name": "Sales",
    "extension_number": "8000",
    "enable_pin": True,
    "pin": "******",
    "prompt_file_name": "a.wav",
    "timeout_forward_rule": {"timeout": 30, "repeat_times": 3},
    "custom_forward_rules": [{"user_input": "1", "holidays": [{"id": "h1", "name": "Xmas"}]}],
    "exclude_list": "1,2",
}
SENT = {
    "name": "Sales",
    "enable_pin": True,
    "timeout_forward_rule": {"timeout": 30, "repeat_times": 3},
    "custom_forward_rules": [{"user_input": "1", "holidays": ["h1"]}],
    "exclude_list": "1,2",
}
LIST = "/ivrs?skip=0&top=100&orderby=extension_number+asc"


def listing(*items: dict[str, Any]) -> httpx.Response:
    return ok({"count": len(items), "items": list(items)})


# listing and finding -------------------------------------------------------------------------


async def test_query_parameters_of_a_list() -> None:
    pbx = Recorder(ok({"count": 9, "items": [{"id": str(n)} for n in range(5)]}), listing())
    options: Any = {
        "filter": f"name eq {literal(chr(39))}",
        "search": "a b",
        "orderby": "name desc",
    }
    found = [ivr.id async for ivr in pbx.client().ivrs.list(**options, skip=2, top=3)]
    assert found == ["2", "3", "4"]
    assert dict(pbx.requests[0].url.params) == {**options, "skip": "0", "top": "5"}
    assert options["filter"] == "name eq ''''"
    assert len(pbx.log) == 1


@pytest.mark.parametrize("origin", [0, 1])
@pytest.mark.parametrize(("skip", "top"), [(0, 1), (100, 1), (99, 101), (150, None), (300, 5)])
async def test_skip_and_top_whatever_skip_counts_from(
    origin: int, skip: int, top: int | None
) -> None:
    everything = [{"id": str(n)} for n in range(250)]

    def handler(request: httpx.Request) -> httpx.Response:
        asked = {name: int(request.url.params[name]) for name in ("skip", "top")}
        start = max(asked["skip"] - origin, 0)
        return ok({"count": 250, "items": everything[start : start + asked["top"]]})

    pbx = Recorder()
    pbx.__class__ = type("All", (Recorder,), {"__call__": lambda self, request: handler(request)})
    found = [item.id async for item in pbx.client().holidays.list(skip=skip, top=top)]
    end = None if top is None else skip + top
    assert found == [item["id"] for item in everything[skip:end]]


async def test_a_requested_order_is_not_dropped() -> None:
    pbx = Recorder(httpx.Response(400), httpx.Response(400), listing({"id": "1"}))
    with pytest.raises(PbxRefused):
        _ = [item async for item in pbx.client().servers.list(orderby="nonsense")]
    assert [item.id async for item in pbx.client().servers.list()] == ["1"]
    assert "orderby=name+asc" in pbx.log[1]
    assert pbx.log[2] == "GET /ivr_servers?skip=0&top=100"


async def test_action_urls_are_listed_without_paging() -> None:
    pbx = Recorder(ok({"items": [{"id": "1"}, {"id": "2"}]}))
    assert [url.id async for url in pbx.client().action_urls("i").list(skip=1)] == ["2"]
    assert pbx.log == ["GET /ivrs/i/action_urls"]
    with pytest.raises(DeclarationError, match=r"of an IVR has no such options.*: filter; orde"):
        _ = [u async for u in pbx.client().action_urls("i").list(filter="x", orderby="y")]


@pytest.mark.parametrize(("text", "found"), [("i2", "i2"), ("8000", "i1"), ("Sales", "i1")])
async def test_finding_an_ivr(text: str, found: str) -> None:
    ivrs = (
        {"id": "i1", "extension_number": "8000", "name": "Sales"},
        {"id": "i2", "extension_number": "8001", "name": "8000"},
    )
    assert (await Recorder(listing(*ivrs)).client().ivrs.find(text)).id == found


async def test_finding_nothing_suggests_similar_names() -> None:
    names = [
        {"id": "1", "name": "Xmas"},
        {"id": "2", "name": "Easter"},
        {"id": "3", "name": "Xmas"},
    ]
    pbx = Recorder(listing(*names), listing(*names), listing())
    with pytest.raises(RegistrationError, match=r"2 holidays have the name 'Xmas'.* '1', '3'"):
        await pbx.client().holidays.find("Xmas")
    with pytest.raises(
        RegistrationError, match="'Eastern' among the holidays: did you mean Easter"
    ):
        await pbx.client().holidays.find("Eastern")
    with pytest.raises(RegistrationError, match="this account sees none"):
        await pbx.client().holidays.find("Xmas")


async def test_ivrs_of_one_name_are_listed_with_their_numbers() -> None:
    ivrs = [
        {"id": "i1", "extension_number": "8000", "name": "Sales"},
        {"id": "i2", "extension_number": "8100", "name": "Sales"},
    ]
    with pytest.raises(RegistrationError) as caught:
        await Recorder(listing(*ivrs)).client().ivrs.find("Sales")
    assert str(caught.value) == (
        "2 IVRs have the name 'Sales': choose one by its extension number, one of "
        "8000 (id 'i1'), 8100 (id 'i2')"
    )


# creating ------------------------------------------------------------------------------------


async def test_a_create_is_checked_first() -> None:
    pbx = Recorder(ok({"id": "i1"}, 201), ok({"id": "i1", "pin": "1"}))
    with pytest.raises(DeclarationError, match="an IVR cannot be created: name is missing; ext"):
        await pbx.client().ivrs.create(Ivr())
    assert await pbx.client().ivrs.create(Ivr(pin=Secret("1")), checked=False) == "i1"
    assert pbx.log == ["POST /ivrs", "GET /ivrs/i1"]
    assert pbx.bodies == [{"pin": "1"}]


LOST = [
    httpx.ReadError("x"),
    httpx.ReadTimeout("x"),
    httpx.Response(500),
    httpx.Response(201, content=b"<html>"),
    httpx.Response(503),
]


@pytest.mark.parametrize("lost", LOST, ids=repr)
async def test_a_create_that_was_lost_is_looked_up(lost: Any) -> None:
    there = {"id": "i7", "extension_number": "8000", "name": "Sales"}
    whole = ok({**there, "enable_pin": False})
    pbx = Recorder(lost, listing({"id": "i6", "extension_number": "9"}, there), whole)
    assert await pbx.client().ivrs.create(SALES) == "i7"
    assert pbx.log == ["POST /ivrs", f"GET {LIST}", "GET /ivrs/i7"]


@pytest.mark.parametrize("there", [[], [{"id": "i6", "extension_number": "8000", "name": "X"}]])
async def test_a_create_that_did_nothing_is_sent_again(there: list[dict[str, Any]]) -> None:
    whole = ok(SHOWN | {"enable_pin": False})
    pbx = Recorder(httpx.ReadError("x"), listing(*there), ok({"id": "i8"}, 201), whole)
    assert await pbx.client().ivrs.create(SALES) == "i8"
    assert pbx.bodies == [{"name": "Sales", "extension_number": "8000", "enable_pin": False}] * 2


async def test_a_create_that_was_refused_is_not_looked_up() -> None:
    pbx = Recorder(httpx.Response(400))
    with pytest.raises(PbxRefused):
        await pbx.client().ivrs.create(SALES)
    assert pbx.log == ["POST /ivrs"]


@pytest.mark.parametrize(
    ("group", "item", "there"),
    [
        (
            "holidays",
            Holiday(name="X", region="DEU", consecutive=True, every_year=True, month_start=12),
            {"name": "X", "region": "DEU", "consecutive": True, "every_year": True},
        ),
        ("servers", IvrServer(name="a", ipv4="10.0.0.1"), {"name": "a"}),
    ],
)
async def test_identity_fields_recognise_a_lost_create(group: str, item: Any, there: Any) -> None:
    marks = {"month_start": 12} if group == "holidays" else {"ipv4": "10.0.0.1"}
    right = {"id": "2", **there, **marks}
    pbx = Recorder(httpx.ReadError("x"), listing({"id": "1", **there}, right), ok(right))
    assert await getattr(pbx.client(), group).create(item) == "2"


async def test_a_lost_action_url() -> None:
    action = ActionUrl(name="a", type="DTMF", method="GET", dtmf_mask="1", url="https://x/abcdef")
    there = {"items": [{"id": "1", "name": "a"}, {"id": "2", "name": "a", "url": action.url}]}
    whole = write(action) | {"id": "2"}
    pbx = Recorder(httpx.ReadError("x"), ok(there), ok(whole))
    assert await pbx.client().action_urls("i").create(action) == "2"


async def test_a_create_is_read_back_and_compared() -> None:
    night = {**SHOWN, "enable_pin": False}
    pbx = Recorder(ok({"id": "i1"}, 201), ok(night))
    item = msgspec.structs.replace(SALES, enable_night_mode=True)
    with pytest.raises(PbxInvalid) as caught:
        await pbx.client().ivrs.create(item)
    assert str(caught.value) == (
        "an IVR was created, its id is i1, but these fields differ from what was sent: "
        "enable_night_mode (since 22.3); is the PBX older than the field?"
    )


async def test_a_create_that_cannot_be_read_back_says_what_was_created() -> None:
    pbx = Recorder(ok({"id": "i1"}, 201), httpx.Response(403))
    with pytest.raises(PbxInvalid, match=r"was created, its id is i1, but .* not be read back"):
        await pbx.client().ivrs.create(SALES)


async def test_the_prompt_of_a_create_is_verified_by_its_name() -> None:
    item = msgspec.structs.replace(SALES, prompt_file_id="f1")
    shown = {**SHOWN, "enable_pin": False, "prompt_file_name": "other.wav"}
    pbx = Recorder(ok({"id": "i1"}, 201), ok(shown), ok({"id": "f1", "name": "a.wav"}))
    with pytest.raises(PbxInvalid, match=r"accepted the prompt 'a.wav', but afterwards .*other"):
        await pbx.client().ivrs.create(item)


# updating ------------------------------------------------------------------------------------


async def test_an_update_reads_merges_sends_all_and_reads_again() -> None:
    after = SHOWN | {"language": "de", "timeout_forward_rule": {"timeout": 5, "repeat_times": 3}}
    pbx = Recorder(ok(SHOWN), ok(), ok(after))
    change = Ivr(language="de", timeout_forward_rule=TimeoutRule(timeout=5))
    assert (await pbx.client().ivrs.update("i1", change)).language == "de"
    assert pbx.log == ["GET /ivrs/i1", "POST /ivrs/i1", "GET /ivrs/i1"]
    rule = {"timeout": 5, "repeat_times": 3}
    assert pbx.bodies == [SENT | {"language": "de", "timeout_forward_rule": rule}]


async def test_a_secret_in_clear_is_sent_back_and_a_masked_one_is_not() -> None:
    clear = SHOWN | {"pin": "135792"}
    pbx = Recorder(ok(clear), ok(), ok(clear))
    await pbx.client().ivrs.update("i1", {"name": "Sales"})
    assert pbx.bodies == [SENT | {"pin": "135792"}]


async def test_existing_problems_may_stay_and_new_ones_are_refused() -> None:
    bad = SHOWN | {"failure_forward_rule": {"action": "FORWARD_TO_NUMBER"}, "pin": "1"}
    pbx = Recorder(ok(bad), ok(), ok(bad), ok(bad), ok(bad), ok(), ok(bad | {"dtmf_interval": 0}))
    ivrs = pbx.client().ivrs
    await ivrs.update("i1", {"name": "Sales"})
    with pytest.raises(
        DeclarationError, match="an IVR cannot be updated: dtmf_interval must be fr"
    ):
        await ivrs.update("i1", {"dtmf_interval": 0})
    await ivrs.update("i1", {"dtmf_interval": 0}, checked=False)


async def test_an_update_empties_fields() -> None:
    pbx = Recorder(ok(SHOWN), ok(), ok(SHOWN | {"exclude_list": "", "custom_forward_rules": []}))
    await pbx.client().ivrs.update("i1", {}, clear=["exclude_list", "custom_forward_rules"])
    assert pbx.bodies == [SENT | {"exclude_list": "", "custom_forward_rules": []}]


async def test_a_pbx_that_ignores_a_field() -> None:
    pbx = Recorder(ok(SHOWN), ok(), ok(SHOWN))
    with pytest.raises(
        PbxInvalid, match=r"differ from what was sent: enable_night_mode \(since 22\.3\)"
    ):
        await pbx.client().ivrs.update("i1", {"enable_night_mode": True, "pin": "135792"})


async def test_a_pbx_that_drops_the_prompt() -> None:
    pbx = Recorder(ok(SHOWN), ok(), ok(SHOWN | {"prompt_file_name": None}))
    with pytest.raises(
        PbxInvalid, match="drops fields that a change does not repeat, and prompt_file_name"
    ):
        await pbx.client().ivrs.update("i1", {"name": "Sales"})


@pytest.mark.parametrize(
    "change", [Ivr(prompt_file_id="f1"), {"prompt_file_id": "f1"}], ids=["model", "mapping"]
)
async def test_a_new_prompt_is_verified_by_its_name(change: Any) -> None:
    after, file = SHOWN | {"prompt_file_name": "b.wav"}, {"id": "f1", "name": "b.wav"}
    pbx = Recorder(ok(SHOWN), ok(), ok(after), ok(file))
    assert (await pbx.client().ivrs.update("i1", change)).prompt_file_name == "b.wav"
    assert pbx.log[-1] == "GET /files/f1"
    assert pbx.bodies == [SENT | {"prompt_file_id": "f1"}]
    pbx = Recorder(ok(SHOWN), ok(), ok(SHOWN), ok(file))
    with pytest.raises(PbxInvalid, match=r"the prompt 'b\.wav', but afterwards it has 'a\.wav'"):
        await pbx.client().ivrs.update("i1", change)


async def test_invalid_updates() -> None:
    pbx = Recorder(ok(SHOWN), ok({"id": "s1", "name": "a", "enabled": True}))
    with pytest.raises(DeclarationError, match="only be set when it is created: extension_number"):
        await pbx.client().ivrs.update("i1", {"extension_number": "8001"})
    with pytest.raises(DeclarationError, match="only be set when it is created: name"):
        await pbx.client().servers.update("s1", IvrServer(name="b"))
    with pytest.raises(DeclarationError, match="did you mean language"):
        await pbx.client().ivrs.update("i1", {"languag": "de"})


async def test_of_a_server_only_enabled_is_sent() -> None:
    server = {"id": "s1", "name": "a", "enabled": True, "type": "EXTERNAL", "ipv4": "10.0.0.1"}
    pbx = Recorder(ok(server), ok(), ok(server | {"enabled": False}))
    after = await pbx.client().servers.update("s1", IvrServer(enabled=False))
    assert after.enabled is False
    assert pbx.bodies == [{"enabled": False}]


async def test_an_action_url_is_updated_by_its_keys_or_whole() -> None:
    shown = {"id": "u1", "name": "a", "enabled": True, "type": "DTMF", "dtmf_mask": "1"}
    shown |= {"method": "GET", "url": "https://x/abcdef", "request_timeout": 5, "token": "****"}
    pbx = Recorder(ok(shown), ok(), ok(shown | {"dtmf_mask": "2"}), ok(shown), ok(), ok(shown))
    urls = pbx.client().action_urls("i")
    await urls.update("u1", {"dtmf_mask": "2"})
    assert pbx.bodies[0] == {
        "name": "a",
        "enabled": True,
        "type": "DTMF",
        "dtmf_mask": "2",
        "method": "GET",
        "url": "https://x/abcdef",
        "request_timeout": 5,
    }
    await urls.update("u1", ActionUrl(name="a"))  # a whole one; what it does not say stays
    assert pbx.bodies[1] == pbx.bodies[0] | {"dtmf_mask": "1"}


async def test_fields_that_the_pbx_does_not_return_are_not_sent_as_defaults() -> None:
    """A PBX that hides ``auth`` would otherwise lose it with any change."""
    shown = {"id": "u1", "name": "a", "type": "DTMF", "dtmf_mask": "1", "method": "GET", "url": "u"}
    pbx = Recorder(ok(shown), ok(), ok(shown | {"name": "b"}))
    await pbx.client().action_urls("i").update("u1", {"name": "b"})
    sent = {"name": "b", "type": "DTMF", "dtmf_mask": "1", "method": "GET", "url": "u"}
    assert pbx.bodies == [sent]


async def test_a_create_sends_the_given_fields_and_enabled() -> None:
    action = ActionUrl(name="a", type="DTMF", dtmf_mask="1", method="GET", url="https://x/abcdef")
    said = {"name": "a", "type": "DTMF", "dtmf_mask": "1", "method": "GET", "url": action.url}
    for enabled, sent in ((None, False), (False, False), (True, True)):
        pbx = Recorder(ok({"id": "u1"}), ok(said | {"enabled": sent}))
        await pbx.client().action_urls("i").create(replace(action, enabled=enabled))
        assert pbx.bodies == [said | {"enabled": sent}]
    plain = {"name": "a", "extension_number": "800"}
    pbx = Recorder(ok({"id": "i1"}), ok(plain))
    await pbx.client().ivrs.create(Ivr(name="a", extension_number="800"))
    assert pbx.bodies == [plain]


@pytest.mark.parametrize(
    ("version", "pin", "good"),
    [("", "1111", True), ("22.3", "1111", True), ("22.2", "1111", False), ("22.2", "135790", True)],
)
async def test_a_pin_is_checked_by_the_release_of_the_pbx(
    version: str, pin: str, good: bool
) -> None:
    item = Ivr(name="Sales", extension_number="8000", pin=Secret(pin))
    after = ok(SHOWN | {"pin": pin})
    pbx = Recorder(ok({"id": "i1"}), after, ok(SHOWN), ok(), after, ok({"id": "i2"}), after)
    ivrs = pbx.client(version=version).ivrs
    if not good:
        for work in (ivrs.create(item), ivrs.update("i1", {"pin": pin})):
            with pytest.raises(DeclarationError, match=r"DISA PIN.* up to 22\.2 accepts 6 to 10"):
                await work
        return
    await ivrs.create(item)
    await ivrs.update("i1", {"pin": pin})
    await ivrs.create(item, checked=False)


# the rest ------------------------------------------------------------------------------------


async def test_statuses() -> None:
    pbx = Recorder(ok({"status": "ONLINE"}), ok({"status": "OFFLINE", "cpu_usage": 7}))
    assert await pbx.client().ivrs.status("i/1") == "ONLINE"
    assert await pbx.client().servers.status("s1") == ServerStatus(status="OFFLINE", cpu_usage=7)
    assert pbx.log == ["GET /ivrs/i%2F1/status", "GET /ivr_servers/s1/status"]


@pytest.mark.parametrize(
    ("group", "path"),
    [
        ("ivrs", "/ivrs"),
        ("servers", "/ivr_servers"),
        ("holidays", "/holidays"),
        ("files", "/files"),
    ],
)
async def test_deleting(group: str, path: str) -> None:
    pbx = Recorder(ok(status=204), httpx.Response(404))
    await getattr(pbx.client(), group).destroy("x=")
    assert pbx.log == [f"POST {path}/x%3D/destroy"]
    assert pbx.requests[0].content == b""
    with pytest.raises(PbxNotFound):
        await getattr(pbx.client(), group).destroy("y")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (httpx.Response(429, headers={"retry-after": "99"}), PbxThrottled),
        (httpx.ReadTimeout("x"), PbxUnreachable),
        (httpx.Response(200, content=b"[]"), PbxInvalid),
        (httpx.Response(200), PbxInvalid),
    ],
)
async def test_a_fault_ends_an_update_before_it_writes(fault: Any, error: type[Exception]) -> None:
    pbx = Recorder(fault)
    with pytest.raises(error):
        await pbx.client().ivrs.update("i1", Ivr(failure_forward_rule=ForwardRule(action="HANGUP")))
    assert len(pbx.log) == 1
