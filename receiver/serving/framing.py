"""How a request must be framed before anything else about it is looked at.

Rule 1: what two parsers could read differently is refused, never mended: that is how requests are
        smuggled past a proxy (RFC 9112 11.2).
Rule 2: the limits are far above what a PBX sends, and far below what costs us anything.
Rule 3: a reason is one of those below, so that nothing that was sent gets into a log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

TARGET_LIMIT = 8192
"""Octets of path and query. RFC 9112 section 3 asks for 8000 at the least."""

FIELDS_LIMIT = 100
"""Header fields. A PBX sends about ten."""

HEADERS_LIMIT = 16_384
"""Octets of all names and values together."""

HEAD_LIMIT = TARGET_LIMIT + HEADERS_LIMIT + 1024
"""Octets of a whole head: also the request line, the line ends and the colons."""

TRAILERS = "receiver.trailers"
"""Key of the scope: what the server does with the fields behind a chunked body."""

APART = "apart"
"""They are not among the headers."""

_VERSIONS = frozenset({"1.1", "1.0", "2", "3"})
_CONTROLS = b"\0\r\n"


@dataclass(frozen=True)
class Bad:
    """Why a request is refused: the status of the answer, and words for the log."""

    status: int
    reason: str


VERSION = Bad(505, "an HTTP version that nobody speaks")  # RFC 9110 15.6.6
TARGET = Bad(414, f"a target over {TARGET_LIMIT} octets")  # RFC 9110 15.5.15
FIELDS = Bad(431, f"over {FIELDS_LIMIT} header fields")  # RFC 6585 5
HEADERS = Bad(431, f"over {HEADERS_LIMIT} octets of headers")  # RFC 6585 5
CONTROL = Bad(400, "a control character in a header")  # RFC 9110 5.5
HOST = Bad(400, "not exactly one Host")  # RFC 9112 3.2
LENGTHS = Bad(400, "Content-Lengths that differ")  # RFC 9112 6.3
LENGTH = Bad(400, "a Content-Length that is no number")  # RFC 9112 6.3
BOTH = Bad(400, "Content-Length with Transfer-Encoding")  # RFC 9112 6.1 and 6.3
ENCODED = Bad(400, "Transfer-Encoding where HTTP/1.1 is not spoken")  # RFC 9112 6.1, 9113 8.2.2
ENCODINGS = Bad(400, "several Transfer-Encodings")  # RFC 9112 7: chunked once, at the end
ENCODING = Bad(501, "a Transfer-Encoding other than chunked")  # RFC 9112 6.1
UPGRADE = Bad(400, "a body with Upgrade, under a server that takes it for no body")  # RFC 9110 7.8
MIXED = Bad(411, "chunked, under a server that puts trailers among the headers")  # RFC 9110 15.5.12


def problem_of_request(
    version: str, target: int, headers: Sequence[tuple[bytes, bytes]], *, apart: bool
) -> Bad | None:
    """What is wrong with how a request is framed.

    This is on the path of every callback: it looks at no header more closely than it must.

    Parameters:
        version: of HTTP, as ASGI writes it.
        target: octets of the path and the query as they were sent.
        headers: names in lower case, and values.
        apart: the server keeps trailers apart from the headers. Where it does not, credentials and
            forwarded addresses in a trailer cannot be told from those of the head. (The one that
            does not also takes the body of a request with Upgrade for the next request.)
    """
    if version not in _VERSIONS:
        return VERSION
    if target > TARGET_LIMIT:
        return TARGET
    if len(headers) > FIELDS_LIMIT:
        return FIELDS
    fields = dict(headers)
    names: Iterable[bytes] = fields
    values: Iterable[bytes] = fields.values()
    if len(fields) < len(headers):
        if bad := _problem_of_repeated(headers):
            return bad
        names, values = zip(*headers, strict=True)
    text = b"".join(values)
    if len(text) + len(b"".join(names)) > HEADERS_LIMIT:
        return HEADERS
    if len(text.translate(None, _CONTROLS)) < len(text):
        return CONTROL
    if b"host" not in fields and version == "1.1":
        return HOST
    if b"transfer-encoding" in fields:
        return _problem_of_encoding(version, fields, apart)
    if not fields.get(b"content-length", b"0").isdigit():
        return LENGTH
    return UPGRADE if not apart and b"upgrade" in fields and b"content-length" in fields else None


def _problem_of_repeated(headers: Iterable[tuple[bytes, bytes]]) -> Bad | None:
    """Of the fields that may stand there once only; the same length twice has one reading."""
    names = [name for name, _ in headers]
    if names.count(b"host") > 1:
        return HOST
    if names.count(b"transfer-encoding") > 1:
        return ENCODINGS
    lengths = {value for name, value in headers if name == b"content-length"}
    return LENGTHS if len(lengths) > 1 else None


def _problem_of_encoding(version: str, fields: Mapping[bytes, bytes], apart: bool) -> Bad | None:
    if version != "1.1":
        return ENCODED
    if b"content-length" in fields:
        return BOTH
    if fields[b"transfer-encoding"].lower() != b"chunked":
        return ENCODING
    return None if apart else MIXED
