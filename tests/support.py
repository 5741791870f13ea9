"""An app with an action for every mode, which counts how often its handler ran."""

from __future__ import annotations

from typing import Any

from receiver import Call, Forward, Ivr, Receiver, Reply, Secret, Settings
from receiver.auth import Algorithm, Auth
from receiver.credentials import Credentials, derive
from receiver.declarations.actions import Action, Method

SECRET = Secret("6d0f2c9ab17e4583f4c8d25e90ab3716")
SETTINGS = Settings(secret=SECRET)

FIELDS = {
    "from": "101",
    "to": "888",
    "input": "22",
    "from_name": "Jason",
    "account_name": "Sales",
    "session_id": "12345678",
}
"""The vendor's documented callback."""

QUERY = "session_id=12345678&from=101&to=888&input=22&from_name=Jason&account_name=Sales"
ANSWER = b'{"status_code":200,"action":"call","destination":"222"}'

OFFICE_HOURS = """
[[ivr]]
number = "8000"
[[ivr.dtmf]]
mask = "1"
name = "pick"
[ivr.dtmf.then]
handler = "hours"
zone = "America/New_York"
week = {mon-fri = "08:30-18:00"}
open = "222"
closed = "8999"
"""
"""An app without code, whose destination depends on the time."""

MODES: tuple[Auth | None, ...] = ("bearer", "basic", "digest", None)
ALGORITHMS: dict[str, tuple[Algorithm, ...]] = {
    "digest-sha256": ("SHA-256",),
    "digest-both": ("MD5", "SHA-256"),
}
METHODS: tuple[Method, ...] = ("GET", "POST")


class Counted:
    """A handler that keeps the calls it was asked about."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def __call__(self, call: Call) -> Reply:
        self.calls.append(call)
        return Forward("222")


def make_ivr(handler: Any) -> Ivr:
    """IVR 888 with the actions ``get-bearer``, ``post-bearer``, … ``post-open``, and for digest
    with other algorithms ``get-digest-sha256``, … ``post-digest-both``."""
    ivr = Ivr("888")
    for number, auth in enumerate(MODES):
        for method in METHODS:
            ivr.add(
                "DTMF",
                f"{number}{len(method)}",
                handler,
                name=f"{method.lower()}-{auth or 'open'}",
                method=method,
                auth=auth,
            )
    for number, (mode, algorithms) in enumerate(ALGORITHMS.items(), len(MODES)):
        for method in METHODS:
            ivr.add(
                "DTMF",
                f"{number}{len(method)}",
                handler,
                name=f"{method.lower()}-{mode}",
                method=method,
                auth="digest",
                algorithms=algorithms,
            )
    return ivr


def make_app(handler: Any, settings: Settings = SETTINGS) -> Receiver:
    return Receiver(make_ivr(handler), settings=settings)


def credentials(action: Action | str) -> Credentials:
    return derive(SECRET, action if isinstance(action, str) else action.identity)
