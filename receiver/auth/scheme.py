"""The input and the result of a scheme.

Rule 1: a scheme fails closed: it refuses credentials that it cannot read.
Rule 2: an unknown user, a wrong password and a missing credential look the same from outside.
Rule 3: a scheme has no memory. The result names the nonce count, and the caller records its use in
        a store that workers share.
Rule 4: ``reason`` is for the log and contains no data of the client.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

REALM = "callbacks"
"""ASCII letters only: quotes, commas and other scripts break more than a dozen clients."""


NO_CREDENTIALS = "no credentials"
"""The reason for refusing a request without credentials, as digest begins."""

OTHER_CREDENTIALS = "other credentials"
"""The reason for refusing credentials of another scheme."""

MAX_AUTHORIZATION = 12_288
"""Maximum characters of an `Authorization` header: 1.5 times the longest target."""

WRONG_PASSWORD = "wrong user name or password"  # noqa: S105 - a phrase for the log


class AuthRequest(Struct, frozen=True):
    """The parts of a request that a scheme checks.

    Attributes:
        method: ``GET`` or ``POST``.
        target: the request target as it was sent, path and query, percent-encoding untouched.
        authorization: every ``Authorization`` header of the request.
        public_path: the path of the action URL as the PBX has it; a proxy may have shortened the
            path of ``target``.
        keys: every value of the action's secret header.
    """

    method: str
    target: str
    authorization: tuple[str, ...] = ()
    public_path: str = ""
    keys: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"AuthRequest({self.method!r})"  # the rest may hold credentials or digits


class Refused(Struct, frozen=True, gc=False):
    """The credentials are refused.

    Attributes:
        reason: one phrase for the log.
        challenges: the values of ``WWW-Authenticate``; none with status 400 and 403.
        status: 401; 400 if the header is malformed, 403 if the action has no scheme.
        wrong: credentials were sent and are wrong, which the throttle counts.
        stale: the credentials are right, but the nonce is too old or was used before.
    """

    reason: str
    challenges: tuple[str, ...] = ()
    status: int = 401
    wrong: bool = False
    stale: bool = False


class NonceUse(Struct, frozen=True, gc=False):
    """The use of one nonce count, which is valid once.

    Attributes:
        nonce, count: as the client sent them.
        made: when the nonce was made, in seconds since the epoch.
    """

    nonce: str
    count: int
    made: float


class Accepted(Struct, frozen=True, gc=False):
    """The credentials are right; with a ``nonce_use``, only if it was not recorded before."""

    nonce_use: NonceUse | None = None


ACCEPTED = Accepted()
"""The result without a nonce count to record."""

AuthResult = Accepted | Refused


class Scheme(Protocol):
    """One way to authenticate."""

    def check(self, request: AuthRequest, now: float) -> AuthResult:
        """Check a request at ``now`` (seconds since the epoch)."""
        ...

    def refuse(self, reason: str, now: float, *, stale: bool = False) -> Refused:
        """Return the refusal of wrong credentials.

        Parameters:
            stale: the credentials are right, but the nonce is too old or was used before.
        """
        ...


class Open:
    """No authentication: for actions declared with ``auth=None``."""

    def check(self, request: AuthRequest, now: float) -> AuthResult:
        return ACCEPTED

    def refuse(self, reason: str, now: float, *, stale: bool = False) -> Refused:
        return Refused(reason, status=403, wrong=not stale)


def read_credentials(
    request: AuthRequest, scheme: str, challenges: Callable[[], tuple[str, ...]]
) -> str | Refused:
    """Return the credentials in the `Authorization` header, or the refusal of a request without.

    Two headers are refused with 400, because it is unknown which of them a proxy checked; so is a
    header longer than `MAX_AUTHORIZATION`.

    Parameters:
        scheme: its name in lower case; credentials of others are refused.
        challenges: returns those of the refusal.
    """
    if len(request.authorization) > 1:
        return Refused("more than one Authorization header", status=400)
    header = request.authorization[0] if request.authorization else ""
    if len(header) > MAX_AUTHORIZATION:
        return Refused(f"an Authorization header over {MAX_AUTHORIZATION} characters", status=400)
    name, _, credentials = header.strip(" \t").partition(" ")
    if name.lower() == scheme:
        return credentials.strip(" \t")
    return Refused(OTHER_CREDENTIALS if name else NO_CREDENTIALS, challenges())
