"""The facts of the vendor's contract, as data: what each operation takes and gives, since when.

Written from the OpenAPI file for 22.2 and the change log up to 22.6. Where the simulated PBX is
stricter than the contract, on purpose, the row says ``stricter``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from receiver.simulator.behaviour import Version

Spec = Mapping[str, "Fact"]

INT32 = 2**31 - 1


@dataclass(frozen=True)
class Fact:
    """One field.

    Attributes:
        kind: ``ids`` are ids of holidays; ``file`` is the id of one.
        low, high: bounds of a length or a number; None for none.
        letter: what a good text is made of.
        good, bad: further valid and invalid values.
        bad_until_22_2: further values that are invalid up to 22.2, and valid later.
        stricter: the bounds are the simulator's own.
    """

    kind: Literal["text", "whole", "flag", "object", "list", "ids", "file", "texts"]
    low: int | None = None
    high: int | None = None
    letter: str = "a"
    good: tuple[Any, ...] = ()
    bad: tuple[Any, ...] = ()
    bad_until_22_2: tuple[Any, ...] = ()
    default: Any = None
    since: Version = "22.0"
    spec: Spec = field(default_factory=dict)
    stricter: bool = False


def text(low: int | None = None, high: int | None = None, **more: Any) -> Fact:
    return Fact("text", low, high, **more)


def one_of(*choices: str, **more: Any) -> Fact:
    return Fact("text", good=choices, bad=("", choices[0].lower(), "NONE"), **more)


def whole(low: int | None = None, high: int | None = None, **more: Any) -> Fact:
    return Fact("whole", low, high, **more)


def flag(**more: Any) -> Fact:
    return Fact("flag", **more)


def record(spec: Spec, **more: Any) -> Fact:
    return Fact("object", spec=spec, **more)


def records(spec: Spec, **more: Any) -> Fact:
    return Fact("list", spec=spec, **more)


ID: Spec = {"id": text()}


def page(spec: Spec) -> Spec:
    return {"count": whole(0), "items": records(spec)}


# Holidays, files, servers --------------------------------------------------------------------

HOLIDAY_REQUIRED: Spec = {
    "name": text(1, 64),
    "region": text(3, 3, letter="A", good=("DEU", "USA"), stricter=True),
    "consecutive": flag(),
    "every_year": flag(),
}
HOLIDAY: Spec = {
    **HOLIDAY_REQUIRED,
    "year_start": whole(0, 9999, stricter=True),
    "year_end": whole(0, 9999, stricter=True),
    "month_start": whole(1, 12, stricter=True),
    "month_end": whole(1, 12, stricter=True),
    "day_start": whole(1, 31, stricter=True),
    "day_end": whole(1, 31, stricter=True),
    "hour_start": whole(0, 23, stricter=True),
    "hour_end": whole(0, 23, stricter=True),
    "minute_start": whole(0, 59, stricter=True),
    "minute_end": whole(0, 59, stricter=True),
}
FILE: Spec = {
    "id": text(),
    "name": text(),
    "size": whole(0),
    "media_type": text(),
    "created_at": text(),
}
SERVER_SENT: Spec = {
    "name": text(1, 64),
    "enabled": flag(default=True),
    "ipv4": text(good=("10.0.0.1",), bad=("10.0.0", "fd00::1"), stricter=True),
    "ipv6": text(good=("fd00::1",), bad=("10.0.0.1",), stricter=True),
}
SERVER: Spec = {**ID, **SERVER_SENT, "type": one_of("INTERNAL", "EXTERNAL")}

# IVRs ----------------------------------------------------------------------------------------

ACTIONS = ("FORWARD_TO_NUMBER", "FORWARD_TO_VOICEMAIL", "REPEAT", "HANGUP")
RULE: Spec = {"action": one_of(*ACTIONS), "number": text(good=("+49301234",))}
CUSTOM: Spec = {"action": one_of(*ACTIONS, "DISA"), "number": text()}
TIMES = ("00:00", "23:59")
NO_TIMES = ("24:00", "9:00", "12:60", "noon")
DAY: Spec = {
    "enabled": flag(),
    "ranges": records(
        {
            "from": text(good=("00:00", "09:00"), bad=NO_TIMES, stricter=True),
            "to": text(good=("23:59", "17:00"), bad=NO_TIMES, stricter=True),
        }
    ),
}
WEEK = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
CUSTOM_RULES: Spec = {
    "user_input": text(good=("12#",)),
    "office_hours": record(
        {"mode": one_of("GLOBAL", "CUSTOM"), **{day: record(DAY) for day in WEEK}}
    ),
    "office_hours_forward_rule": record(CUSTOM),
    "non_office_hours_forward_rule": record(CUSTOM),
    "holidays": Fact("ids", spec={**ID, **HOLIDAY}),
    "holiday_forward_rule": record(CUSTOM),
}
IVR_BOTH: Spec = {
    "name": text(1, 64),
    "language": text(good=("en-US",)),
    "dtmf_interval": whole(1, INT32, default=2),
    "enable_pin": flag(default=True),
    "pin": text(6, 10, letter="13", bad=("abcdef",), bad_until_22_2=("111345", "123987")),
    "enable_night_mode": flag(default=False, since="22.3"),
    "exclude_list": text(since="22.3", good=("1001-2001;3000",)),
    "enable_audio_recording": flag(default=False, since="22.6"),
    "timeout_forward_rule": record(
        {
            "timeout": whole(0, INT32, default=30, stricter=True),
            "repeat_times": whole(0, INT32, default=3),
            **RULE,
        },
        default={"timeout": 30, "repeat_times": 3},
    ),
    "failure_forward_rule": record(RULE),
    "night_mode_forward_rule": record(RULE, since="22.2"),
    "custom_forward_rules": records(CUSTOM_RULES),
    "outbound_caller_ids": records(
        {
            "provider_id": text(),
            "caller_id": text(1, 64),
            "description": text(0, 1024),
            "display_name": text(since="22.6"),
        }
    ),
}
PROMPTS: Spec = {"prompt_file_id": Fact("file"), "transfer_prompt_file_id": Fact("file")}
NUMBER = text(3, 64, letter="7", bad=("abc",))
IVR_UPDATE: Spec = {**IVR_BOTH, **PROMPTS}
IVR_CREATE: Spec = {**IVR_UPDATE, "extension_number": NUMBER}
IVR: Spec = {
    **ID,
    **IVR_BOTH,
    "extension_number": NUMBER,
    **{
        f"{prompt}_file_{part}": whole(0) if part == "size" else text()
        for prompt in ("prompt", "transfer_prompt")
        for part in ("name", "size", "url")
    },
}
IVR_LISTED: Spec = {
    **ID,
    "name": text(1, 64),
    "extension_number": NUMBER,
    "enable_audio_recording": flag(since="22.6"),
}
WORD = {"letter": "a1", "bad": ("ABCDEFG", "short")}
ACTION_URL_SENT: Spec = {
    "name": text(1, 64),
    "enabled": flag(default=False),
    "type": one_of("DTMF", "CALLER"),
    "method": one_of("GET", "POST"),
    "headers": text(good=("k1:v1&k2:v2",)),
    "caller_mask": text(0, 255, letter="1"),
    "dtmf_mask": text(0, 255, letter="1"),
    "connection_timeout": whole(0, INT32, default=2),
    "request_timeout": whole(0, INT32, default=2),
    # A pattern of six lower-case letters or digits makes six the shortest.
    "url": text(6, 128, bad=("", "http://10.0.0.5:8080/x")),
    "auth": one_of("DISABLE", "BASIC", "DIGEST", "BEARER", default="DISABLE"),
    "username": text(6, 64, **WORD),
    "password": text(6, 64, **WORD),
    "token": text(),
}
ACTION_URL: Spec = {**ID, **ACTION_URL_SENT}

# Event URLs of the tenant ----------------------------------------------------------------------

EVENT_URL: Spec = {
    "enabled": flag(default=False),
    "auth": one_of("DISABLE", "BASIC", "DIGEST", "BEARER", default="DISABLE"),
    "username": text(6, 64, **WORD),
    "password": text(6, 64, **WORD),
    "token": text(),
    "url": text(1, 128),
}
TENANT: Spec = {"cdr_event": record(EVENT_URL), "extension_event": record(EVENT_URL)}

# Operations ----------------------------------------------------------------------------------

STATUS = one_of("ONLINE", "OFFLINE")
TOKENS: Spec = {
    "token_type": text(),
    "access_token": text(),
    "refresh_token": text(),
    "expires_in": whole(1),
}
UPLOAD_HEADERS = ("PortSIP-Upload-ID", "PortSIP-Upload-Token", "Content-Length", "Range")


@dataclass(frozen=True)
class Operation:
    """One row: the status of a success, what is sent, the required fields, the answer.

    ``gives`` is None for an empty body; ``missing`` are the statuses for an unknown id;
    ``required_until_22_2`` is what must be there up to 22.2, ``body`` whether there must be a body.
    """

    method: str
    path: str
    status: int
    takes: Spec | None = None
    required: tuple[str, ...] = ()
    gives: Spec | None = None
    required_until_22_2: tuple[str, ...] = ()
    body: bool = False
    missing: tuple[int, ...] = (404,)
    open: bool = False
    since: Version = "22.0"
    headers: tuple[str, ...] = ()


OPERATIONS = (
    Operation("POST", "/ivrs", 201, IVR_CREATE, ("name", "extension_number"), ID, ("pin",)),
    Operation("GET", "/ivrs", 200, gives=page(IVR_LISTED)),
    Operation("GET", "/ivrs/{id}", 200, gives=IVR),
    Operation("POST", "/ivrs/{id}", 200, IVR_UPDATE),
    Operation("GET", "/ivrs/{id}/status", 200, gives={"status": STATUS}),
    Operation("POST", "/ivrs/{id}/destroy", 204, missing=(400,)),
    # The contract requires no field of an action URL; the administration guide wants a name.
    Operation("POST", "/ivrs/{id}/action_urls", 201, ACTION_URL_SENT, ("name",), ID),
    Operation("GET", "/ivrs/{id}/action_urls", 200, gives={"items": records(ACTION_URL)}),
    Operation("GET", "/ivrs/{id}/action_urls/{url_id}", 200, gives=ACTION_URL),
    Operation("POST", "/ivrs/{id}/action_urls/{url_id}", 200, ACTION_URL_SENT),
    Operation("POST", "/ivrs/{id}/action_urls/{url_id}/destroy", 204),
    Operation("POST", "/ivr_servers", 201, SERVER_SENT, ("name",), ID),
    Operation("GET", "/ivr_servers", 200, gives=page(SERVER)),
    Operation("GET", "/ivr_servers/{id}", 200, gives=SERVER),
    Operation("POST", "/ivr_servers/{id}", 200, {"enabled": flag(default=True)}, body=True),
    Operation(
        "GET",
        "/ivr_servers/{id}/status",
        200,
        gives={"cpu_usage": whole(), "memory_usage": whole(), "status": STATUS},
    ),
    Operation("POST", "/ivr_servers/{id}/destroy", 204, missing=(400, 404)),
    Operation("POST", "/holidays", 201, HOLIDAY, tuple(HOLIDAY_REQUIRED), ID),
    Operation("GET", "/holidays", 200, gives=page({**ID, **HOLIDAY})),
    Operation("GET", "/holidays/{id}", 200, gives={**ID, **HOLIDAY}),
    Operation("POST", "/holidays/{id}", 200, HOLIDAY),
    Operation("POST", "/holidays/{id}/destroy", 204, missing=(400,)),
    Operation("GET", "/files", 200, gives=page(FILE)),
    Operation("GET", "/files/{id}", 200, gives=FILE),
    Operation("POST", "/files/{id}/destroy", 204, missing=(400, 404)),
    Operation("POST", "/blobs/uploads", 202, headers=UPLOAD_HEADERS),
    Operation("POST", "/blobs/uploads/{id}/append", 203, headers=UPLOAD_HEADERS),
    Operation("POST", "/blobs/uploads/{id}/complete", 201, gives=ID),
    Operation("GET", "/blobs/uploads/{id}/status", 204, headers=UPLOAD_HEADERS),
    Operation("POST", "/blobs/uploads/{id}/destroy", 204),
    Operation("GET", "/blobs/{digest}", 200, open=True, headers=("Content-Disposition",)),
    Operation(
        "POST",
        "/auth/sign_in",
        200,
        {"username": text(1, 64), "password": text(), "domain": text(1, 280)},
        ("username", "password"),
        TOKENS,
        body=True,
        open=True,
        since="22.2",
    ),
    Operation(
        "POST",
        "/auth/refresh_token",
        200,
        {"refresh_token": text()},
        ("refresh_token",),
        TOKENS,
        body=True,
        open=True,
        since="22.2",
    ),
    Operation("POST", "/auth/sign_out", 200, since="22.2"),
    # Not in the trimmed file, but documented elsewhere.
    Operation(
        "GET",
        "/auth/user",
        200,
        gives={
            "role": text(),
            "password_verified": flag(),
            "password_force_reset": flag(),
            "domain": text(since="22.3"),
            "role_id": text(since="22.3"),
            "role_name": text(since="22.3"),
            "capabilities": Fact("texts", since="22.3"),
        },
        since="22.2",
    ),
    Operation(
        "GET",
        "/extension_numbers/{number}",
        200,
        gives={
            **ID,
            "extension_number": text(),
            "name": text(),
            "type": one_of(
                "EXTENSION", "RING_GROUP", "CALL_QUEUE", "CONFERENCE_ROOM", "VIRTUAL_RECEPTIONIST"
            ),
        },
    ),
    Operation("POST", "/login/oauth/token", 200, gives=TOKENS, open=True),
    Operation("POST", "/login/oauth/revoke", 200),
    Operation("POST", "/tenants/switch", 200),
    # Of the tenant's settings, the event URLs only.
    Operation("GET", "/tenant", 200, gives={**ID, **TENANT}),
    Operation("POST", "/tenant", 200, TENANT),
)
