"""Asks an action URL what the PBX would ask, marked so that no handler runs, and judges the answer.

Rule 1: what is sent is what the PBX sends (`receiver.simulator.delivery`), with one header more.
Rule 2: a fault has a cure, in one line each; neither repeats what was sent or answered.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Literal

import httpx
import msgspec

from receiver.auth.scheme import REALM
from receiver.callbacks.marks import HEADER, LIFE, SOURCE, make_mark
from receiver.calls import Call
from receiver.errors import MaskError
from receiver.masks import Mask
from receiver.pbx.models import ActionUrl, IvrSummary
from receiver.printable import line
from receiver.registration.wanting import Wanted
from receiver.secrets import Secret
from receiver.simulator.delivery import Courier, Delivered
from receiver.simulator.trace import Exchange

Level = Literal["ok", "warning", "fault"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: ``"ok"``, ``"warning"`` or ``"fault"``.
        subject: what was looked at, such as ``8000/pick``.
        text: what was found.
        cure: what to do about it; empty if it is well.
        seconds: how long the answer took; None if that was not measured.
    """

    level: Level
    subject: str
    text: str
    cure: str = ""
    seconds: float | None = None


def make_courier(transport: httpx.AsyncBaseTransport | None = None) -> Courier:
    """A courier with the certificate authorities of this machine.

    Parameters:
        transport: replaces the network, for tests.
    """
    return Courier(
        transport=transport,
        verify=True,
        scale=1.0,
        clock=time.perf_counter,
        cnonce=lambda: secrets.token_hex(16),
    )


async def probe(
    item: Wanted, ivr: IvrSummary, secret: Secret, courier: Courier, *, margin: float, now: float
) -> Finding:
    """Ask one action URL.

    Parameters:
        item: the action URL, with the credentials to send.
        ivr: the IVR that it is on.
        secret: the service's, for the mark.
        courier: carries the request.
        margin: seconds that may pass without any handler.
        now: seconds since the epoch, for the mark.
    """
    return judge(item, await ask(item, ivr, secret, courier, now=now), margin=margin)


async def ask(
    item: Wanted, ivr: IvrSummary, secret: Secret, courier: Courier, *, now: float
) -> Delivered:
    """What comes back from one action URL; parameters as for `probe`."""
    action = item.action
    mark = f"{HEADER}:{make_mark(secret, item.identity, now)}"
    headers = f"{action.headers}&{mark}" if action.headers else mark
    marked = msgspec.structs.replace(action, headers=headers)
    return await courier.deliver(marked, _call(action, ivr))


def is_refusal(delivered: Delivered) -> bool:
    """Whether the service answered, but will not have who asks: its settings, clock or source."""
    last = delivered.exchanges[-1] if delivered.exchanges else None
    if last is None or last.status is None:
        return False
    if last.status == 401:
        return _status(last, 401) is _OUR_401
    return last.status == 429 or _told(last) not in ("", "ok")


def judge(item: Wanted, delivered: Delivered, *, margin: float) -> Finding:
    """What the answer says of the service; parameters as for `probe`."""
    action = item.action
    subject = f"{item.ivr}/{action.name}"
    trouble = _trouble(delivered)
    if trouble is not None:
        return Finding("fault", subject, *trouble, seconds=delivered.seconds)
    took = f"{delivered.seconds * 1000:.0f} ms of {action.request_timeout * 1000}"
    if delivered.seconds > margin:
        return Finding(
            "warning",
            subject,
            f"answered in {took}, without any handler",
            f"handlers end {margin * 1000:.0f} ms before the PBX gives up: set RECEIVER_MARGIN "
            "higher, or bring the service nearer to the PBX",
            delivered.seconds,
        )
    return Finding("ok", subject, f"answered in {took}", seconds=delivered.seconds)


def _call(action: ActionUrl, ivr: IvrSummary) -> Call:
    try:
        number = Mask.parse(action.mask).example
    except MaskError:
        number = "0"
    keyed = action.type == "DTMF"
    return Call(
        "101" if keyed else number,
        "receiver doctor",
        ivr.extension_number,
        ivr.name,
        number if keyed else "",
        "receiver-doctor",
    )


def _trouble(delivered: Delivered) -> tuple[str, str] | None:
    """What is wrong and its cure; None if the answer is that of a service in order."""
    last = delivered.exchanges[-1] if delivered.exchanges else None
    if last is None or last.status is None or delivered.outcome.kind == "failed":
        if last is not None and last.status not in (None, 200):
            return _of_source(last) or _status(last, last.status or 0)
        detail = delivered.outcome.detail
        cure = next((cure for word, cure in _NO_ANSWER if word in detail), _NO_ANSWER[-1][1])
        return detail, cure
    worth = _told(last)
    return None if worth == "ok" else _WORTHS.get(worth, _WORTHS[""])


