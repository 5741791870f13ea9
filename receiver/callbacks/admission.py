"""May this request ask? Where it came from, who it is, and how often it was wrong before.

Rule 1: everything that keeps a request out is here, in this order: its source, too many failures
        before, its credentials, what it used up before.
Rule 2: a source that failed too often is not examined for a while, so that it learns nothing:
        first at the action, later at all of them. One on the list of allowed sources always is
        examined, and so is one that strangers may share with the PBX: nobody else's failures keep
        the PBX out. Wrong credentials are told to wait there too.
Rule 3: only wrong credentials count as a failure, no missing, stale or unreadable ones: a client
        that begins digest anew for every callback has done nothing wrong.
Rule 4: a log line has the source and the reason, and nothing that a stranger wrote.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Literal, NamedTuple
from urllib.parse import quote

from starlette.types import Scope

from receiver.auth import NO_CREDENTIALS, Accepted, Asked, Refused, Scheme, Verdict
from receiver.auth.sources import Source, Sources
from receiver.auth.throttle import group
from receiver.callbacks.exchange import Header
from receiver.stores import Store
from receiver.telemetry.seldom import Seldom

EVERYWHERE = 10
"""How many times as often as at one action a source may fail at all of them together."""

log = logging.getLogger("receiver")

Cause = Literal["source", "waiting", "missing", "wrong", "unreadable", "other"]
"""Why a request is turned away, for counting: where it came from, that its source failed too often,
no credentials, wrong ones, some that cannot be read, or others than are asked for now."""


@dataclass(frozen=True, slots=True)
class Turned:
    """Not let in: what is answered.

    Attributes:
        status: of HTTP.
        headers: of the answer.
        source: where the request came from, as far as it is known.
        cause: in one of the words of `Cause`.
    """

    status: int
    headers: tuple[Header, ...]
    source: Source
    cause: Cause

    @property
    def foreign(self) -> bool:
        """Whether it was turned away because of its source alone."""
        return self.cause == "source"


@dataclass(frozen=True, slots=True)
class Admitted:
    """Let in.

    Attributes:
        spent: seconds since this callback first came, to be challenged; 0 if it came once only.
    """

    spent: float = 0.0


_AT_ONCE = Admitted()


class Place(NamedTuple):
    """What a request asks for.

    Attributes:
        identity: of an action, to add up failures by.
        public_path: the path of the URL that the PBX has.
        shown: what the log calls it.
    """

    identity: str
    public_path: str
    shown: str


class Admission:
    """Lets requests in.

    Parameters:
        scheme: who may ask.
        sources: whence.
        store: what was used up, and who failed.
        seldom: keeps the log from being flooded.
        secret_header: the name of the header with a secret; empty if there is none.
    """

    def __init__(
        self,
        scheme: Scheme,
        sources: Sources,
        store: Store,
        seldom: Seldom,
        *,
        secret_header: str = "",
    ) -> None:
        self._scheme = scheme
        self._sources = sources
        self._store = store
        self._seldom = seldom
        self._secret_header = secret_header.lower().encode()

    async def judge(self, scope: Scope, place: Place, now: float) -> Admitted | Turned:
        """Whether the request may ask at ``place``, ``now`` (seconds since the epoch)."""
        source = self._sources.find(scope.get("client"), scope["headers"])
        if not self._sources.allows(source):
            self._log(logging.WARNING, place, "it is not in RECEIVER_ALLOWED_SOURCES", source, now)
            return Turned(403, (), source, "source")
        examined = source.shared or self._sources.lists(source)
        if not examined and (wait := await self._wait(source, place, now)):
            return _too_often(wait, source)
        verdict = await self._examine(self._asked(scope, place), now)
        if not isinstance(verdict, Refused):
            return _admit(verdict, now)
        level = logging.INFO if verdict.reason == NO_CREDENTIALS else logging.WARNING
        self._log(level, place, verdict.reason, source, now)
        if verdict.wrong and (wait := await self._fail(source, place, now)):
            self._log(logging.WARNING, place, "too many wrong credentials", source, now)
            if examined:
                return _too_often(wait, source)
        challenges = tuple((b"www-authenticate", text.encode()) for text in verdict.challenges)
        return Turned(verdict.status, challenges, source, _cause(verdict))

    async def _wait(self, source: Source, place: Place, now: float) -> int:
        """Seconds until it is examined again."""
        sender = group(source.address)
        everywhere = await self._store.standing(sender, now)
        if wait := everywhere.wait(now, EVERYWHERE):
            return wait
        return (await self._store.standing(_key(sender, place), now)).wait(now)

    async def _fail(self, source: Source, place: Place, now: float) -> int:
        """Count a failure; seconds until it is examined again."""
        sender = group(source.address)
        everywhere = await self._store.failed(sender, now)
        here = await self._store.failed(_key(sender, place), now)
        return everywhere.wait(now, EVERYWHERE) or here.wait(now)

    async def _examine(self, asked: Asked, now: float) -> Verdict:
        """The scheme's verdict, after what it lets in once was used up."""
        verdict = self._scheme.check(asked, now)
        if not isinstance(verdict, Accepted) or (once := verdict.once) is None:
            return verdict
        if await self._store.use(once.nonce, once.count, once.made, now):
            return verdict
        return self._scheme.refuse("a count that was used before", now, stale=True)

    def _asked(self, scope: Scope, place: Place) -> Asked:
        raw = scope.get("raw_path") or quote(scope["path"]).encode()
        query = scope["query_string"]
        target = (raw + b"?" + query if query else raw).decode("latin-1")
        keys = _all(scope, self._secret_header) if self._secret_header else ()
        sent = _all(scope, b"authorization")
        return Asked(scope["method"], target, sent, place.public_path, keys)

    def _log(self, level: int, place: Place, reason: str, source: Source, now: float) -> None:
        key = f"{place.shown} {reason} {group(source.address)}"
        if (more := self._seldom.due(key, now)) is not None:
            log.log(level, "%s refused: %s, from %s%s", place.shown, reason, source, more)


def _admit(verdict: Accepted, now: float) -> Admitted:
    """A nonce that is used for the first time was made for this callback."""
    if verdict.once is None or verdict.once.count > 1:
        return _AT_ONCE
    return Admitted(max(now - verdict.once.made, 0.0))


def _key(sender: str, place: Place) -> str:
    return f"{sender} {place.identity}"


def _cause(verdict: Refused) -> Cause:
    if verdict.status == 400:
        return "unreadable"
    if verdict.wrong:
        return "wrong"
    return "missing" if verdict.reason == NO_CREDENTIALS else "other"


def _all(scope: Scope, name: bytes) -> tuple[str, ...]:
    return tuple([value.decode("latin-1") for key, value in scope["headers"] if key == name])


def _too_often(wait: int, source: Source) -> Turned:
    return Turned(429, ((b"retry-after", str(wait).encode()),), source, "waiting")
