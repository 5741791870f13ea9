"""Masking of the answers that a handler got from other services, such as a CRM.

Rule 1: only the structure of JSON is kept: names of fields, true, false, null and numbers of one
        digit. Other texts and numbers are replaced by pseudonyms of the same form, equal for equal
        ones (an HMAC with a key derived from the service's secret); dates by one date.
Rule 2: a text is kept if it is the destination of the recorded reply, which the record shows
        anyway, or the value of a field that the operator names (``RECEIVER_RECORD_FIELDS``).
Rule 3: the caller's number, in any notation, the caller's name and the digits become marks. A
        replay puts the values of its call there, so that a handler finds them again.
Rule 4: where caller data is shown, texts and numbers are, too. What may be a secret never is: a
        field with a name such as ``access_token``, and long texts without spaces.
Rule 5: of a request only method, host and path are kept, and of the path only the parts that are
        words, unless the call or an answer contains them. Bodies and queries are not: they hold the
        caller's number. Other answers than JSON are left out.
"""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from receiver.calls import Call
from receiver.recording.format import UpstreamAnswer
from receiver.upstream.request_observer import UpstreamRequest

MARK = "~"
"""The only key of an object that stands for the caller's data."""

SAME_NUMBER = 8
"""Last digits that two notations of one phone number have in common; fewer digits must all be."""

MAX_DEPTH = 100
"""Nesting of a recorded body; a deeper one is left out."""

MAX_TEXT = 1000
"""Characters of a text that are kept."""

_MIN_DIGITS = 6  # digits of a phone number
_MIN_KEYS = 3  # fewer keys may be any number
_NAME = re.compile(r"[A-Za-z_$@][A-Za-z0-9_$@.:-]{0,63}")
_NO_NAME = re.compile(r"\d{3}|[^@]@(?!odata\.)", re.IGNORECASE)
"""Parts that no field name contains: a number, or the @ of a mail address (OData has one, too)."""
_SECRET = re.compile(
    r"token|secret|passw|api_?key|authori[sz]ation|credential|cookie|signature|jwt|session",
    re.IGNORECASE,
)
_OPAQUE = re.compile(r"[A-Za-z0-9+/_.=~-]{32,}")
_DATE = re.compile(
    r"\d{4}-\d\d-\d\d((?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?(?:Z|[+-]\d\d:?\d\d)?)"
)
_WORD = re.compile(r"[A-Za-z][A-Za-z_.-]{0,39}|v[0-9]{1,3}(?:\.[0-9]{1,2})?")
_LOWER, _UPPER = "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class AnswerMasker:
    """Masks the answers of one callback after the other.

    Parameters:
        key: of the pseudonyms.
        caller_data: whether texts and numbers are shown.
        fields: names of fields whose values are shown.
    """

    def __init__(
        self, key: bytes, *, caller_data: bool = False, fields: Collection[str] = ()
    ) -> None:
        self._key = key
        self._caller_data = caller_data
        self._fields = frozenset(fields)

    def mask(
        self, requests: Iterable[UpstreamRequest], call: Call, destination: str
    ) -> tuple[UpstreamAnswer, ...]:
        """Return the masked answers.

        Parameters:
            requests: in their order.
            call: whose handler sent them.
            destination: of the reply, as far as the record shows it.
        """
        masking = _CallMasking(self._key, self._caller_data, self._fields, call, destination)
        found = [(request, _parsed(request.body)) for request in requests]
        known = {text.casefold() for _, value in found for text in _texts(value)}
        known |= {word.casefold() for word in (call.caller, call.digits, *call.caller_name.split())}
        return tuple(masking.answer(request, value, known) for request, value in found)


_NO_JSON = object()


def _parsed(body: bytes | None) -> object:
    """Return the value of a body; `_NO_JSON` if it is none."""
    try:
        value = json.loads(body) if body else _NO_JSON
    except (ValueError, RecursionError):
        return _NO_JSON
    return _NO_JSON if _is_deeper(value, MAX_DEPTH) else value


def _parts(value: object) -> Collection[object]:
    """Return the values in an object or an array."""
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _is_deeper(value: object, limit: int) -> bool:
    """Return whether a value is nested deeper than ``limit``; Python's own limit varies."""
    return limit < 0 or any(_is_deeper(part, limit - 1) for part in _parts(value))


def _texts(value: object) -> Iterator[str]:
    """Yield the texts in a value."""
    if isinstance(value, str):
        yield value
    for part in _parts(value):
        yield from _texts(part)