def _told(last: Exchange) -> str:
    """What the service says to who has its secret."""
    answered = {name.lower(): value for name, value in last.response_headers}
    return answered.get(HEADER.lower(), "")


def _of_source(last: Exchange) -> tuple[str, str] | None:
    """Turned away because of where this machine is; None if that is not the reason."""
    if not (told := _told(last)).startswith(SOURCE):
        return None
    return (
        f"it does not take callbacks from {line(told.removeprefix(SOURCE))}, as it sees this "
        "machine",
        "if the PBX is seen as that, or is here: add it to RECEIVER_ALLOWED_SOURCES; if that is a "
        "proxy's address: add it to RECEIVER_TRUSTED_PROXIES, and have the proxy set "
        "X-Forwarded-For; else run receiver doctor on the PBX's machine",
    )


_NO_ANSWER = (
    (
        "certificate",
        "give the public host a certificate for its name, with the whole chain, from an authority "
        "that the PBX trusts",
    ),
    (
        "TLS",
        "is the port of RECEIVER_PUBLIC_URL one for https? Does the proxy speak TLS 1.2 or 1.3?",
    ),
    ("host name", "correct the host in RECEIVER_PUBLIC_URL, or its entry in the DNS"),
    (
        "refused",
        "start the service (receiver serve), or correct the port in RECEIVER_PUBLIC_URL or what "
        "the proxy listens on",
    ),
    ("no connection", "let the port of RECEIVER_PUBLIC_URL through the firewall"),
    (
        "in time",
        "the proxy or the service is too slow, or the proxy does not reach the service: look at "
        "their logs",
    ),
    (
        "request timeout",
        "the proxy or the service is too slow, or the proxy does not reach the service: look at "
        "their logs",
    ),
    (
        "",
        "something else than this service answers there: look at what RECEIVER_PUBLIC_URL leads to",
    ),
)
_WORTHS = {
    "": (
        "an answer without the sign of this service",
        "something else answers there, or an older version of the service, or the proxy drops the "
        f"header {HEADER}: look at what RECEIVER_PUBLIC_URL leads to",
    ),
    "expired": (
        f"the clocks of the service and of this machine differ by more than {LIFE} s",
        "set both by NTP: nonces of digest depend on it too",
    ),
    "wrong": (
        "the service has another RECEIVER_SECRET than this command",
        "give the same RECEIVER_SECRET to every worker, every machine and this command",
    ),
    "incomplete": (
        "the fields of the callback did not arrive as they were sent",
        "the proxy drops or changes the body or the query of requests: look at its configuration",
    ),
}
_STATUSES = {
    400: (
        "the service cannot read the credentials",
        "the proxy rewrites the path or adds an Authorization header: have it pass both on",
    ),
    404: (
        "there is no such path",
        "the proxy must pass the path on as RECEIVER_PUBLIC_URL has it, or the service runs "
        "without this declaration: restart it",
    ),
    405: (
        "the service wants the other of GET and POST",
        "it runs with an older declaration: restart it, and then receiver apply",
    ),
    429: (
        "too many wrong credentials came from here before",
        "wait a minute; RECEIVER_ALLOWED_SOURCES lets the PBX in all the same",
    ),
    413: ("a proxy takes no request of this size", "raise its limit for bodies"),
}
_FOREIGN_401 = (
    "something before the service asks for credentials of its own",
    "have the proxy let the PBX through to the service without a login",
)
_OUR_401 = (
    "the service does not accept the credentials",
    "give the same RECEIVER_SECRET and RECEIVER_EPOCH to the service and to this command, restart "
    "the service; if they are, the proxy drops the header Authorization",
)


def _status(last: Exchange, status: int) -> tuple[str, str]:
    if status == 401:
        asked = " ".join(v for n, v in last.response_headers if n.lower() == "www-authenticate")
        return _OUR_401 if f'realm="{REALM}"' in asked else _FOREIGN_401
    if 300 <= status < 400:
        return (
            f"a redirect ({status})",
            "set RECEIVER_PUBLIC_URL to where it leads (https, host, path), for the PBX is not "
            "known to follow; then receiver apply --take-over",
        )
    if status in _STATUSES:
        return _STATUSES[status]
    if status in (502, 503, 504):
        return f"the proxy answers {status}", "the proxy does not reach the service: is it running?"
    return f"HTTP status {status}", "look at the logs of the proxy and of the service"
