"""Requests that are refused because of their framing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.callbacks import http_limits
from receiver.callbacks.http_limits import PROXIED, Bad, problem_of_request, problem_of_start

HOST = (b"host", b"ivr.example.com")
CHUNKED = (b"transfer-encoding", b"chunked")


def problem(
    *headers: tuple[bytes, bytes], version: str = "1.1", target: int = 20, apart: bool = True
) -> Bad | None:
    return problem_of_request(version, target, headers, dict(headers), apart=apart)


@pytest.mark.parametrize(
    ("version", "headers"),
    [
        ("1.1", [HOST]),
        ("1.0", []),
        ("1.0", [HOST]),
        ("2", []),
        ("3", [HOST]),
        ("1.1", [HOST, (b"content-length", b"0"), (b"expect", b"100-continue")]),
        ("1.1", [HOST, (b"content-length", b"7"), (b"content-length", b"7")]),
        ("1.1", [HOST, CHUNKED]),
        ("1.1", [HOST, (b"transfer-encoding", b"Chunked")]),
        ("1.1", [HOST, (b"x-name", b"J\xfcrgen\tand \x1b others")]),
    ],
)
def test_what_is_framed_well(version: str, headers: list[tuple[bytes, bytes]]) -> None:
    assert problem(*headers, version=version) is None


@pytest.mark.parametrize("version", ["", "0.9", "1.2", "1.11", "2.0", "9.9", "4"])
def test_unknown_http_versions(version: str) -> None:
    assert problem(HOST, version=version) == http_limits.VERSION
    assert http_limits.VERSION.status == 505


def test_limits_of_a_head() -> None:
    assert problem(HOST, target=8192) is None
    assert problem(HOST, target=8193) == http_limits.TARGET
    many = [(b"x", b"")] * 99
    assert problem(HOST, *many) is None
    assert problem(HOST, *many, (b"x", b"")) == http_limits.FIELDS
    rest = 16_384 - len(b"host") - len(HOST[1]) - len(b"x")
    assert problem(HOST, (b"x", b"y" * rest)) is None
    assert problem(HOST, (b"x", b"y" * (rest + 1))) == http_limits.HEADERS


@pytest.mark.parametrize("octet", [b"\0", b"\r", b"\n"])
def test_control_characters_in_a_value(octet: bytes) -> None:
    assert problem(HOST, (b"x-name", b"a" + octet + b"b")) == http_limits.CONTROL
    assert problem((b"host", b"a" + octet), version="1.0") == http_limits.CONTROL


@pytest.mark.parametrize(
    ("version", "hosts"), [("1.1", 0), ("1.1", 2), ("1.0", 2), ("2", 2), ("3", 2)]
)
def test_hosts(version: str, hosts: int) -> None:
    assert problem(*[HOST] * hosts, version=version) == http_limits.HOST


@pytest.mark.parametrize(
    ("headers", "version", "bad"),
    [
        ([CHUNKED, (b"content-length", b"3")], "1.1", http_limits.BOTH),
        ([(b"content-length", b"3"), CHUNKED], "1.1", http_limits.BOTH),
        ([CHUNKED, CHUNKED], "1.1", http_limits.ENCODINGS),
        ([CHUNKED], "1.0", http_limits.ENCODED),
        ([CHUNKED], "2", http_limits.ENCODED),
        ([(b"transfer-encoding", b"gzip, chunked")], "1.1", http_limits.ENCODING),
        ([(b"transfer-encoding", b"chunked, identity")], "1.1", http_limits.ENCODING),
        ([(b"transfer-encoding", b"\x0bchunked")], "1.1", http_limits.ENCODING),
        ([(b"transfer-encoding", b"xchunked")], "1.1", http_limits.ENCODING),
        ([(b"transfer-encoding", b"")], "1.1", http_limits.ENCODING),
        ([(b"content-length", b"3"), (b"content-length", b"4")], "1.1", http_limits.LENGTHS),
        ([(b"content-length", b"3, 3")], "1.1", http_limits.LENGTH),
        ([(b"content-length", b"+3")], "1.1", http_limits.LENGTH),
        ([(b"content-length", b"-1")], "1.1", http_limits.LENGTH),
        ([(b"content-length", b"0x3")], "1.1", http_limits.LENGTH),
        ([(b"content-length", b"3 x")], "1.1", http_limits.LENGTH),
        ([(b"content-length", "٣".encode())], "1.1", http_limits.LENGTH),
        ([(b"content-length", b"")], "1.1", http_limits.LENGTH),
        ([(b"content-length", b"x"), (b"content-length", b"x")], "1.0", http_limits.LENGTH),
    ],
)
def test_where_a_body_ends(headers: list[tuple[bytes, bytes]], version: str, bad: Bad) -> None:
    assert problem(HOST, *headers, version=version) == bad


def test_chunks_where_trailers_pass_for_headers() -> None:
    assert problem(HOST, CHUNKED, apart=False) == http_limits.MIXED
    assert problem(HOST, (b"content-length", b"3"), apart=False) is None
    assert problem(HOST, CHUNKED, (b"content-length", b"3"), apart=False) == http_limits.BOTH


def test_bodies_that_pass_for_requests() -> None:
    upgrade, length = (b"upgrade", b"h2c"), (b"content-length", b"3")
    assert problem(HOST, upgrade, length, apart=False) == http_limits.UPGRADE
    assert problem(HOST, upgrade, apart=False) is None
    assert problem(HOST, upgrade, length) is None


@given(
    st.sampled_from(["1.0", "1.1", "2", "9"]),
    st.integers(0, 10_000),
    st.lists(
        st.tuples(
            st.sampled_from([b"host", b"content-length", b"transfer-encoding", b"x"]), st.binary()
        )
    ),
    st.booleans(),
)
def test_whatever_comes_it_is_judged(
    version: str, target: int, headers: list[tuple[bytes, bytes]], apart: bool
) -> None:
    """An accepted request has one reading only, and no reason contains what was sent."""
    bad = problem_of_request(version, target, headers, dict(headers), apart=apart)
    if bad is None:
        lengths = {value for name, value in headers if name == b"content-length"}
        encodings = [value for name, value in headers if name == b"transfer-encoding"]
        assert len(lengths) + len(encodings) <= 1
        assert all(value.isdigit() for value in lengths)
        assert all(value.lower() == b"chunked" for value in encodings)
    else:
        assert bad in [value for value in vars(http_limits).values() if isinstance(value, Bad)]


@pytest.mark.parametrize(
    "octets",
    [
        b"PROXY TCP4 203.0.113.7 10.0.0.1 56324 443\r\nPOST /action/8000/pick HTTP/1.1\r\n",
        b"PROXY TCP6 2001:db8::1 fd00::1 56324 443\r\n",
        b"PROXY UNKNOWN\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xcb\0\x71\x07\x0a\0\0\x01\xdc\x04\x01\xbb",
    ],
)
def test_the_proxy_protocol_is_named(octets: bytes) -> None:
    assert problem_of_start(octets) is PROXIED
    assert "not supported: switch it off in the proxy" in PROXIED.reason


@pytest.mark.parametrize(
    "octets",
    [
        b"",
        b"POST /PROXY HTTP/1.1\r\n",
        b"PROXYFIND / HTTP/1.1\r\n",
        b"\r\nGET / HTTP/1.1\r\n",
        b"\r\n\r\n\0\r\nQUIT",
        b"\x16\x03\x01",
    ],
)
def test_what_is_no_proxy_protocol(octets: bytes) -> None:
    assert problem_of_start(octets) is None
