"""Answers to probes: requests of ``receiver doctor`` with a token (`receiver.auth.probe_token`)."""

from __future__ import annotations

from collections.abc import Callable

from receiver.auth.probe_token import EPOCH, HEADER, SOURCE, UNKNOWN
from receiver.callbacks.authenticate import Refusal
from receiver.callbacks.http_limits import Header
from receiver.callbacks.request import Request, read_callback
from receiver.errors import CallbackError

PROBE = HEADER.lower().encode()
"""The header, as a `Request` has it."""

NO_ACTION: Header = (PROBE, UNKNOWN.encode())
"""The header of a 404: the token is valid, but there is no such action."""

CheckToken = Callable[[str, float], str]
"""Returns the state of a token, at a time in seconds since the epoch."""


def explain(
    refusal: Refusal,
    request: Request,
    check_token: CheckToken,
    now: float,
    epoch: int | None = None,
) -> tuple[Header, ...]:
    """Return the header that says why the request was refused; empty without a valid token.

    Parameters:
        refusal: the answer.
        request: the request.
        check_token: returns the state of a token.
        now: seconds since the epoch.
        epoch: of the service's credentials; None without an action.
    """
    source = f"{SOURCE}{refusal.source}" if refusal.foreign else ""
    number = f"{EPOCH}{epoch}" if epoch else ""
    reason = f"{source} {number}".strip()
    if reason and has_valid_token(request, check_token, now):
        return ((PROBE, reason.encode()),)
    return ()


def has_valid_token(request: Request, check_token: CheckToken, now: float) -> bool:
    """Return whether the request has a token that is valid at ``now`` (seconds since the epoch)."""
    token = request.fields.get(PROBE)
    return token is not None and check_token(token.decode("latin-1"), now) == "ok"


def result(request: Request, body: bytes, state: str) -> str:
    """Return the result of a probe that passed authentication.

    Parameters:
        request: the request.
        body: its decoded body.
        state: of its token.

    Returns:
        ``state``; ``incomplete`` if a proxy lost the body or the query.
    """
    try:
        complete = bool(read_callback(request, body).call.session_id)
    except CallbackError:
        complete = False
    return "incomplete" if state == "ok" and not complete else state
