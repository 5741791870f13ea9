"""receiver/upstream/decompression.py: any split of a body, limits, incomplete data."""

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.errors import UpstreamError
from receiver.upstream.decompression import Body

MOST = 1000


def read(coding: str, octets: bytes, cuts: list[int] | None = None, most: int = MOST) -> bytes:
    body = Body("http://x", coding, most)
    at = 0
    for cut in sorted(cuts or []):
        body.feed(octets[at:cut])
        at = max(at, cut)
    body.feed(octets[at:])
    return body.content()


@given(
    st.sampled_from(["", "identity", " GZIP ", "x-gzip", "br"]),
    st.binary(max_size=900),
    st.lists(st.integers(0, 900)),
)
def test_a_body_is_decoded(coding: str, octets: bytes, cuts: list[int]) -> None:
    sent = gzip.compress(octets) if "gzip" in coding.lower() else octets
    assert read(coding, sent, cuts) == octets


@given(st.integers(0, 3 * MOST), st.lists(st.integers(0, 60)))
def test_decoding_stops_at_the_limit(size: int, cuts: list[int]) -> None:
    packed = gzip.compress(bytes(size))
    if size <= MOST:
        assert read("gzip", packed, cuts) == bytes(size)
        return
    with pytest.raises(UpstreamError, match=r"^the answer of http://x is larger than 1000 octets$"):
        read("gzip", packed, cuts)


def test_received_octets_are_limited_too() -> None:
    nothing = b"\0\0\0\xff\xff"  # a block that is stored as it is, and is empty
    packed = gzip.compress(b"")[:10] + nothing * (MOST // len(nothing))
    with pytest.raises(UpstreamError, match="is larger than 1000 octets"):
        read("gzip", packed)
    with pytest.raises(UpstreamError, match="is larger than 1000 octets"):
        read("", bytes(MOST + 1))


@given(st.lists(st.binary(max_size=90), max_size=9), st.lists(st.integers(0, 400)))
def test_several_members_are_one_body(members: list[bytes], cuts: list[int]) -> None:
    assert read("gzip", b"".join(map(gzip.compress, members)), cuts) == b"".join(members)


@pytest.mark.parametrize(
    "octets",
    [
        gzip.compress(b"abc")[:-1],
        gzip.compress(b"abc") + b"more",
        gzip.compress(b"abc") + gzip.compress(b"def")[:-1],
        b"abc",
        zlib.compress(b"abc"),
    ],
    ids=["cut", "more behind it", "the second cut", "not packed", "zlib"],  # gzip has the time
)
def test_invalid_gzip(octets: bytes) -> None:
    with pytest.raises(UpstreamError, match=r"^the answer of http://x cannot be decoded$"):
        read("gzip", octets)


def test_an_empty_body_needs_no_decoding() -> None:
    assert read("gzip", b"") == b""
