"""Checks of a request's framing, before anything else of it is processed.

Rule 1: a request that two parsers could read differently is refused, never repaired: otherwise
        requests could be smuggled past a proxy (RFC 9112 11.2).
Rule 2: the limits are far above the requests of a PBX, and far below a noticeable cost.
Rule 3: a reason is one of those below, so that no data of a request gets into a log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

Header = tuple[bytes, bytes]
"""Name and value."""

TARGET_LIMIT = 8192
"""Octets of path and query. RFC 9112 section 3 requires at least 8000."""

FIELDS_LIMIT = 100
"""Header fields. A PBX sends about ten."""

HEADERS_LIMIT = 16_384
"""Octets of all names and values together."""

HEAD_LIMIT = TARGET_LIMIT + HEADERS_LIMIT + 1024
"""Octets of a whole head: also the request line, the line ends and the colons."""

TRAILERS = "receiver.trailers"
"""Key of the scope: how the server treats the fields after a chunked body."""

APART = "apart"
"""They are not among the headers."""

_PROXY_PROTOCOL = (b"PROXY ", b"\r\n\r\n\0\r\nQUIT\n")  # version 1, and the signature of version 2
_VERSIONS = frozenset({"1.1", "1.0", "2", "3"})
_CONTROLS = b"\0\r\n"


@dataclass(frozen=True)
class Bad:
    """The refusal of a request: the status of the answer, and a text for the log."""

    status: int
    reason: str


NO_HTTP = Bad(400, "no HTTP/1.1 that can be read")  # RFC 9112 2.2
PIPELINED = Bad(400, "too many requests in one go")
VERSION = Bad(505, "an HTTP version that is not supported")  # RFC 9110 15.6.6
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
PROXIED = Bad(
    400,
    "the PROXY protocol, which is not supported: switch it off in the proxy, have it send "
    "X-Forwarded-For, and name it in RECEIVER_TRUSTED_PROXIES",
)
MIXED = Bad(411, "chunked, under a server that puts trailers among the headers")  # RFC 9110 15.5.12


def problem_of_start(octets: bytes) -> Bad | None:
    """Return the problem of a connection's first octets, before they are parsed as HTTP.

    HAProxy, AWS and others can write a line or a block before the first request ("The
    PROXY protocol", versions 1 and 2, by HAProxy). HTTP has no method of that name.
    """
    return PROXIED if octets.startswith(_PROXY_PROTOCOL) else None


def problem_of_request(
    version: str,
    target: int,
    headers: Sequence[Header],
    fields: Mapping[bytes, bytes],
    *,
    apart: bool,
    size: int | None = None,
) -> Bad | None:
    """Return the problem of a request's framing.

    Every callback passes this check, so it examines headers no more than necessary.

    Parameters:
        version: of HTTP, as ASGI writes it.
        target: octets of the path and the query as they were sent.
        headers: names in lower case, and values.
        fields: the same as a mapping.
        apart: the server keeps trailers apart from the headers. Where it does not, credentials and
            forwarded addresses in a trailer look like those of the head. (The one that does not
            also takes the body of a request with Upgrade for the next request.)
        size: octets of the head at the most, if the server has counted them, and has refused
            control characters.
    """
    if version not in _VERSIONS:
        return VERSION
    if target > TARGET_LIMIT:
        return TARGET
    if len(headers) > FIELDS_LIMIT:
        return FIELDS
    if len(fields) < len(headers) and (bad := _problem_of_repeated(headers)):
        return bad
    if (size is None or size > HEADERS_LIMIT) and (bad := _problem_of_text(headers)):
        return bad
    if b"host" not in fields and version == "1.1":
        return HOST
    if b"transfer-encoding" in fields:
        return _problem_of_encoding(version, fields, apart)
    if not fields.get(b"content-length", b"0").isdigit():
        return LENGTH
    return UPGRADE if not apart and b"upgrade" in fields and b"content-length" in fields else None


def _problem_of_text(headers: Sequence[Header]) -> Bad | None:
    text = b"".join([value for _, value in headers])
    if len(text) + sum([len(name) for name, _ in headers]) > HEADERS_LIMIT:
        return HEADERS
    return CONTROL if len(text.translate(None, _CONTROLS)) < len(text) else None


def _problem_of_repeated(headers: Iterable[tuple[bytes, bytes]]) -> Bad | None:
    """Return the problem of fields that may occur only once; equal lengths are accepted."""
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
