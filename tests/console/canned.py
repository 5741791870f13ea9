"""Values in the shapes of the console's protocol, for a page without a service."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]
_WHO = ("seq", "id", "ivr", "pbx", "caller", "name", "begun")
SUMMARY = (*_WHO, "state", "end", "callbacks", "worst", "reason")
PROMPT = {"text": "Welcome to Sales. Key in an extension, or 9 for opening hours.", "audio": None}
NAMES = ("Ann Lee", "Jörg Müller", "Priya Nair", "Tomás Ruiz", "Mei-Ling Zhou", "")
_NOW = datetime.now(UTC)
_PICK = {
    "name": "pick",
    "identity": "8000/pick",
    "kind": "DTMF",
    "mask": "1;22;1000-1999",
    "method": "POST",
    "auth": "digest",
    "enabled": True,
    "handler": "app.pick (app.py:6)",
    "fallback": "call 0",
}
_IVR = {
    "number": "8000",
    "pbx": "",
    "name": "Sales",
    "prompt": PROMPT,
    "menu": [{"keys": "9", "text": "plays the opening hours"}],
    "actions": [_PICK],
    "night": False,
    "office": "open",
    "example": {"caller": "", "keys": "22"},
}
MISSING = {
    "python": '# ivr is Ivr("8000")\n@ivr.dtmf("8")\nasync def key_8(call: Call) -> Reply:\n'
    '    return Forward("222")\n',
    "toml": '[[ivr]]\nnumber = "8000"\n\n[[ivr.dtmf]]\nmask = "8"\nname = "key_8"\nthen = "222"\n',
    "note": "",
}
_VIP = {**_PICK, "name": "vip", "kind": "CALLER", "mask": "+49*********", "enabled": False}
_SUPPORT = {
    "number": "8100",
    "pbx": "north",
    "name": "Support",
    "actions": [_VIP],
    "example": {"caller": "+49301234567", "keys": ""},
}


def name(number: int) -> str:
    return NAMES[number % len(NAMES)]


def address(ivr: Json) -> str:
    return f"{ivr['pbx']}/{ivr['number']}" if ivr["pbx"] else str(ivr["number"])


def dev_parts() -> Json:
    return {
        "ivrs": deepcopy([_IVR, _IVR | _SUPPORT]),
        "clock": {"at": None},
        "faults": {"slow": 0, "network": "ok", "password": "right", "crm": "ok"},
    }


def service(state: str, text: str = "", changes: tuple[str, ...] = ()) -> Json:
    return {"state": state, "since": _NOW.isoformat(), "text": text, "changes": list(changes)}


def live_parts() -> Json:
    minutes = [
        {
            "at": (_NOW - timedelta(minutes=60 - i)).isoformat(),
            "answers": 18 + (i * 7) % 13,
            "fallbacks": 4 if i in (41, 42) else int(i % 17 == 0),
            "worst": 1.04 if i == 41 else 0.18 + (i * 11 % 23) / 60,
        }
        for i in range(60)
    ]
    pick = {"mask": "1;22;1000-1999", "kind": "DTMF", "action": "pick", "handler": "app.pick"}
    vip = {"mask": "+49*********", "kind": "CALLER", "action": "vip", "handler": "app.vip"}
    seen = [{"to": "222", "count": 1204}, {"to": "0", "count": 16}, {"to": "333", "count": 2}]
    inputs = [
        {**pick, "declared": ["222", "0 (fallback)"], "observed": seen},
        {**vip, "declared": ["300", "repeat (fallback)"], "observed": []},
    ]
    closed = {"mask": "", "kind": "ANNOUNCEMENT", "action": "", "handler": "We are closed now."}
    announced = {"inputs": [{**closed, "declared": ["222"], "observed": []}], "nowhere": []}
    flow = {
        "ivrs": [
            {**_IVR, "inputs": inputs, "nowhere": ["3", "4-8", "*"]},
            {**_IVR, "number": "8801", "name": "Closed", **announced},
        ]
    }
    return {
        "ivrs": [],
        "totals": {
            "minutes": minutes,
            "reasons": {"handled": 1411, "late": 9, "raised": 5, "shed": 1},
            "decisions": {"call": 1222, "repeat": 188, "hangup": 16},
            "lost": 1200,
        },
        "registration": {
            "state": "differs",
            "checked": _NOW.isoformat(),
            "lines": ["~ update 8000/pick: mask", "+ create 8000/vip", "- delete 8000/old"],
            "text": "Apply would change three action URLs.",
        },
        "flow": flow,
    }


def summary(call: Json) -> Json:
    return {key: call[key] for key in SUMMARY}


def new_call(seq: int, dialled: Json) -> Json:
    pbx, _, ivr = dialled["ivr"].rpartition("/")
    now = {"prompt": None, "keys": "", "gap_until": None, "gap_seconds": 2.0}
    return {
        "seq": seq,
        "id": f"call-{seq}",
        "ivr": ivr,
        "pbx": pbx,
        "caller": dialled["caller"],
        "name": dialled["name"],
        "begun": datetime.now(UTC).isoformat(),
        "state": "prompt",
        "end": None,
        "callbacks": 0,
        "worst": 0.0,
        "reason": None,
        "now": now | {"timeout_until": None, "repeats": 0},
        "steps": [],
    }


def old_call(seq: int, called: str) -> Json:
    """One that ended; every tenth raised, every fiftieth failed."""
    call = new_call(seq, {"ivr": "8000", "caller": f"+4930{seq:06d}", "name": called})
    step = answered("1" if seq % 10 == 0 else "22", {"network": "drop"} if seq % 50 == 0 else {})
    callback = step["callback"]
    failed = callback["outcome"]["kind"] == "failed"
    end = {"kind": "failed" if failed else "forwarded", "text": callback["outcome"]["text"]}
    return call | {
        "begun": (_NOW - timedelta(seconds=20_000 - seq)).isoformat(),
        "state": "ended",
        "end": end,
        "callbacks": 1,
        "worst": callback["seconds"] / 2 + (seq * 13 % 40) / 100,
        "reason": callback["reason"],
        "steps": [
            {"at": 0.0, "type": "prompt", "text": PROMPT["text"], "callback": None},
            {"at": 3.1, "type": "key", "text": "2", "callback": None},
            {"at": 5.1, **step},
        ],
    }


def masked_call(seq: int) -> Json:
    """One that raised, as the console in production tells of it."""
    call = old_call(seq * 10, "<3>") | {"seq": seq, "id": f"call-{seq}", "caller": "<12>"}
    step = call["steps"][-1]
    masked = {"digits": "<1>", "exchanges": [], "log": [], "upstream": []}
    return call | {"steps": [{**step, "callback": step["callback"] | masked}]}


def asking(keys: str) -> Json:
    """A callback without an answer yet."""
    callback = {
        "id": 1,
        "action": "8000/pick",
        "handler": "app.pick",
        "trigger": "press",
        "digits": keys,
        "exchanges": [],
        "deadline": 2.0,
        "seconds": 0.0,
        "outcome": None,
        "stages": None,
        "reason": None,
        "log": [],
        "error": None,
        "upstream": [],
    }
    return {"type": "callback", "text": "callback to 8000/pick", "callback": callback}


def answered(keys: str, faults: Json) -> Json:
    """The same callback with its answer."""
    step = asking(keys)
    if _fails(faults):
        step["callback"] |= _failed(faults)
    else:
        step["callback"] |= {"1": _raised, "4": _late}.get(keys, lambda: _decided(keys))()
    return step


def _fails(faults: Json) -> bool:
    wrong = faults.get("password") == "wrong" or faults.get("slow", 0) > 2
    return wrong or faults.get("network", "ok") != "ok"


def unmatched(keys: str) -> Json:
    """The step of keys that nothing takes."""
    text = f"the caller presses {keys}: no DTMF action URL matches: the IVR continues"
    return {"type": "menu", "text": text, "missing": MISSING}


def _failed(faults: Json) -> Json:
    then = "not documented; here the call stays at the prompt"
    if faults.get("password") == "wrong":
        legs = [_leg(401, "", challenge=True), _leg(401, "", proof=True)]
        detail, seconds = "the service answered 401", 0.009
    else:
        legs, detail, seconds = [_leg(None, "")], "no answer within 2 s", 2.0
    outcome = {"kind": "failed", "text": f"failed: {detail}", "then": then}
    return {"exchanges": legs, "seconds": seconds, "outcome": outcome, "reason": "failed"}


def _decided(keys: str) -> Json:
    to = "222" if keys == "22" else ""
    body = '{"status_code":200,"action":"call","destination":"222"}' if to else _REPEAT
    asked = {"at": 0.004, "method": "GET", "host": "crm.example.com", "path": "/people?number=***"}
    return {
        "exchanges": [_leg(401, "", challenge=True), _leg(200, body, proof=True)],
        "seconds": 0.634,
        "outcome": {
            "kind": "forwarded" if to else "repeated",
            "text": f"forwarded to {to}" if to else "the prompt is repeated",
            "then": "",
        },
        "stages": {"authentication": 0.021, "body": 0.002, "handler": 0.48, "whole": 0.514},
        "reason": "handled",
        "log": [
            {"at": 0.005, "level": "INFO", "logger": "app", "message": "looking for the owner"},
            {"at": 0.402, "level": "WARNING", "logger": "app", "message": "the CRM took its time"},
        ],
        "upstream": [{**asked, "status": 200, "seconds": 0.391, "from": "network"}],
    }


def _raised() -> Json:
    body = '{"status_code":200,"action":"call","destination":"0"}'
    trace = "Traceback (most recent call last):\n  File \"app.py\", line 7, in pick\nKeyError: '1'"
    return {
        "exchanges": [_leg(401, "", challenge=True), _leg(200, body, proof=True)],
        "seconds": 0.019,
        "outcome": {
            "kind": "forwarded",
            "text": "forwarded to 0",
            "then": "",
        },
        "stages": {"authentication": 0.002, "body": 0.001, "handler": 0.003, "whole": 0.008},
        "reason": "raised",
        "log": [{"at": 0.004, "level": "ERROR", "logger": "receiver", "message": "pick raised"}],
        "blocking": [{"file": "app.py", "line": 6, "problem": "requests.get in pick blocked"}],
        "error": {
            "type": "KeyError",
            "text": "'1'",
            "file": "app.py",
            "line": 7,
            "function": "pick",
            "code": "    return Forward(OWNERS[call.digits])",
            "trace": trace,
        },
    }


def _late() -> Json:
    """The fallback answered, since the handler took too long."""
    stages = {"authentication": 0.002, "body": 0.001, "handler": 1.495, "whole": 1.5}
    raised = _raised()
    return raised | {
        "seconds": 1.51,
        "stages": stages,
        "reason": "late",
        "log": [],
        "blocking": [],
        "error": None,
    }


_REPEAT = '{"status_code":200,"action":"repeat"}'


def _leg(status: int | None, body: str, *, challenge: bool = False, proof: bool = False) -> Json:
    sent = [["Host", "127.0.0.1:8000"], ["Content-Type", "application/json"]]
    digest = 'Digest username="***", realm="receiver", nonce="MTc2Mzc4", response="***", qop=auth'
    asks = [["WWW-Authenticate", 'Digest realm="receiver", nonce="MTc2Mzc4", qop="auth"']]
    return {
        "method": "POST",
        "url": "http://127.0.0.1:8000/action/8000/pick",
        "request_headers": sent + ([["Authorization", digest]] if proof else []),
        "request_body": '{"from":"101","to":"8000","input":"22","session_id":"c0ffee"}',
        "status": status,
        "response_headers": asks if challenge else [["Content-Type", "application/json"]],
        "response_body": body,
        "seconds": 0.006 if challenge else 0.6 if status else 2.0,
    }
