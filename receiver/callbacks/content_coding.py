"""Decode the body of a callback by its Content-Encoding.

Rule 1: gzip is decoded, within the limit of a body. Any other coding is refused with 415 and the
        name of the one that is understood (RFC 9110, sections 12.5.3 and 15.5.16).
Rule 2: a body with the header but without gzip data was decoded by a proxy, and is accepted.
"""

from __future__ import annotations

from collections.abc import Iterable

from receiver.upstream.decompression import Gunzip

ACCEPTED = (b"accept-encoding", b"gzip")
"""The header of a 415."""

_GZIP = (b"gzip", b"x-gzip")
_MAGIC = b"\x1f\x8b"


class UnsupportedCoding(Exception):
    """The body cannot be decoded; the text is for the log and contains no data of the request."""


class TooLarge(Exception):
    """The body is over the limit."""


def decode(headers: Iterable[tuple[bytes, bytes]], body: bytes, limit: int) -> bytes:
    """Return the body as it was before its Content-Encoding.

    Parameters:
        headers: of the request, with names in lower case.
        limit: octets that the decoded body may have.

    Raises:
        UnsupportedCoding: the coding is neither gzip nor identity, or the gzip data is broken.
        TooLarge: the decoded body is over the limit.
    """
    codings = [
        coding
        for name, value in headers
        if name == b"content-encoding"
        for part in value.split(b",")
        if (coding := part.strip().lower()) not in (b"", b"identity")
    ]
    if not body or not codings:
        return body
    if len(codings) > 1 or codings[0] not in _GZIP:
        raise UnsupportedCoding("its Content-Encoding is not gzip")
    if not body.startswith(_MAGIC):
        return body
    gunzip = Gunzip(limit)
    try:
        gunzip.feed(body)
    except ValueError:
        raise UnsupportedCoding("its gzip data cannot be decoded") from None
    if len(gunzip.octets) > limit:
        raise TooLarge
    if not gunzip.complete:
        raise UnsupportedCoding("its gzip data ends too early")
    return bytes(gunzip.octets)
