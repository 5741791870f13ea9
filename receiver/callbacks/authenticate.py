"""Authenticate a request: client address, credentials, replay window, throttle.

Rule 1: all checks that refuse a request are here, in this order: the allowed sources, the
        credentials, the replay window.
Rule 2: credentials are always checked, and valid ones are accepted from every address. Behind one
        NAT, CDN or load balancer the PBX and a guessing client have one address, and the client
        must not lock the PBX out. This is safe: credentials, with the token of the metrics and
        the password of the console, are derived and have at least 160 bits
        (`receiver.credentials`), so they cannot be guessed over a network.
Rule 3: the throttle answers wrong credentials only: past a number of them the answer is 429 with
        `Retry-After` in place of 401. They are counted for each client address, at the action and
        at all actions together; for the proxy's address if the client's is unknown, so that no
        header of a client can disable the throttle.
Rule 4: missing, stale and unreadable credentials are not counted: a client that restarts digest
        for every callback has done nothing wrong.
Rule 5: a log line has the address and the reason, and no data of the client.
Rule 6: a client that repeats valid basic or bearer credentials is recognised by its address and the
        header as a whole, without another check; only if nothing else of the request matters: no
        trusted proxies, no secret header. This cache ends with the app, so also with a rotation.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Literal, NamedTuple

from msgspec import Struct

from receiver.auth import NO_CREDENTIALS, Accepted, AuthRequest, AuthResult, Refused, Scheme
from receiver.auth.client_address import Source, Sources
from receiver.auth.throttle import group
from receiver.callbacks.http_limits import Header
from receiver.callbacks.request import Request
from receiver.observability.log_throttle import LogThrottle
from receiver.storage.auth_fallback import AuthFallback
from receiver.storage.memory import MemoryAuth
from receiver.storage.protocols import AuthStore

OVERALL_FACTOR = 10
"""Factor of the throttle's limits for all actions together, compared to one action."""

MAX_KNOWN_CLIENTS = 256
"""Clients with valid credentials that are recognised."""

log = logging.getLogger("receiver")

Cause = Literal["source", "waiting", "missing", "wrong", "unreadable", "other"]
"""The reason of a refusal, for the metrics: client address, too many wrong credentials, none,
wrong ones, unreadable ones, or those of another scheme."""


class Refusal(Struct, frozen=True, gc=False):
    """A refusal.

    Attributes:
        status: of HTTP.
        headers: of the answer.
        source: the client address, as far as it is known.
        cause: see `Cause`.
    """

    status: int
    headers: tuple[Header, ...]
    source: Source
    cause: Cause

    @property
    def foreign(self) -> bool:
        """Whether it was refused because of its client address alone."""
        return self.cause == "source"


class Authenticated(Struct, frozen=True, gc=False):
    """The credentials are accepted.

    Attributes:
        spent: seconds since the first request of this callback, which was challenged; 0 without
            one.
    """

    spent: float = 0.0


UNCHALLENGED = Authenticated()


class AuthTarget(NamedTuple):
    """The action or endpoint for which a request is authenticated.

    Attributes:
        identity: of an action; failures are counted by it.
        public_path: the path of the URL that the PBX has.
        shown: its name in the log.
    """

    identity: str
    public_path: str
    shown: str


