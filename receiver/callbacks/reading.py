"""What the PBX says about a call, read from whatever form it comes in.

Rule 1: what is missing, null or odd becomes an empty string and an oddity, never an error: a
        person is on the line. Only a request without a single known field is no callback.
Rule 2: the form is told by the content, never by the content type, which is not documented.
Rule 3: numbers stay as they were written: a card number is text.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

from msgspec import DecodeError, Struct
from msgspec import field as named
from msgspec.json import Decoder
from python_multipart import parse_form
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, parse_options_header

from receiver.calls import WIRE, Call
from receiver.errors import CallbackError

_FIELDS_MOST = 100
_LOST_PLUS = re.compile(r" (?=[0-9]+\Z)")
_UTF8_BOM = codecs.BOM_UTF8


class Callback(NamedTuple):
    """A call, and what was odd about the way it arrived (words for the log, no caller data)."""

    call: Call
    oddities: tuple[str, ...] = ()


def read_query(query: bytes) -> Callback:
    """Read the query string of a GET, or of a POST whose body was empty.

    Raises:
        CallbackError: none of the six fields is there, or there are over 100 of them.
    """
    return _call(_pairs(_split_second_query(query)))


def read_body(body: bytes, content_type: str = "") -> Callback:
    """Read the body of a POST: JSON, an urlencoded form, or a multipart form.

    Parameters:
        body: as it came.
        content_type: the header, if any. It is asked only for the boundary of a multipart form
            and for a charset where the text is not UTF-8.

    Raises:
        CallbackError: it is none of these, or holds none of the six fields.
    """
    if (call := _plain(body)) is not None:
        return Callback(call)
    charset, boundary = _options(content_type)
    start = body.removeprefix(_UTF8_BOM).lstrip()[:2]
    if start[:1] == b"{" or body[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"\0{"):
        return _call(_json(body, charset))
    if boundary or start == b"--":
        return _call(_multipart(body, boundary, charset))
    return _call(_pairs(body, charset))


def _call(pairs: Iterable[tuple[str, str | None]]) -> Callback:
    found: dict[str, Any] = {}
    oddities: list[str] = []
    for key, value in pairs:
        name = WIRE.get(key)
        if name is None:
            continue
        if name in found:
            oddities.append(f"{key} came more than once, the last one counts")
        if value is None:
            oddities.append(f"{key} is neither text nor a number")
        found[name] = value or ""
    if not found:
        raise CallbackError(
            "the request holds none of the fields from, to, input, from_name, account_name, "
            "session_id: it is not a callback of an action URL"
        )
    if len(found) < len(WIRE):
        oddities += [f"{key} is missing" for key, name in WIRE.items() if name not in found]
    for name in ("caller", "ivr"):
        if " " in found.get(name, ""):
            found[name] = _LOST_PLUS.sub("+", found[name])
    return Callback(Call(**found), tuple(oddities))


# urlencoded ----------------------------------------------------------------------------------


def _pairs(text: bytes, charset: str = "") -> list[tuple[str, str | None]]:
    pairs = text.strip(b"\r\n").split(b"&")
    if len(pairs) > _FIELDS_MOST:
        raise CallbackError(f"the request holds more than {_FIELDS_MOST} fields")
    split = (pair.partition(b"=") for pair in pairs if pair)
    return [(_unquoted(key, charset), _unquoted(value, charset)) for key, _, value in split]


def _unquoted(octets: bytes, charset: str) -> str:
    if b"+" in octets or b"%" in octets:
        octets = unquote_to_bytes(octets.replace(b"+", b" "))
    return _text(octets, charset)


def _split_second_query(query: bytes) -> bytes:
    """Part ``k=v?session_id=1&…``, which a PBX sends if the configured URL had a query already.

    Only the first field of the documented orders is looked for, and only if it is not there
    otherwise: a caller's name may hold a question mark.
    """
    if b"?" not in query:
        return query
    keys = {pair.partition(b"=")[0] for pair in query.split(b"&")}
    for first in (b"session_id", b"from"):
        if first not in keys and b"?" + first + b"=" in query:
            return query.replace(b"?" + first + b"=", b"&" + first + b"=", 1)
    return query


# JSON ----------------------------------------------------------------------------------------


class _Plain(Struct):
    """The documented callback (PBX 22.3): all six fields, all of them text."""

    session_id: str
    caller: str = named(name="from")
    ivr: str = named(name="to")
    digits: str = named(name="input")
    caller_name: str = named(name="from_name")
    ivr_name: str = named(name="account_name")


_decode_plain = Decoder(_Plain).decode
_QUOTES = 4 * len(WIRE)


def _plain(body: bytes) -> Call | None:
    """The call of a body that holds those six fields once each, without an escaped quote.

    None leaves it to the rest of this module, which reads whatever comes, ten times as slowly.
    """
    if body.count(b'"') != _QUOTES:
        return None
    try:
        read = _decode_plain(body)
    except (DecodeError, UnicodeError):
        return None
    if " " in read.caller or " " in read.ivr:
        return None
    return Call(
        read.caller, read.caller_name, read.ivr, read.ivr_name, read.digits, read.session_id
    )


def _keep_pairs(pairs: list[tuple[str, object]]) -> list[tuple[str, object]]:
    return pairs


# Numbers stay the text they were, so that none is too long or loses a digit.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_keep_pairs, parse_int=str, parse_float=str, parse_constant=str
)


def _json(body: bytes, charset: str) -> list[tuple[str, str | None]]:
    encoding = json.detect_encoding(body)
    text = (
        _text(body, charset) if encoding.startswith("utf-8") else body.decode(encoding, "replace")
    )
    try:
        pairs = _DECODER.decode(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        raise CallbackError("the body begins like JSON but cannot be read as JSON") from None
    return [(key, _scalar(value)) for key, value in pairs]


def _scalar(value: object) -> str | None:
    if value is None:
        return ""
    if not isinstance(value, str):
        return None
    return _whole(value)


# multipart -----------------------------------------------------------------------------------


def _multipart(body: bytes, boundary: bytes, charset: str) -> list[tuple[str, str | None]]:
    boundary = boundary or body.lstrip().split(b"\n", 1)[0].strip()[2:]
    pairs: list[tuple[str, str | None]] = []

    def on_field(field: Field) -> None:
        if len(pairs) < _FIELDS_MOST and field.field_name is not None:
            pairs.append((_text(field.field_name, charset), _text(field.value or b"", charset)))

    headers = {"Content-Type": b'multipart/form-data; boundary="%b"' % boundary}
    try:
        parse_form(headers, BytesIO(body.lstrip()), on_field, lambda _: None)
    except (FormParserError, ValueError):
        raise CallbackError("the body begins like a multipart form but cannot be read") from None
    return pairs


# charsets ------------------------------------------------------------------------------------


def _options(content_type: str) -> tuple[str, bytes]:
    """The charset and the boundary that a content type names, empty where it names none."""
    if ";" not in content_type:
        return "", b""
    _, options = parse_options_header(content_type.encode("latin-1", "replace"))
    return options.get(b"charset", b"").decode("latin-1"), options.get(b"boundary", b"")


def _text(octets: bytes, charset: str) -> str:
    """UTF-8 if it is that, else in the charset that was named, else with marks for the rest."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        try:
            return _whole(octets.decode(charset or "utf-8"))
        except (LookupError, UnicodeError, ValueError):
            return octets.decode("utf-8", "replace")


def _whole(text: str) -> str:
    """``text`` with marks for halves of characters, which nothing could send on."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
