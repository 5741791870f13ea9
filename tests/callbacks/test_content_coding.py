"""The Content-Encoding of a callback: gzip within the limit, anything else refused."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.callbacks.content_coding import TooLarge, UnsupportedCoding, decode

LIMIT = 1000


def named(*codings: str) -> list[tuple[bytes, bytes]]:
    return [(b"host", b"x"), *((b"content-encoding", coding.encode()) for coding in codings)]


@given(st.binary(max_size=LIMIT), st.sampled_from(["gzip", "GZip", " x-gzip ", "identity, gzip"]))
def test_gzip_is_decoded(body: bytes, coding: str) -> None:
    assert decode(named(coding), gzip.compress(body), LIMIT) == body
    twice = gzip.compress(body[:9]) + gzip.compress(body[9:])  # of two members
    assert decode(named(coding), twice, LIMIT) == body


@given(st.binary(max_size=50), st.sampled_from([(), ("",), ("identity",), ("identity", ",")]))
def test_without_a_coding_the_body_stays_as_it_is(body: bytes, codings: tuple[str, ...]) -> None:
    assert decode(named(*codings), body, LIMIT) == body


def test_a_body_that_a_proxy_decoded_already_is_read() -> None:
    assert decode(named("gzip"), b'{"from":"1"}', LIMIT) == b'{"from":"1"}'


@pytest.mark.parametrize("coding", ["deflate", "br", "zstd", "compress", "gzip, gzip", "br, gzip"])
def test_any_other_coding_is_refused(coding: str) -> None:
    with pytest.raises(UnsupportedCoding, match="not gzip"):
        decode(named(coding), zlib.compress(b"x"), LIMIT)
    with pytest.raises(UnsupportedCoding):
        decode(named(*coding.split(","), "br"), b"x", LIMIT)
    assert decode(named(coding), b"", LIMIT) == b""  # a GET, or the first leg of digest


def test_a_body_is_never_larger_than_the_limit() -> None:
    assert len(decode(named("gzip"), gzip.compress(b"x" * LIMIT), LIMIT)) == LIMIT
    for body in (b"x" * (LIMIT + 1), b"x" * 10_000_000):
        with pytest.raises(TooLarge):
            decode(named("gzip"), gzip.compress(body), LIMIT)


@given(st.binary(min_size=20, max_size=80))
def test_broken_gzip_is_refused(body: bytes) -> None:
    packed = gzip.compress(body)
    for broken in (packed[:-1], packed[:5], b"\x1f\x8b" + body, packed + b"\x1f"):
        with pytest.raises(UnsupportedCoding, match=r"cannot be decoded|too early"):
            decode(named("gzip"), broken, LIMIT)
