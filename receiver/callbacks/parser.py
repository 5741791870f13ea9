"""Parse the fields of a callback, in any form that a PBX may use.

Rule 1: a missing, null or unusual field becomes an empty string and an oddity, never an error: a
        caller is on the line. Only two requests are not callbacks: one without any known field,
        and one with two different values of a field that determines the reply (from, to, input,
        session_id): one of them is forged, because the caller chooses the display name.
Rule 2: the form is recognised by the content, not by the content type, which is not documented.
Rule 3: numbers are kept as written: a card number is text.
Rule 4: an action without authentication is open to all clients, so every form is parsed in linear
        time; the reader limits the body, and this module the content type and the fields.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterable
from io import BytesIO
from typing import Any, NamedTuple
from urllib.parse import unquote_plus, unquote_to_bytes

from msgspec import DecodeError, Struct
from msgspec import field as named
from msgspec.json import Decoder
from python_multipart import parse_form
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field, parse_options_header

from receiver.call_context import UNBACKED
from receiver.callbacks.lenient_json import DECIDING, read_fields
from receiver.calls import WIRE, Call, make_call
from receiver.errors import CallbackError

_FIELDS = frozenset(key.encode() for key in WIRE)
_MAX_FIELDS = 100
_MAX_CONTENT_TYPE = 300  # characters of a content type: a boundary has at most 70 (RFC 2046 5.1.1)
# Any other name would be looked up as a module, and be kept by Python.
_CHARSET = re.compile(
    r"iso-?8859-?[0-9]{1,2}|latin-?[0-9]{1,2}|(?:windows-|cp)[0-9]{3,4}|(?:us-)?ascii|koi8-[ru]"
    r"|utf-?(?:8|16|32)(?:-?[bl]e)?|gb(?:k|2312|18030)|big5|shift-?jis|euc-(?:jp|kr)|iso-2022-jp",
    re.IGNORECASE,
)
_LOST_PLUS = re.compile(r"\A (?=[0-9][0-9 ]*\Z)")
_UTF8_BOM = codecs.BOM_UTF8


class Callback(NamedTuple):
    """A call, and deviations of its request from the documentation, as texts for the log."""

    call: Call
    oddities: tuple[str, ...] = ()


def read_query(query: bytes) -> Callback:
    """Parse the query string of a GET, or of a POST with an empty body.

    Raises:
        CallbackError: all six fields are missing, one that determines the reply has two values, or
            there are over 100 fields.
    """
    if (call := _plain_query(query)) is not None:
        return Callback(call)
    return _call(_pairs(_split_second_query(query)))


def read_body(body: bytes, content_type: str = "") -> Callback:
    """Parse the body of a POST: JSON, an urlencoded form, or a multipart form.

    Parameters:
        body: unchanged.
        content_type: the header, if any. It is used only for the boundary of a multipart form
            and for a charset where the text is not UTF-8.

    Raises:
        CallbackError: it has another form, none of the six fields, or two values of one that
            determines the reply.
    """
    if (call := _plain(body)) is not None:
        return Callback(call)
    charset, boundary = _options(content_type)
    start = body.removeprefix(_UTF8_BOM).lstrip()[:2]
    if start[:1] == b"{" or body[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE, b"\0{"):
        return _json(body, charset)
    if boundary or start == b"--":
        return _call(_multipart(body, boundary, charset))
    return _call(_pairs(body, charset))


def _call(pairs: Iterable[tuple[str, str | None]], *odd: str) -> Callback:
    fields: dict[str, Any] = {}
    oddities = list(odd)
    for key, value in pairs:
        name = WIRE.get(key)
        if name is None:
            continue
        if value is None:
            oddities.append(f"{key} is neither text nor a number")
        if name not in fields:
            fields[name] = value or ""
        else:
            oddities.append(f"{key} came more than once")
            fields[name] = _same(key, fields[name], value or "")
    if not fields:
        raise CallbackError(
            "the request holds none of the fields from, to, input, from_name, account_name, "
            "session_id: it is not a callback of an action URL"
        )
    if len(fields) < len(WIRE):
        oddities += [f"{key} is missing" for key, name in WIRE.items() if name not in fields]
    for name in ("caller", "ivr"):
        if " " in fields.get(name, ""):
            fields[name] = _LOST_PLUS.sub("+", fields[name])
    return Callback(Call(**fields, context=UNBACKED), tuple(oddities))


def _same(key: str, first: str, second: str) -> str:
    """Return the value that a field has twice, an empty one for a name that has two values."""
    if first == second:
        return first
    if key in DECIDING:
        raise CallbackError(f"{key} came twice with different values: which is genuine is unknown")
    return ""


# urlencoded ----------------------------------------------------------------------------------


def _pairs(text: bytes, charset: str = "") -> list[tuple[str, str | None]]:
    pairs = text.strip(b"\r\n").split(b"&")
    if len(pairs) > _MAX_FIELDS:
        raise CallbackError(f"the request holds more than {_MAX_FIELDS} fields")
    split = (pair.partition(b"=") for pair in pairs if pair)
    return [(_unquoted(key, charset), _unquoted(value, charset)) for key, _, value in split]


def _plain_query(query: bytes) -> Call | None:
    """Return the call of a plain query with each field once, in UTF-8; None for any other."""
    if not query.isascii() or len(query.translate(None, b"?\r\n")) < len(query):
        return None
    text = query.decode()
    pairs = [pair.split("=", 1) for pair in text.split("&")]
    if len(pairs) != len(WIRE):
        return None
    try:
        fields: dict[str, str] = dict(pairs)
        if "%" in text or "+" in text:
            fields = {key: unquote_plus(value, errors="strict") for key, value in fields.items()}
        caller, ivr = fields["from"], fields["to"]
        if " " in caller or " " in ivr:
            return None
        return make_call(
            *(caller, fields["from_name"], ivr, fields["account_name"], fields["input"]),
            fields["session_id"],
            UNBACKED,
        )
    except (ValueError, KeyError):
        return None


def _unquoted(octets: bytes, charset: str) -> str:
    if b"+" in octets or b"%" in octets:
        octets = unquote_to_bytes(octets.replace(b"+", b" "))
    return _text(octets, charset)


def _split_second_query(query: bytes) -> bytes:
    """Split ``k=v?session_id=1&…``, which a PBX sends if the configured URL has a query.

    Only the first field of the documented orders is looked for, and only before all other fields:
    a caller's name, which follows it, may contain a question mark.
    """
    if b"?" not in query:
        return query
    for first in (b"session_id", b"from"):
        before, mark, after = query.partition(b"?" + first + b"=")
        keys = {pair.partition(b"=")[0] for pair in before.split(b"&")}
        if mark and _FIELDS.isdisjoint(keys):
            return before + b"&" + mark[1:] + after
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
    """Return the call of a body with the six fields once each, without an escaped quote.

    None for any other form, which the rest of this module parses, ten times as slowly.
    """
    if body.count(b'"') != _QUOTES:
        return None
    try:
        read = _decode_plain(body)
    except (DecodeError, UnicodeError):
        return None
    if " " in read.caller or " " in read.ivr:
        return None
    return make_call(
        *(read.caller, read.caller_name, read.ivr, read.ivr_name, read.digits, read.session_id),
        UNBACKED,
    )


def _keep_pairs(pairs: list[tuple[str, object]]) -> list[tuple[str, object]]:
    return pairs


# Numbers are kept as text, so that none is too long or loses a digit.
_DECODER = json.JSONDecoder(
    object_pairs_hook=_keep_pairs, parse_int=str, parse_float=str, parse_constant=str
)


def _json(body: bytes, charset: str) -> Callback:
    encoding = json.detect_encoding(body)
    text = (
        _text(body, charset) if encoding.startswith("utf-8") else body.decode(encoding, "replace")
    )
    text = text.removeprefix("\ufeff")
    try:
        pairs = _DECODER.decode(text)
    except (ValueError, RecursionError):
        pairs = [(key, _whole(value)) for key, value in read_fields(text)]
        return _call(pairs, "the body is not valid JSON; only unambiguous fields were read")
    return _call((key, _scalar(value)) for key, value in pairs)


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
        if len(pairs) < _MAX_FIELDS and field.field_name is not None:
            pairs.append((_text(field.field_name, charset), _text(field.value or b"", charset)))

    headers = {"Content-Type": b'multipart/form-data; boundary="%b"' % boundary}
    try:
        parse_form(headers, BytesIO(body.lstrip()), on_field, lambda _: None)
    except (FormParserError, ValueError):
        raise CallbackError("the body begins like a multipart form but cannot be read") from None
    return pairs


# charsets ------------------------------------------------------------------------------------


def _options(content_type: str) -> tuple[str, bytes]:
    """Return the charset and the boundary of a content type, empty if missing."""
    if ";" not in content_type or len(content_type) > _MAX_CONTENT_TYPE:
        return "", b""
    _, options = parse_options_header(content_type.encode("latin-1", "replace"))
    charset = options.get(b"charset", b"").decode("latin-1").replace("_", "-")
    known = _CHARSET.fullmatch(charset) is not None
    return charset if known else "", options.get(b"boundary", b"")


def _text(octets: bytes, charset: str) -> str:
    """Decode octets as UTF-8, else by the named charset, else with replacement characters."""
    try:
        return octets.decode()
    except UnicodeDecodeError:
        try:
            return _whole(octets.decode(charset or "utf-8"))
        except (LookupError, UnicodeError, ValueError):
            return octets.decode("utf-8", "replace")


def _whole(text: str) -> str:
    """Return ``text`` with replacement characters for lone surrogates."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
