"""May this request ask? Where it came from, who it is, and how often it was wrong before.

Rule 1: everything that keeps a request out is here, in this order: its source, too many failures
        before, its credentials, what it used up before.
Rule 2: a source that failed too often is not examined for a while, so that it learns nothing. One
        on the list of allowed sources always is, and so is whatever comes through a proxy that
        nobody named, for all behind it are one source: no stranger's failures keep the PBX out.
Rule 3: only wrong credentials count as a failure, no missing, stale or unreadable ones: a client
        that begins digest anew for every callback has done nothing wrong.
Rule 4: a log line has the source and the reason, and nothing that a stranger wrote.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import quote

from starlette.types import Scope

from receiver.auth import NO_CREDENTIALS, Accepted, Asked, Refused, Scheme, Verdict
from receiver.exchange import Header
from receiver.seldom import Seldom
from receiver.sources import Source, Sources
from receiver.stores import Store
from receiver.throttle import group

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


class Admission:
    """Lets requests in to one action, or to none.

    Parameters:
        identity: of the action, for the log and to add up failures by.
        scheme: who may ask.
        sources: whence.
        store: what was used up, and who failed.
        public_path: the path of the URL that the PBX has.
        secret_header: the name of the header with a secret; empty if there is none.
        seldom: keeps the log from being flooded.
        shown: takes the place of the identity in the log.
    """

    def __init__(
        self,
        identity: str,
        scheme: Scheme,
        sources: Sources,
        store: Store,
        *,
        public_path: str = "",
        secret_header: str = "",
        seldom: Seldom,
        shown: str = "",
    ) -> None:
        self._identity = identity
        self._scheme = scheme
        self._sources = sources
        self._store = store
        self._public_path = public_path
        self._seldom = seldom
        self._shown = shown or identity
        self._secret_header = secret_header.lower().encode()

    async def judge(self, scope: Scope, now: float) -> Turned | None:
        """None if the request may ask ``now`` (seconds since the epoch)."""
        source = self._sources.find((scope.get("client") or ("",))[0], scope["headers"])
        if not self._sources.allows(source):
            self._log(logging.WARNING, "it is not in RECEIVER_ALLOWED_SOURCES", source, now)
            return Turned(403, (), source, "source")
        examined = source.shared or self._sources.lists(source)
        key = f"{group(source.address)} {self._identity}"
        if not examined and (wait := (await self._store.standing(key, now)).wait(now)):
            return _too_often(wait, source)
        verdict = await self._examine(self._asked(scope), now)
        if not isinstance(verdict, Refused):
            return None
        level = logging.INFO if verdict.reason == NO_CREDENTIALS else logging.WARNING
        self._log(level, verdict.reason, source, now)
        if verdict.wrong and (wait := (await self._store.failed(key, now)).wait(now)):
            self._log(logging.WARNING, "too many wrong credentials, kept waiting", source, now)
            if examined:
                return _too_often(wait, source)
        challenges = tuple((b"www-authenticate", text.encode()) for text in verdict.challenges)
        return Turned(verdict.status, challenges, source, _cause(verdict))

    async def _examine(self, asked: Asked, now: float) -> Verdict:
        """The scheme's verdict, after what it lets in once was used up."""
        verdict = self._scheme.check(asked, now)
        if not isinstance(verdict, Accepted) or (once := verdict.once) is None:
            return verdict
        if await self._store.use(once.nonce, once.count, once.made, now):
            return verdict
        return self._scheme.refuse("a count that was used before", now, stale=True)

    def _asked(self, scope: Scope) -> Asked:
        raw = scope.get("raw_path") or quote(scope["path"]).encode()
        query = scope["query_string"]
        target = (raw + b"?" + query if query else raw).decode("latin-1")
        asked = Asked(scope["method"], target, _all(scope, b"authorization"), self._public_path)
        if self._secret_header:
            return replace(asked, keys=_all(scope, self._secret_header))
        return asked

    def _log(self, level: int, reason: str, source: Source, now: float) -> None:
        line = f"{self._shown} refused: {reason}, from {source}"
        if (more := self._seldom.due(line, now)) is not None:
            log.log(level, "%s%s", line, more)


def _cause(verdict: Refused) -> Cause:
    if verdict.status == 400:
        return "unreadable"
    if verdict.wrong:
        return "wrong"
    return "missing" if verdict.reason == NO_CREDENTIALS else "other"


def _all(scope: Scope, name: bytes) -> tuple[str, ...]:
    return tuple(value.decode("latin-1") for key, value in scope["headers"] if key == name)


def _too_often(wait: int, source: Source) -> Turned:
    return Turned(429, ((b"retry-after", str(wait).encode()),), source, "waiting")