class Authenticator:
    """Authenticates requests.

    Parameters:
        scheme: checks the credentials.
        sources: the allowed client addresses.
        store: the nonce counts that were used, and failures.
        log_throttle: limits the log lines.
        secret_header: the name of the header with a secret; empty for no such header.
    """

    def __init__(
        self,
        scheme: Scheme,
        sources: Sources,
        store: AuthStore,
        log_throttle: LogThrottle,
        *,
        secret_header: str = "",
    ) -> None:
        self._scheme = scheme
        self._sources = sources
        self._store = store
        self._log_throttle = log_throttle
        self._secret_header = secret_header.lower().encode()
        self._recognises = not secret_header and sources.is_fixed
        self._known: dict[tuple[str, bytes] | None, None] = {}
        self.is_shared = not isinstance(store, MemoryAuth)
        self._memory = store.memory if isinstance(store, AuthFallback) else store

    def knows(self, request: Request) -> bool:
        """Return whether these credentials were valid before, from this address."""
        return self._key(request) in self._known

    def may_wait(self, request: Request) -> bool:
        """Return whether `authenticate` may have to wait for a shared store."""
        return self.is_shared and self._key(request) not in self._known

    async def authenticate(
        self, request: Request, target: AuthTarget, now: float
    ) -> Authenticated | Refusal:
        """Check a request for ``target`` at ``now`` (seconds since the epoch)."""
        key = self._key(request)
        source = self._sources.find(request.client, request.headers, request.server)
        if not self._sources.allows(source):
            self._log(logging.WARNING, target, "it is not in RECEIVER_ALLOWED_SOURCES", source, now)
            return Refusal(403, (), source, "source")
        result = await self._examine(request, target, now)
        if isinstance(result, Accepted):
            if result.nonce_use is None and key is not None:
                self._remember(key)
            return _authenticated(result, now)
        level = logging.INFO if result.reason == NO_CREDENTIALS else logging.WARNING
        self._log(level, target, result.reason, source, now)
        if result.wrong and (wait := await self._fail(source, target, now)):
            self._log(logging.WARNING, target, "too many wrong credentials", source, now)
            return Refusal(429, ((b"retry-after", b"%d" % wait),), source, "waiting")
        challenges = tuple((b"www-authenticate", text.encode()) for text in result.challenges)
        return Refusal(result.status, challenges, source, _cause(result))

    def is_allowed(self, request: Request) -> bool:
        """Return whether it comes from an allowed source; nothing is logged."""
        return self._sources.allows(
            self._sources.find(request.client, request.headers, request.server)
        )

    def check(
        self, scheme: Scheme, request: Request, target: AuthTarget, now: float
    ) -> Accepted | None:
        """Check for the credentials of another ``scheme``; nothing is counted or logged."""
        result = scheme.check(self._auth_request(request, target), now)
        return result if isinstance(result, Accepted) else None

    def authenticate_blocked(
        self,
        request: Request,
        target: AuthTarget,
        arrived: float,
        now: float,
        is_due: Callable[[float], bool],
    ) -> Authenticated | Refusal | None:
        """Authenticate in a thread while the event loop is blocked, without the shared store.

        Parameters:
            arrived: of the request, in seconds since the epoch; a challenge has this time, so that
                the wait for it counts as spent.
            is_due: returns whether valid credentials are used up now; its argument is the seconds
                that were spent on the first leg of digest.

        Returns:
            None if the event loop has to answer: wrong credentials, or nothing is due yet.
        """
        source = self._sources.find(request.client, request.headers, request.server)
        if not self._sources.allows(source):
            return None
        auth_request = self._auth_request(request, target)
        result = self._scheme.check(auth_request, now)
        if isinstance(result, Accepted):
            authenticated = _authenticated(result, arrived)
            if not is_due(authenticated.spent):
                return None
            if (use := result.nonce_use) is None:
                return authenticated
            if isinstance(self._memory, MemoryAuth) and self._memory.use_now(
                use.nonce, use.count, use.made, now
            ):
                return authenticated
            result = self._scheme.refuse("a count that was used before", now, stale=True)
        elif result.reason == NO_CREDENTIALS:
            result = self._scheme.check(auth_request, arrived)
        if isinstance(result, Accepted) or result.wrong or result.status != 401:
            return None
        challenges = tuple((b"www-authenticate", text.encode()) for text in result.challenges)
        return Refusal(result.status, challenges, source, _cause(result))

    async def _fail(self, source: Source, target: AuthTarget, now: float) -> int:
        """Count wrong credentials and return the seconds for `Retry-After`; 0 if not throttled."""
        sender = group(source.nearest)
        everywhere = await self._store.failed(sender, now)
        here = await self._store.failed(f"{sender} {target.identity}", now)
        return max(everywhere.retry_after(OVERALL_FACTOR), here.retry_after())

    async def _examine(self, request: Request, target: AuthTarget, now: float) -> AuthResult:
        """Return the result of the scheme, after the nonce count was recorded as used."""
        result = self._scheme.check(self._auth_request(request, target), now)
        if not isinstance(result, Accepted) or await self.use_nonce(result, request, now):
            return result
        return self._scheme.refuse("a count that was used before", now, stale=True)

    async def use_nonce(self, accepted: Accepted, request: Request, now: float) -> bool:
        """Record the nonce count of digest as used; return whether it was not used before."""
        if (use := accepted.nonce_use) is None:
            return True
        store, used = self._store, (use.nonce, use.count, use.made, now)
        if isinstance(store, MemoryAuth):
            return store.use_now(*used)
        if not isinstance(store, AuthFallback):
            return await store.use(*used)
        if not store.memory.use_now(*used):
            return False
        if request.on_checked is not None:
            request.on_checked()
        return await store.confirm(*used)

    def _auth_request(self, request: Request, target: AuthTarget) -> AuthRequest:
        return AuthRequest(
            request.method,
            request.target.decode("latin-1"),
            request.all(b"authorization"),
            target.public_path,
            request.all(self._secret_header) if self._secret_header else (),
        )

    def _key(self, request: Request) -> tuple[str, bytes] | None:
        """Return the cache key of a client; None if more of the request matters."""
        sent, client = request.fields.get(b"authorization"), request.client
        if sent is None or client is None or not (self._recognises and client[1]):
            return None
        return (client[0], sent) if len(request.fields) == len(request.headers) else None

    def _remember(self, key: tuple[str, bytes]) -> None:
        if len(self._known) >= MAX_KNOWN_CLIENTS:
            self._known.clear()
        self._known[key] = None

    def _log(self, level: int, target: AuthTarget, reason: str, source: Source, now: float) -> None:
        key = f"{target.shown} {reason} {group(source.nearest)}"
        if (more := self._log_throttle.due(key, now)) is not None:
            log.log(level, "%s refused: %s, from %s%s", target.shown, reason, source, more)


def _authenticated(result: Accepted, now: float) -> Authenticated:
    """Return the result; a nonce that is used for the first time was made for this callback."""
    if result.nonce_use is None or result.nonce_use.count > 1:
        return UNCHALLENGED
    return Authenticated(max(now - result.nonce_use.made, 0.0))


def _cause(result: Refused) -> Cause:
    if result.status == 400:
        return "unreadable"
    if result.wrong:
        return "wrong"
    return "missing" if result.reason == NO_CREDENTIALS else "other"
