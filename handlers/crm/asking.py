"""How the connectors ask: with credentials, and with answers looked at before they are believed.

Rule 1: an answer that is not of the form which the CRM documents is no answer: `Unavailable`.
Rule 2: of what a CRM says nothing is in an error's text but the code of its error, if it looks like
        one. Neither credentials nor callers' data are sent in the clear to another machine.
Rule 3: a refusal stays a `receiver.upstream.UpstreamRefused`, with its status and ``retry_after``:
        whoever asks the connector leaves a CRM alone that says so.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
from collections.abc import AsyncIterator, Awaitable, Collection, Coroutine, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar
from urllib.parse import quote, urlsplit
from weakref import WeakValueDictionary

from handlers.crm.contacts import Contact, Entry, Number
from receiver import Call, DeclarationError, Secret, Unavailable
from receiver.upstream import Answer, Client, UpstreamRefused

T = TypeVar("T")

MOST = 10
"""Contacts that are asked for: one caller is one of a few, or nobody in particular."""

_CODE = re.compile(r"[A-Za-z][A-Za-z0-9_.]{2,79}")
_FORMS = frozenset({"typed", "e164", "national", "significant", "digits"})
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
        header: what its credentials go in, and what stands before them: ``("Authorization",
            "Bearer ")``.
        credentials: where they come from.
        headers: further ones.
        timeout: seconds for one request; the call's own time counts as well.
        ca: a PEM file with the certificate of a private authority.

    Raises:
        DeclarationError: the URL is none, or would be asked in the clear.
    """

    def __init__(
        self,
        name: str,
        url: str,
        header: tuple[str, str],
        credentials: Credentials,
        *,
        headers: Mapping[str, str] | None = None,
        timeout: float,
        ca: str | Path | None,
    ) -> None:
        self._client = Client(safe(url, name), headers=headers, timeout=timeout, ca=ca)
        self._header, self._before = header
        self._credentials = credentials

    async def ask(
        self,
        method: str,
        path: str,
        *,
        call: Call | None = None,
        params: Mapping[str, str | int] | None = None,
        json: object = None,
    ) -> Answer:
        """A 2xx of the CRM. A token that it refuses is renewed, once, if there is a way.

        Raises:
            UpstreamRefused: any other status; the text has the CRM's code for it.
            Unavailable: no answer, or none in time.
        """
        token = await self._credentials.token(call)
        try:
            return await self._send(token, method, path, call, params, json)
        except UpstreamRefused as error:
            if error.status != 401 or not self._credentials.refused(token):
                raise
        token = await self._credentials.token(call)
        return await self._send(token, method, path, call, params, json)

    async def _send(
        self,
        token: str,
        method: str,
        path: str,
        call: Call | None,
        params: Mapping[str, str | int] | None,
        json: object,
    ) -> Answer:
        headers = {self._header: self._before + token}
        try:
            return await self._client.request(
                method, path, call=call, params=params, json=json, headers=headers
            )
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


def rows(answer: Answer, *keys: str) -> list[dict[str, Any]]:
    """The objects of the list that stands under ``keys`` in an answer.

    Raises:
        Unavailable: there is no such list, or no objects in it.
    """
    found = answer.json()
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise Unavailable(f"the answer of {answer.origin} is not of the form that is documented")
    return found


def text(value: object) -> str:
    """An id or a name as text; ``""`` for what is none."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def id_of(row: Mapping[str, Any], key: str = "id") -> str:
    """The id of a record, as text.

    Raises:
        Unavailable: it has none.
    """
    found = text(row.get(key))
    if not found:
        raise Unavailable("a record of the CRM has no id")
    return found


def segment(value: str) -> str:
    """As one part of a path."""
    return quote(value, safe="")


def written(number: Number, forms: Iterable[str]) -> tuple[str, ...]:
    """The number in these of its forms; as digits if it has none of them, ``()`` if it has none."""
    if not number.digits:
        return ()
    found = dict.fromkeys(getattr(number, form) for form in forms)
    return tuple(form for form in found if form) or (number.digits,)


def forms_of(forms: Collection[str], name: str) -> tuple[str, ...]:
    """``forms`` as an option of a connector."""
    if isinstance(forms, str) or not forms or not set(forms) <= _FORMS:
        known = ", ".join(sorted(_FORMS))
        raise DeclarationError(f"{name}: forms= is a list of some of {known}")
    return tuple(forms)


def revealed(value: str | Secret, name: str) -> str:
    """A credential that goes into a header: visible ASCII, and not empty."""
    found = value.reveal() if isinstance(value, Secret) else value
    if not isinstance(found, str) or not re.fullmatch(r"[\x21-\x7e]+", found):
        raise DeclarationError(f"{name} is not given, or no text of visible ASCII characters")
    return found


def identifier(value: str, name: str) -> str:
    """A name of the CRM's own that becomes part of a query, such as that of a field."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.]*", value):
        raise DeclarationError(f"{name} is no name of a field or module: letters, digits, _ and .")
    return value


def safe(url: str, name: str) -> str:
    """``url``, if what is sent there cannot be read on the way.

    Raises:
        DeclarationError: it is neither https nor on this machine.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except (ValueError, TypeError, AttributeError):
        raise DeclarationError(f"{name}: url= cannot be read as a URL") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_here(host)):
        raise DeclarationError(f"{name}: url= is the https URL of your CRM")
    return url


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def together(asked: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all, which run at the same time; the first error ends the others."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in asked]
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


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
    """The call in one line, for people who read it in the CRM."""
    end = f"{entry.outcome} to {entry.destination}" if entry.destination else entry.outcome
    return f"Call from {entry.caller.e164 or entry.caller.typed} to {entry.ivr}: {end}"
