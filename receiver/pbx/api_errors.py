"""The errors of requests to the PBX, each typed, with one line of text.

Rule 1: a text says what happened, why, and what to do next; the PBX's code and message follow in
        brackets, on one line, truncated.
Rule 2: `may_have_happened` says of each error whether the request may have had an effect, so that
        no write is sent twice by mistake.
Rule 3: no text repeats a secret of the request, even if the PBX echoes it.

Source: "About" of the PBX's REST API, for the envelope. How a PBX throttles is not documented; 429
and 503 are both treated as throttling.
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
    PbxInvalid,
    PbxNotFound,
    PbxRefused,
    PbxThrottled,
    PbxUnauthorized,
    PbxUnreachable,
)

_NO_CONNECTION = (httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ConnectError, httpx.ProxyError)
_WRONG_HOST = (62, 64)  # OpenSSL's numbers for a certificate made for another name or address
_DETAIL = 200


class ConnectFailed(PbxUnreachable):
    """No connection was made, so the request had no effect."""


class NamelessCertificate(ssl.SSLCertVerificationError):
    """The certificate has no subjectAltName, and is not in the CA file."""


class NamedCertificate(ssl.SSLCertVerificationError):
    """The certificate has a subjectAltName, so its name must be checked."""


class ConnectionLost(PbxUnreachable):
    """The connection ended before the answer did; the request may have had an effect."""


def may_have_happened(error: PbxError) -> bool:
    """Return whether a write that failed with ``error`` may have had an effect."""
    if isinstance(error, PbxRefused):
        return error.status >= 500
    return not isinstance(error, ConnectFailed)


def failure(what: str, host: str, timeout: float, error: Exception) -> PbxError:
    """Return the error for a request that got no answer from ``host`` in ``timeout`` seconds."""
    for cause in _causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return PbxUnreachable(f"{what}: {_distrust(host, cause)}")
        if isinstance(cause, ssl.SSLError):
            return PbxUnreachable(
                f"{what}: the TLS handshake with {host} failed: is the port in "
                "RECEIVER_PBX_URL the one for https (8887 by default)?"
            )
        if isinstance(cause, socket.gaierror):
            return ConnectFailed(
                f"{what}: the host name in {host} does not resolve: "
                "correct RECEIVER_PBX_URL, or check the DNS"
            )
    if isinstance(error, _NO_CONNECTION):
        return ConnectFailed(
            f"{what}: no connection to the PBX at {host}: is it running, is the port in "
            "RECEIVER_PBX_URL right (8887 by default), does a firewall block it?"
        )
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return PbxUnreachable(
            f"{what}: the PBX at {host} did not answer within {timeout:g} s: "
            "check its load, or try again later"
        )
    if isinstance(error, httpx.RemoteProtocolError | httpx.NetworkError):
        return ConnectionLost(
            f"{what}: the PBX at {host} closed the connection early or does not speak HTTP there: "
            "try again; if it happens again, correct RECEIVER_PBX_URL (https or http, port)"
        )
    return PbxInvalid(f"{what}: the answer of {host} cannot be read as HTTP")


def is_about_name(error: Exception) -> bool:
    """Return whether a connection failed because of the name in a trusted certificate."""
    return says_why(error) >= 0


def says_why(error: Exception) -> int:
    """Return how specific an error is about the name in a certificate; -1 for other errors."""
    for cause in _causes(error):
        if isinstance(cause, NamelessCertificate):
            return 2
        if isinstance(cause, NamedCertificate):
            return 0
        if isinstance(cause, ssl.SSLCertVerificationError) and cause.verify_code in _WRONG_HOST:
            return 1
    return -1


def _distrust(host: str, error: ssl.SSLCertVerificationError) -> str:
    if isinstance(error, NamelessCertificate):
        return (
            f"the certificate of {host} has no subjectAltName, so its name cannot be checked: set "
            "RECEIVER_PBX_CA to a PEM file with this certificate, or give the PBX one with a "
            "subjectAltName"
        )
    if error.verify_code in _WRONG_HOST:
        return (
            f"the certificate of {host} is made for another name: use that name in "
            "RECEIVER_PBX_URL, or give the PBX a certificate for this one; if it has no "
            "subjectAltName, set RECEIVER_PBX_CA to a PEM file with this certificate"
        )
    return (
        f"the certificate of {host} is not trusted ({error.verify_message}): set "
        "RECEIVER_PBX_CA to a PEM file with its CA, or with the PBX's own certificate"
    )


def refusal(what: str, response: httpx.Response, body: bytes, secrets: list[str]) -> PbxError:
    """Return the error for an answer with a status other than 2xx, without any of ``secrets``."""
    status = response.status_code
    if status < 400:
        goal = _goal(response)
        return PbxInvalid(
            f"{what}: the PBX redirects ({status}) to {goal}, which is not followed: "
            "correct RECEIVER_PBX_URL (https or http, port, path)"
        )
    code, detail = (_plain(text, secrets) for text in _envelope(body))
    details = f"{status} {code}" + (f": {detail}" if detail else "")
    kind, advice = _MEANINGS.get(status, (PbxRefused, "see the PBX's log"))
    advice = _ADVICE.get(code, advice)
    error = kind(f"{what}: {advice} ({details})", status=status, code=code, detail=detail)
    if isinstance(error, PbxThrottled):
        error.retry_after = _retry_after(response)
    return error


_MEANINGS: dict[int, tuple[type[PbxRefused], str]] = {
    400: (PbxRefused, "the PBX does not accept what was sent"),
    401: (PbxUnauthorized, "the PBX did not accept the token"),
    403: (
        PbxForbidden,
        "the account may not do this: use a user of the tenant with the role Admin, or for a "
        "system administrator set RECEIVER_PBX_TENANT",
    ),
    404: (
        PbxNotFound,
        "there is no such resource on the PBX: was it deleted, or is the path in RECEIVER_PBX_URL "
        "wrong (normally /api)?",
    ),
    429: (PbxThrottled, "the PBX asks for fewer requests: try again later"),
    502: (PbxRefused, "the PBX's API gateway is down: check the PBX's services"),
    503: (PbxThrottled, "the PBX is overloaded or starting: try again later"),
}

_ADVICE = {
    "QUOTA_EXCEEDED": (
        "the tenant's quota is used up: delete one that is not needed, or "
        "raise the quota in the tenant's settings on the PBX"
    ),
}
"""Advice for codes that are more specific than the status."""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _envelope(body: bytes) -> tuple[str, str]:
    """Return code and message of ``{"errors":[{"code","message","detail"}]}``, if present."""
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
    """Return one printable line of at most 200 characters, without secrets."""
    for secret in secrets:
        text = text.replace(secret, "***")
    return "".join(c if c.isprintable() else " " for c in text).strip()[:_DETAIL]


def _goal(response: httpx.Response) -> str:
    """Return the target of a redirect, without anything that may be secret."""
    if response.next_request is None:
        return "nowhere"
    url = response.next_request.url
    return str(url.copy_with(userinfo=b"", query=None, fragment=None))


def _retry_after(response: httpx.Response) -> float | None:
    """Return seconds. A date is relative to the answer's, for the PBX's clock may be wrong."""
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