class _CallMasking:
    """Masks the answers of one call."""

    def __init__(
        self,
        key: bytes,
        caller_data: bool,
        fields: frozenset[str],
        call: Call,
        destination: str,
    ) -> None:
        self._key = key
        self._caller_data = caller_data
        self._fields = fields
        self._call = call
        self._destination = destination

    def answer(self, request: UpstreamRequest, value: object, known: set[str]) -> UpstreamAnswer:
        body, left_out = "", bool(request.body) or request.body is None
        if value is not _NO_JSON:
            body, left_out = json.dumps(self._value(value, "", False)), False
        return UpstreamAnswer(
            method=request.method,
            host=request.host,
            path=self._path(request.path, known),
            status=request.status,
            body=body,
            left_out=left_out and request.status is not None,
            retry_after=request.retry_after,
            is_late=request.is_late,
        )

    def _path(self, path: str, known: set[str]) -> str:
        def part(text: str) -> str:
            if self._caller_data and not _OPAQUE.fullmatch(text):
                return text
            is_word = _WORD.fullmatch(text) and text.casefold() not in known
            return text if is_word or not text else "*"

        return "/".join(map(part, path.split("/")))

    def _value(self, value: Any, name: str, secret: bool) -> Any:
        if isinstance(value, dict):
            return {
                self._name(key): self._value(part, key, secret or bool(_SECRET.search(key)))
                for key, part in value.items()
            }
        if isinstance(value, list):
            return [self._value(part, name, secret) for part in value]
        if isinstance(value, str):
            return self._text(value, name, secret)
        if isinstance(value, bool | None):
            return value
        return self._number(value, name, secret)

    def _name(self, name: str) -> str:
        """Return the name of a field; one that may be data is masked."""
        is_data = not _NAME.fullmatch(name) or _NO_NAME.search(name) or self._mark(name)
        return self._pseudonym(name).replace(MARK, "_") if is_data else name

    def _text(self, text: str, name: str, secret: bool) -> object:
        if secret or _OPAQUE.fullmatch(text):
            return self._pseudonym(text)
        if self._caller_data or name in self._fields or (text and text == self._destination):
            return text[:MAX_TEXT]
        if mark := self._mark(text):
            return {MARK: mark}
        if date := _DATE.fullmatch(text):
            return "2000-01-01" + re.sub(r"\d", "0", date[1])
        return self._pseudonym(text)

    def _number(self, value: int | float, name: str, secret: bool) -> object:
        text = repr(value)
        if not secret and (self._caller_data or name in self._fields or text == self._destination):
            return value
        if not secret and (mark := self._mark(text)):
            return {MARK: mark, "number": True}
        if isinstance(value, float):
            return (
                round(float(self._pseudonym(text)), 6) if re.fullmatch(r"-?\d+\.\d+", text) else 0.5
            )
        return value if 0 <= value <= 9 and not secret else int(self._pseudonym(text))

    def _mark(self, text: str) -> str:
        """Return the name of the call's field that ``text`` repeats; empty for none."""
        call = self._call
        if len(call.digits) >= _MIN_KEYS and text == call.digits:
            return "digits"
        if call.caller and (text == call.caller or _is_same_number(text, call.caller)):
            return "caller"
        named = call.caller_name and text.casefold() == call.caller_name.casefold()
        return "caller_name" if named else ""

    def _pseudonym(self, text: str) -> str:
        """Return a text of the same form: digits for digits, letters for letters."""
        text = text[:MAX_TEXT]
        message = f"answer\0{text}".encode("utf-8", "surrogatepass")
        octets = _stream(self._key, message)
        return "".join(_replaced(char, next(octets), at == 0) for at, char in enumerate(text))


def _stream(key: bytes, message: bytes) -> Iterator[int]:
    digest = message
    while True:
        digest = hmac.digest(key, digest, "sha256")
        yield from digest


def _replaced(char: str, octet: int, is_first: bool) -> str:
    if char.isascii() and char.isdigit():
        return str(octet % 9 + 1 if is_first and char != "0" else octet % 10)
    if char in _LOWER:
        return _LOWER[octet % 26]
    if char in _UPPER:
        return _UPPER[octet % 26]
    return char if char.isascii() else "x"


def _is_same_number(text: str, caller: str) -> bool:
    """Return whether ``text`` is another notation of the caller's number."""
    if not re.fullmatch(r"[-+0-9 ()/.]{1,40}", text):
        return False
    one, other = (re.sub(r"\D", "", number).lstrip("0") for number in (text, caller))
    size = min(len(one), len(other), SAME_NUMBER)
    return size >= _MIN_DIGITS and one[-size:] == other[-size:]


def resolved(body: str, call: Call) -> bytes:
    """Return the octets of a recorded body for the replayed ``call``."""

    def value(found: dict[str, Any]) -> object:
        mark = found.get(MARK)
        if mark not in ("digits", "caller", "caller_name"):
            return found
        text: str = getattr(call, mark)
        if not found.get("number"):
            return text
        digits = re.sub(r"\D", "", text) if text.isascii() else ""
        return int(digits or "0")

    try:
        return json.dumps(json.loads(body, object_hook=value)).encode() if body else b""
    except (ValueError, RecursionError):  # the recording was altered
        return b""
