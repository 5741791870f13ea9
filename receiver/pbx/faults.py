"""What can go wrong between here and the PBX, each as one typed error with one clear line.

Rule 1: a text says what happened, whose fault it is, and what to do next; the PBX's own code and
        message stand in brackets, on one line, cut short.
Rule 2: an error tells whether the request may have had an effect (`may_have_happened`), so that
        no write is sent twice by mistake.
Rule 3: nothing that was sent as a secret is in a text, even if the PBX echoes it.

Source: "About" of the PBX's REST API, for the envelope. How a PBX throttles is not documented; 429
and 503 are both taken for it.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx

from receiver.errors import (
    PbxError,
    PbxForbidden,
    PbxNonsense,
    PbxNotFound,
    PbxRefused,
    PbxThrottled,
    PbxUnauthorized,
    PbxUnreachable,
)

_NO_CONNECTION = (httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ConnectError, httpx.ProxyError)
_WRONG_HOST = (62, 64)  # OpenSSL's numbers for a certificate made for another name or address
_DETAIL = 200


class NotReached(PbxUnreachable):
    """There was no connection, so the request surely had no effect."""


class CutOff(PbxUnreachable):
    """The connection ended before the answer did; the request may have had an effect."""


def may_have_happened(error: PbxError) -> bool:
    """Whether a write that ended in ``error`` may have taken effect all the same."""
    if isinstance(error, PbxRefused):
        return error.status >= 500
    return not isinstance(error, NotReached)


def failure(what: str, host: str, timeout: float, error: Exception) -> PbxError:
    """The error for a request that got no answer from ``host`` within ``timeout`` seconds."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return PbxUnreachable(f"{what}: {_distrust(host, cause)}")
        if isinstance(cause, ssl.SSLError):
            return PbxUnreachable(
                f"{what}: no TLS connection with {host} came about: is the port in "
                "RECEIVER_PBX_URL the one for https (8887 by default)?"
            )
        if isinstance(cause, socket.gaierror):
            return NotReached(
                f"{what}: there is no host of the name in {host}: "
                "correct RECEIVER_PBX_URL, or look at the DNS"
            )
    if isinstance(error, _NO_CONNECTION):
        return NotReached(
            f"{what}: no connection to the PBX at {host}: is it running, is the port in "
            "RECEIVER_PBX_URL right (8887 by default), does a firewall let this through?"
        )
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return PbxUnreachable(
            f"{what}: the PBX at {host} did not answer within {timeout:g} s: "
            "look at its load, or try again later"
        )
    if isinstance(error, httpx.RemoteProtocolError | httpx.NetworkError):
        return CutOff(
            f"{what}: the PBX at {host} cut the answer off or does not speak HTTP there: "
            "try again; if it stays so, correct RECEIVER_PBX_URL (https or http, port)"
        )
    return PbxNonsense(f"{what}: the answer of {host} cannot be read as HTTP")


def _distrust(host: str, error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _WRONG_HOST:
        return (
            f"the certificate of {host} is made for another name: use that name in "
            "RECEIVER_PBX_URL, or give the PBX a certificate for this one"
        )
    return (
        f"the certificate of {host} is not trusted ({error.verify_message}): set "
        "RECEIVER_PBX_CA to a PEM file with its CA, or with the PBX's own certificate"
    )


def refusal(what: str, response: httpx.Response, body: bytes, secrets: list[str]) -> PbxError:
    """The error for an answer with any status but 2xx, without any of ``secrets``."""
    status = response.status_code
    if status < 400:
        goal = _goal(response)
        return PbxNonsense(
            f"{what}: the PBX answered {status} and points to {goal}, which is not followed: "
            "correct RECEIVER_PBX_URL (https or http, port, path)"
        )
    code, detail = (_plain(text, secrets) for text in _envelope(body))
    said = f"{status} {code}" + (f": {detail}" if detail else "")
    kind, advice = _MEANINGS.get(status, (PbxRefused, "look at the PBX's log"))
    error = kind(f"{what}: {advice} ({said})", status=status, code=code, detail=detail)
    if isinstance(error, PbxThrottled):
        error.retry_after = _retry_after(response)
    return error


_MEANINGS: dict[int, tuple[type[PbxRefused], str]] = {
    400: (PbxRefused, "the PBX does not accept what was sent"),
    401: (PbxUnauthorized, "the PBX did not accept the token"),
    403: (
        PbxForbidden,
        "the account may not do this: use a user of the tenant with the role Admin",
    ),
    404: (
        PbxNotFound,
        "there is no such thing on the PBX: was it deleted, or is the path in RECEIVER_PBX_URL "
        "wrong (normally /api)?",
    ),
    429: (PbxThrottled, "the PBX asks for fewer requests: try again later"),
    502: (PbxRefused, "the PBX's API gateway is down: look at the PBX's services"),
    503: (PbxThrottled, "the PBX is overloaded or starting: try again later"),
}


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _envelope(body: bytes) -> tuple[str, str]:
    """The code and message of ``{"errors":[{"code","message","detail"}]}``, as far as they go."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        data = None
    errors = data.get("errors") if isinstance(data, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        return "UNKNOWN", ""
    code, message = first.get("code"), first.get("message")
    return (
        code if isinstance(code, str) and code else "UNKNOWN",
        message if isinstance(message, str) else "",
    )


def _plain(text: str, secrets: list[str]) -> str:
    """One line that may be shown: no secrets, nothing that moves a terminal's cursor."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return "".join(c if c.isprintable() else " " for c in text).strip()[:_DETAIL]


def _goal(response: httpx.Response) -> str:
    """Where a redirect leads, without anything that may be secret."""
    if response.next_request is None:
        return "nowhere"
    url = response.next_request.url
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


def _retry_after(response: httpx.Response) -> float | None:
    """Seconds. A date is counted from the answer's own, for the PBX's clock may be wrong."""
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdecimal() and len(text) < 9:
        return float(text)
    until = _date(text)
    now = _date(response.headers.get("date", "")) or datetime.now(UTC)
    return max(0.0, (until - now).total_seconds()) if until else None


def _date(text: str) -> datetime | None:
    try:
        found = parsedate_to_datetime(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
