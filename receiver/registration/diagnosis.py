"""Interpret the answer to a probe: faults of the service, the network and the settings.

Rule 1: a trouble has a cure, in one line each; neither repeats what was sent or answered.
Rule 2: the setting that differs is named where the answer proves it: the service tells the sender
        of a good mark (`receiver.auth.probe_token`) its epoch, and only that of a good one.
Rule 3: a cure begins with what harms no running service: a look, a setting of this command, a
        start. What changes the action URLs on the PBX is never first.

Values in, values out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from receiver.auth.probe_token import EPOCH, HEADER, LIFE, SOURCE, UNKNOWN
from receiver.auth.scheme import REALM
from receiver.pbx.callback_trace import Exchange, Outcome
from receiver.text import line


class Trouble(NamedTuple):
    """A fault that a probe found.

    Attributes:
        text: what was found.
        cure: what to do about it.
        setting: the one that differs or may be wrong, such as ``RECEIVER_SECRET``; empty if none.
        answered: whether anything answered.
    """

    text: str
    cure: str
    setting: str = ""
    answered: bool = True


class Explanation(NamedTuple):
    """The service's explanation to the sender of a probe, in a header of its answer.

    Attributes:
        source: the client address that it saw and refuses; empty if it did not refuse it.
        epoch: of its credentials, where it refused the request; None if it was not sent.
        worth: of the mark, where the request was accepted; empty where it was not.
    """

    source: str = ""
    epoch: int | None = None
    worth: str = ""


_UNKNOWN_AUTHORITY = re.compile("not trusted .*(self.signed|local issuer)")  # of OpenSSL
SECRET, NUMBER, URL = "RECEIVER_SECRET", "RECEIVER_EPOCH", "RECEIVER_PUBLIC_URL"


def diagnose(
    exchanges: Sequence[Exchange],
    outcome: Outcome,
    epoch: int | None = None,
    *,
    acknowledges: bool = False,
) -> Trouble | None:
    """Return what is wrong; None if the service is healthy.

    Parameters:
        exchanges: the requests and answers, as far as there were any.
        outcome: what a PBX would make of them.
        epoch: of this command's credentials; None if it does not matter.
        acknowledges: True for an event URL: its answer is a status, without a reply.
    """
    last = exchanges[-1] if exchanges else None
    good = last is not None and last.status == 200 if acknowledges else outcome.kind != "failed"
    if last is None or last.status is None or not good:
        if last is not None and last.status not in (None, 200):
            return _of_source(explanation(last)) or _of_status(last, last.status or 0, epoch)
        detail = outcome.detail
        cure = next((cure for word, cure in _NO_ANSWER if word in detail), _NO_ANSWER[-1][1])
        answered = last is not None and last.status is not None
        return Trouble(detail, cure, URL, answered=answered)
    worth = explanation(last).worth
    return None if worth == "ok" else _WORTHS.get(worth, _WORTHS[""])


def is_refusal(exchanges: Sequence[Exchange]) -> bool:
    """Return whether the service answered and refused: its settings, its clock or our address."""
    last = exchanges[-1] if exchanges else None
    if last is None or last.status is None:
        return False
    if last.status == 401:
        return _is_ours(last)
    said = explanation(last)
    return last.status == 429 or bool(said.source) or said.worth not in ("", "ok", UNKNOWN)


def has_unknown_authority(outcome: Outcome) -> bool:
    """Return whether the certificate is signed by an authority that this machine does not know."""
    return _UNKNOWN_AUTHORITY.search(outcome.detail) is not None


def explanation(last: Exchange) -> Explanation:
    """Return what the service tells the sender of a mark; all of it empty if it tells nothing."""
    answered = {name.lower(): value for name, value in last.response_headers}
    text = answered.get(HEADER.lower(), "")
    if text.startswith(SOURCE):
        source, _, number = text.removeprefix(SOURCE).partition(f" {EPOCH}")
        return Explanation(source or "?", _epoch(number))
    if text.startswith(EPOCH):
        return Explanation(epoch=_epoch(text.removeprefix(EPOCH)))
    return Explanation(worth=text)


def _epoch(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _of_source(said: Explanation) -> Trouble | None:
    """Refused because of the address of this machine; None if that is not the reason."""
    if not said.source:
        return None
    return Trouble(
        f"it does not take callbacks from {line(said.source)}, as it sees this machine",
        "if that is a proxy's address: add it to RECEIVER_TRUSTED_PROXIES, and have the proxy set "
        "X-Forwarded-For; if the PBX is seen as that, or is here: add it to "
        "RECEIVER_ALLOWED_SOURCES; else run receiver doctor on the PBX's machine",
        "RECEIVER_ALLOWED_SOURCES",
    )


def _of_status(last: Exchange, status: int, epoch: int | None) -> Trouble:
    if status == 401:
        return _of_credentials(explanation(last).epoch, epoch) if _is_ours(last) else _FOREIGN_401
    if 300 <= status < 400:
        return Trouble(
            f"a redirect ({status})",
            "set RECEIVER_PUBLIC_URL to where it leads (https, host, path), for the PBX is not "
            "known to follow; then receiver apply --moved-from with the public URL of before",
            URL,
        )
    if status == 429 and explanation(last).epoch is not None:  # valid credentials never get it
        return _of_credentials(explanation(last).epoch, epoch)
    if status == 404 and explanation(last).worth == UNKNOWN:
        return _NO_ACTION
    if status in _STATUSES:
        return _STATUSES[status]
    if status in (502, 503, 504):
        return Trouble(
            f"the proxy answers {status}", "the proxy does not reach the service: is it running?"
        )
    return Trouble(f"HTTP status {status}", "look at the logs of the proxy and of the service")


def _of_credentials(theirs: int | None, mine: int | None) -> Trouble:
    """Explain a 401 of the service: it sends its epoch only where the secret is the same."""
    if theirs is None:
        return Trouble(
            "the service refuses the credentials: its RECEIVER_SECRET differs from this command's",
            "give this command the RECEIVER_SECRET of the service at RECEIVER_PUBLIC_URL; if that "
            "was changed, restart the service with it; if they are the same, the clocks differ by "
            f"over {LIFE} s, or a proxy drops the headers Authorization and {HEADER}",
            SECRET,
        )
    if mine is None or theirs == mine:
        return Trouble(
            "the service has the same RECEIVER_SECRET and refuses the credentials",
            "a proxy drops or changes the header Authorization, or the secret header: have it pass "
            "both on",
        )
    return other_epoch(theirs, mine)


def other_epoch(theirs: int, mine: int) -> Trouble:
    """Return the trouble of a service and a command with the same secret and other epochs."""
    return Trouble(
        f"the service has RECEIVER_EPOCH={theirs}, this command has {mine}",
        f"set RECEIVER_EPOCH={theirs} for this command; if the service was to have {mine}, restart "
        "it with that",
        NUMBER,
    )


def _is_ours(last: Exchange) -> bool:
    challenges = " ".join(v for n, v in last.response_headers if n.lower() == "www-authenticate")
    return f'realm="{REALM}"' in challenges


_NO_TLS = (
    "nothing speaks TLS there: is the port of RECEIVER_PUBLIC_URL one for https? Does the proxy "
    "speak TLS 1.2 or 1.3?"
)
_SLOW = (
    "the proxy or the service is too slow, or the proxy does not reach the service: look at "
    "their logs"
)
_NO_ANSWER = (
    (
        "certificate",
        "give the public host a certificate for its name, with the whole chain, from an authority "
        "that the PBX trusts; this command needs a private one in the system's roots, or in "
        "SSL_CERT_FILE",
    ),
    ("TLS", _NO_TLS),
    ("host name", "correct the host in RECEIVER_PUBLIC_URL, or its entry in the DNS"),
    (
        "refused",
        "start the service (receiver serve), or correct the port in RECEIVER_PUBLIC_URL or what "
        "the proxy listens on",
    ),
    (
        "no connection",
        "start the service, let the port of RECEIVER_PUBLIC_URL through the firewall, or correct "
        "host and port",
    ),
    ("in time", _SLOW),
    ("request timeout", _SLOW),
    (
        "",
        "something else than this service answers there: look at what RECEIVER_PUBLIC_URL leads to",
    ),
)
_WORTHS = {
    "": Trouble(
        "an answer without the sign of this service",
        "something else answers there, or an older version of the service, or the proxy drops the "
        f"header {HEADER}: look at what RECEIVER_PUBLIC_URL leads to",
        URL,
    ),
    "expired": Trouble(
        f"the clocks of the service and of this machine differ by more than {LIFE} s",
        "set both by NTP: nonces of digest depend on it too",
    ),
    "wrong": Trouble(
        "the service has another RECEIVER_SECRET than this command",
        "give the same RECEIVER_SECRET to every worker, every machine and this command",
        SECRET,
    ),
    "incomplete": Trouble(
        "the fields of the callback did not arrive as they were sent",
        "the proxy drops or changes the body or the query of requests: look at its configuration",
    ),
}
_STATUSES = {
    400: Trouble(
        "the service cannot read the credentials",
        "the proxy rewrites the path or adds an Authorization header: have it pass both on",
    ),
    403: Trouble(
        "this machine's address is refused (403), without the reason that a service with the same "
        "secret gives",
        "give this command the RECEIVER_SECRET of the service at RECEIVER_PUBLIC_URL, or look "
        "which addresses the proxy refuses",
        SECRET,
    ),
    404: Trouble(
        "there is no such path",
        "look at what RECEIVER_PUBLIC_URL leads to: something else answers there, or a proxy does "
        "not pass the path on as it is; or restart the service, if it runs without this "
        "declaration",
        URL,
    ),
    405: Trouble(
        "the service wants the other of GET and POST",
        "it runs with an older declaration: restart it, and then receiver apply",
    ),
    429: Trouble(
        "the credentials are refused, after many wrong ones from here, or a proxy limits the rate",
        "give this command the RECEIVER_SECRET of the service at RECEIVER_PUBLIC_URL, which always "
        "accepts valid ones; if it has it, look at the rate limit of the proxy",
        SECRET,
    ),
    413: Trouble("a proxy takes no request of this size", "raise its limit for bodies"),
}
_NO_ACTION = Trouble(
    "the service runs without this declaration", "restart the service with this code"
)
_FOREIGN_401 = Trouble(
    "something in front of the service demands other credentials",
    "have the proxy let the PBX through to the service without a login; is RECEIVER_PUBLIC_URL "
    "that of this service?",
    URL,
)
