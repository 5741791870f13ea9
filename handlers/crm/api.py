"""How these connectors ask: with credentials, some of which run out, and one entry after another.

Rule 1: an answer that is not of the form which the CRM documents is `Unavailable`, as is none.
Rule 2: of what a CRM says nothing is in an error's text but its code for it, if it looks like
        one; what to do about it is. A refusal stays a `receiver.upstream.UpstreamRefused`.
Rule 3: a token that is refused is renewed at most once for a request.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Protocol, TypeVar
from urllib.parse import quote
from weakref import WeakValueDictionary

from handlers.crm.asking import Paced, row, rows, text_of
from handlers.crm.contacts import Contact, Entry
from handlers.crm.options import safe
from handlers.crm.terms import Terms
from receiver import Call, Unavailable
from receiver.upstream import Answer, UpstreamRefused

T = TypeVar("T")

BEARER = ("Authorization", "Bearer ")
"""The header of most CRMs, see `Api`."""

MOST = 10
"""Contacts that are asked for: one caller is one of a few, or nobody in particular."""

_CODE = re.compile(r"(?=.{3,80}$)[A-Za-z][A-Za-z0-9]*([_.][A-Za-z0-9]+)+")  # no name of a person
_WORDS = {
    401: "the credentials are wrong, or no longer valid",
    403: "these credentials may not do this, or a limit is used up",
    404: "it is not there: see url= and what is asked for",
    429: "its limit is used up for now",
}


class Credentials(Protocol):
    """What goes into the header; see `Fixed` and `handlers.crm.tokens.OAuth`."""

    async def token(self, call: Call | None) -> str:
        """A good one, as far as is known."""
        ...

    def refused(self, token: str) -> bool:
        """The CRM refused it; True if another try is worth while."""
        ...


class Fixed:
    """A token that was made by hand and is good until it is not."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self, call: Call | None) -> str:
        return self._token

    def refused(self, token: str) -> bool:
        return False


class Api:
    """The REST interface of one CRM.

    Parameters:
        name: of the connector, as errors of its declaration have it.
        url: where it is; https, or on this machine.
        header: what its credentials go in, and what stands before them: see `BEARER`.
        credentials: where they come from.
        terms: on which it may be asked.
        burst: requests that may come at once after a pause.
        headers: further ones.

    Raises:
        DeclarationError: the URL is none, or would be asked in the clear; or the terms are wrong.
    """

    def __init__(
        self,
        name: str,
        url: str,
        header: tuple[str, str],
        credentials: Credentials,
        terms: Terms,
        *,
        burst: int = 10,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._client = Paced(terms.client(safe(url, name), headers), terms.pace(burst))
        self._header, self._before = header
        self._credentials = credentials

    async def ask(
        self,
        method: str,
        path: str,
        *,
        call: Call | None = None,
        aside: bool = False,
        params: Mapping[str, str | int] | None = None,
        json: object = None,
    ) -> Answer:
        """A 2xx of the CRM. A token that it refuses is renewed, once, if there is a way.

        Parameters:
            call: whose time it is; None for nobody's.
            aside: nobody waits, see `handlers.crm.pace`.

        Raises:
            UpstreamRefused: any other status; the text has the CRM's code for it.
            Unavailable: no answer, or none in time.
        """
        send = partial(self._send, method, path, call=call, aside=aside, params=params, json=json)
        token = await self._credentials.token(call)
        try:
            return await send(token)
        except UpstreamRefused as error:
            if error.status != 401 or not self._credentials.refused(token):
                raise
        return await send(await self._credentials.token(call))

    async def _send(self, method: str, path: str, token: str, **further: Any) -> Answer:
        headers = {self._header: self._before + token}
        try:
            return await self._client.request(method, path, headers=headers, **further)
        except UpstreamRefused as error:
            said = (code(error), _WORDS.get(error.status, ""))
            raise UpstreamRefused(
                ": ".join([str(error), *filter(None, said)]),
                status=error.status,
                retry_after=error.retry_after,
                body=error.body,
            ) from None


class OneByOne:
    """Lets what has one key happen one after another: ``async with one(entry.key)``."""

    def __init__(self) -> None:
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    @asynccontextmanager
    async def __call__(self, key: str) -> AsyncIterator[None]:
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            yield


def code(error: UpstreamRefused) -> str:
    """What the CRM calls the error, ``""`` if it says nothing that looks like a name for it."""
    try:
        said = json.loads(error.body)
    except (ValueError, RecursionError):
        return ""
    if isinstance(said, dict) and isinstance(said.get("data"), list):
        said = said["data"]
    if isinstance(said, list):
        said = said[0] if said else None
    if not isinstance(said, dict):
        return ""
    names = (said.get(key) for key in ("errorCode", "code", "name", "error"))
    return next((n for n in names if isinstance(n, str) and _CODE.fullmatch(n)), "")


def listed(answer: Answer, *keys: str) -> list[Mapping[str, Any]]:
    """The objects of the list that stands under ``keys`` in an answer.

    Raises:
        Unavailable: there is no such list, or something else in it.
    """
    return rows(_under(answer, keys), f"the answer of {answer.origin}")


def single(answer: Answer, *keys: str) -> Mapping[str, Any]:
    """The object that stands there; parameters and errors as for `listed`."""
    return row(_under(answer, keys), f"the answer of {answer.origin}")


def _under(answer: Answer, keys: Iterable[str]) -> object:
    value = answer.json()
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def id_of(record: Mapping[str, Any], key: str = "id") -> str:
    """The id of a record, as text.

    Raises:
        Unavailable: it has none.
    """
    there = text_of(record.get(key))
    if not there:
        raise Unavailable("a record of the CRM has no id")
    return there


def segment(value: str) -> str:
    """As one part of a path."""
    return quote(value, safe="")


async def together(asked: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all, which run at the same time; or the first error, once all have ended."""
    results = await asyncio.gather(*asked, return_exceptions=True)
    good = [result for result in results if not isinstance(result, BaseException)]
    for result in results:
        if isinstance(result, BaseException):
            raise result
    return good


async def found(asked: Awaitable[Answer], *keys: str) -> Mapping[str, Any] | None:
    """The object in the answer, as by `single`; None if the CRM says that it is not there."""
    answer = await unless_missing(asked)
    return None if answer is None else single(answer, *keys)


async def unless_missing(asked: Awaitable[T]) -> T | None:
    """None if the CRM says that what was asked for is not there."""
    try:
        return await asked
    except UpstreamRefused as error:
        if error.status != 404:
            raise
        return None


def each_once(contacts: Iterable[Contact]) -> tuple[Contact, ...]:
    """Without those whose id was there before."""
    return tuple({contact.id: contact for contact in reversed([*contacts])}.values())[::-1]


def told(entry: Entry) -> str:
    """The call in one line, for people who read it in the CRM; no other text of the caller's.

    What was typed may be anything, and in some CRMs this is HTML.
    """
    end = f"{entry.outcome} to {entry.destination}" if entry.destination else entry.outcome
    return f"Call from {entry.caller.e164 or entry.caller.digits} to {entry.ivr}: {end}"
