"""Requests that are wrong, odd or hostile, and what the receiver owes each of them.

Each has true credentials unless it is about them, so that nothing but what it is named after
is between it and the handler.

Deviations that an app cannot see, and that RFC 9112 allows, stay:

- h11 takes bare LF as the end of a line: "a recipient MAY" (RFC 9112 2.2).
- h11 puts a space for an obsolete folding, which a server may do instead of a 400 (RFC 9112 5.2).
- h11 takes the same Content-Length twice for one: "or replace" (RFC 9110 8.6).
- httptools takes a target with a host, as every server must (RFC 9112 3.2.2); h11 leaves that to
  the app, which has no such path.
- httptools takes an empty line before a request: "SHOULD ignore" (RFC 9112 2.2).
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.attacks.wire import BODY, FORM, chunked, post, request, token

REFUSED = frozenset({400})


@dataclass(frozen=True)
class Row:
    """Something that is sent, and the statuses with which it may be answered.

    Parameters:
        h11, httptools: what is right under that parser.
        mixing: what is right under uvicorn's own httptools, if that differs.
        ours: what is right on our own connections, if that differs.
        runs: whether the handler runs if the status is 200; None where the reading may decide.
        closes: whether the connection ends; None where that is up to the parser.
    """

    name: str
    data: bytes
    h11: frozenset[int]
    httptools: frozenset[int]
    mixing: frozenset[int] = frozenset()
    runs: bool | None = False
    closes: bool | None = None
    ours: frozenset[int] = frozenset()

    def allowed(self, stack: str) -> frozenset[int]:
        if stack.startswith("our") and self.ours:
            return self.ours
        if stack == "uvicorn-httptools" and self.mixing:
            return self.mixing
        return self.h11 if stack.endswith("h11") else self.httptools

    def ends(self, stack: str, status: int) -> bool | None:
        """Return whether the connection ends after this status, None where either is right.

        A 404 that only uvicorn's own httptools gives is the app's answer to another path: up to
        0.34 the length of a target of 64 kB wraps at 16 bits, and the request is valid to it.
        """
        other = stack == "uvicorn-httptools" and status == 404 and 404 not in self.httptools
        return False if other else self.closes


def bad(name: str, data: bytes, *statuses: int, mixing: int = 0) -> Row:
    """A request that is refused, and whose connection is closed, under both parsers alike."""
    both = frozenset(statuses)
    return Row(name, data, both, both, both | {mixing} if mixing else both, closes=True)


def kept(name: str, data: bytes, *statuses: int, mixing: int = 0, runs: bool | None = False) -> Row:
    """A request after whose answer the connection stays open."""
    both = frozenset(statuses)
    other = frozenset({mixing}) if mixing else frozenset()
    return Row(name, data, both, both, other, runs=runs, closes=None if mixing else False)


def tolerated(name: str, data: bytes) -> Row:
    """A callback as a PBX might write it, which our own connections take, and others refuse."""
    some = frozenset({200, 400, 404, 501})
    return Row(name, data, some, some, some | {411}, runs=True, ours=frozenset({200}))


def last(name: str, data: bytes) -> Row:
    """A valid callback, after whose answer the connection is closed."""
    return Row(name, data, frozenset({200}), frozenset({200}), runs=True, closes=True)


HOST = b"Host: x"
CL = b"Content-Length: %d" % len(BODY)
TE = b"Transfer-Encoding: "
CHUNKS = b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY)
HEAD = (HOST, token(), FORM)


def get(first: bytes, *lines: bytes) -> bytes:
    return request(*(lines or (HOST, token())), first=first)


FRAMING = [
    bad(
        "Content-Length and Transfer-Encoding",
        request(*HEAD, CL, TE + b"chunked", body=CHUNKS),
        400,
    ),
    bad(
        "Transfer-Encoding and Content-Length",
        request(*HEAD, TE + b"chunked", CL, body=CHUNKS),
        400,
    ),
    bad(
        "Content-Length twice, different", request(*HEAD, CL, b"Content-Length: 3", body=BODY), 400
    ),
    Row(
        "Content-Length twice, equal",
        request(*HEAD, CL, CL, body=BODY),
        frozenset({200}),
        REFUSED,
        runs=True,
    ),
    Row(
        "Content-Length: 3, 3",
        request(*HEAD, b"Content-Length: %d, %d" % (len(BODY), len(BODY)), body=BODY),
        frozenset({200}),
        REFUSED,
        runs=True,
    ),
    *[
        bad(
            f"Content-Length: {length!r}",
            request(*HEAD, b"Content-Length: " + length, body=b"{}x"),
            400,
        )
        for length in (b"+3", b"-1", b"0x3", b"3 x", b"", b"9" * 30, b"\xb3")
    ],
    *[
        bad(f"Transfer-Encoding: {coding!r}", request(*HEAD, TE + coding, body=CHUNKS), 400, 501)
        for coding in (
            b"xchunked",
            b"chunked, identity",
            b"gzip, chunked",
            b"identity",
            b"\x0bchunked",
            b"",
        )
    ],
    bad(
        "Transfer-Encoding twice",
        request(*HEAD, TE + b"chunked", TE + b"chunked", body=CHUNKS),
        400,
        501,
    ),
    bad(
        "Transfer-Encoding in HTTP/1.0",
        request(
            *HEAD, TE + b"chunked", body=CHUNKS, first=b"POST /action/888/post-bearer HTTP/1.0"
        ),
        400,
    ),
    bad(
        "space before the colon of Content-Length",
        request(*HEAD, b"Content-Length : 3", body=b"{}x"),
        400,
    ),
    bad(
        "a chunk size that is none",
        request(*HEAD, TE + b"chunked", body=b"zz\r\n"),
        400,
        mixing=411,
    ),
    bad(
        "a chunk longer than its size",
        request(*HEAD, TE + b"chunked", body=b"1\r\nabc\r\n0\r\n\r\n"),
        400,
        mixing=411,
    ),
]

HEADS = [
    bad("no Host", request(token(), FORM, CL, body=BODY), 400),
    bad("two Hosts", request(HOST, *HEAD, CL, body=BODY), 400),
    bad("two different Hosts", post(b"Host: evil.example"), 400),
    bad(
        "a target of 9 kB", get(b"POST /action/888/post-bearer?x=%b HTTP/1.1" % (b"y" * 9000)), 414
    ),
    bad("a target of 64 kB", get(b"GET /%b HTTP/1.1" % (b"y" * 65_600)), 400, 414, mixing=404),
    bad("101 header fields", post(*[b"X: y"] * 101), 431),
    bad("10000 header fields", post(*[b"X: y"] * 10_000), 400, 431),
    bad("headers of 17 kB", post(b"X: " + b"y" * 17_000), 431),
    bad("headers of 70 kB", post(b"X: " + b"y" * 70_000), 400, 431),
    bad(
        "Authorization of 17 kB",
        request(HOST, b"Authorization: Bearer " + b"y" * 17_000, CL, body=BODY),
        400,
        431,
    ),
    bad("NUL in a header", post(b"X: a\0b"), 400),
    bad("CR in a header", post(b"X: a\rb"), 400),
    bad("a line without a colon", post(b"nonsense"), 400),
    bad("a space before a colon", post(b"X : y"), 400),
    Row("an obsolete folding", post(b"X: a", b" b"), frozenset({200}), REFUSED, runs=True),
    Row("bare LF", post().replace(b"\r\n", b"\n"), frozenset({200}), REFUSED, runs=True),
    kept("octets over 0x80 in a header", post(b"X: J\xfcrgen"), 200, runs=True),
    bad("HTTP/9.9", get(b"POST /action/888/post-bearer HTTP/9.9"), 400, 505),
    bad("HTTP/1.2", get(b"POST /action/888/post-bearer HTTP/1.2"), 400, 505),
    bad("HTTP/0.9", b"GET /action/888/get-open\r\n\r\n", 400, 505),
    bad("a TLS hello", b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + bytes(160), 400),
    bad("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400, 505),
    bad("nothing but nonsense", b"\xff" * 50 + b"\r\n\r\n", 400),
]

TARGETS = [
    *[
        kept(f"the path {path.decode()}", get(b"GET " + path + b" HTTP/1.1"), 404)
        for path in (
            b"/nowhere",
            b"/action/888/get-bearer/",
            b"//action/888/get-bearer",
            b"/action/888/x/%2e%2e/get-bearer",
            b"/action/888%2Fget-bearer",
            b"/action/888/get-bearer%00",
            b"/action/888/get-bearer%0d%0a",
        )
    ],
    # Looks like an unknown action: a stranger cannot tell whether it exists.
    kept("an unknown action", get(b"GET /action/888/get-bearer;x HTTP/1.1"), 401),
    Row(
        "CONNECT",
        get(b"CONNECT evil.example:443 HTTP/1.1"),
        frozenset({404}),
        frozenset({400}),
    ),
    Row("an asterisk", get(b"OPTIONS * HTTP/1.1"), frozenset({404}), frozenset({400, 404})),
    Row(
        "a target with a host",
        post().replace(b" /", b" http://evil.example/", 1),
        frozenset({400, 404}),
        frozenset({200}),
        runs=True,
    ),
    *[
        kept(
            f"{method.decode()} on an action",
            get(method + b" /action/888/post-bearer HTTP/1.1"),
            405,
        )
        for method in (b"PUT", b"DELETE", b"TRACE", b"OPTIONS", b"PATCH", b"GET", b"HEAD")
    ],
    kept(
        "HEAD on an action of GET",
        get(b"HEAD /action/888/get-bearer HTTP/1.1", HOST, token("get-bearer")),
        405,
    ),
]

DIGEST = b'username="x", realm="callbacks", nonce="n", uri="/", response="r", qop=auth'

CREDENTIALS = [
    kept("no credentials", request(HOST, CL, body=BODY), 401),
    kept("a wrong token", request(HOST, b"Authorization: Bearer wrong", CL, body=BODY), 401),
    kept("the token of another action", request(HOST, token("get-bearer"), CL, body=BODY), 401),
    kept(
        "the token in another scheme",
        request(HOST, token().replace(b"Bearer", b"Basic"), CL, body=BODY),
        400,
        401,
    ),
    kept(
        "octets over 0x80 in Authorization",
        request(HOST, b"Authorization: Bearer \xff\xfe", CL, body=BODY),
        400,
        401,
    ),
    kept(
        "two Authorizations",
        request(HOST, b"Authorization: Bearer x", token(), CL, body=BODY),
        400,
        401,
    ),
    kept("two Authorizations, the right one first", post(b"Authorization: Bearer x"), 400, 401),
    *[
        kept(
            f"Digest {value.decode()}",
            request(
                HOST,
                b"Authorization: Digest " + value,
                CL,
                body=BODY,
                first=b"POST /action/888/post-digest HTTP/1.1",
            ),
            400,
            401,
        )
        for value in (
            b"",
            b"username",
            b'username="x',
            b'username="x"junk, realm="y"',
            b'username="x", username="y"',
            DIGEST,
            DIGEST + b', nc=1, cnonce="c"',
            DIGEST + b', nc=00000000, cnonce="c"',
            DIGEST + b', nc=00000001, cnonce="c"',
        )
    ],
]

BODIES = [
    *[
        kept(f"the body {body[:4].decode()}", post(body=body), 200)
        for body in (b"", b"{", b"[]", b"null", b'"x"', b"1", b"[" * 1000 + b"]" * 1000)
    ],
    bad("a body declared over 64 kB", request(*HEAD, b"Content-Length: 65537"), 413),
    bad(
        "a body of a terabyte, no credentials", request(HOST, b"Content-Length: 1099511627776"), 401
    ),
    bad("chunks over 64 kB", chunked(token(), body=b"x" * 65_537), 413, mixing=411),
    kept("a body, no credentials", request(HOST, CL, body=BODY), 401),
    kept("chunks, no credentials", chunked(), 401, mixing=411),
    *[
        # Past authentication what cannot be read is answered the fallback: a caller is on the line.
        kept(
            f"the body {name}",
            post(b"X: y", body=body).replace(FORM, b"Content-Type: application/json"),
            200,
            runs=None,  # what is odd in one field is read as far as it goes (receiver/calls.py)
        )
        for name, body in {
            "of 5000 digits": b'{"input": %b}' % (b"1" * 5000),
            "with a field nested 1000 deep": b'{"input": %b%b}' % (b"[" * 1000, b"]" * 1000),
            "of invalid UTF-8": b'{"input": "\xff"}',
            "in UTF-16": '{"input": "1"}'.encode("utf-16"),
            "with NaN": b'{"input": NaN}',
            "with a key twice": b'{"input": "1", "input": "2"}',
        }.items()
    ],
]


def spelt(target: bytes) -> bytes:
    """A callback of GET with this query."""
    first = b"GET /action/888/get-bearer?input=1&from_name=" + target + b" HTTP/1.1"
    return request(HOST, token("get-bearer"), first=first)


TOLERATED = [
    tolerated("a space behind a length", request(*HEAD, CL + b" ", body=BODY)),
    tolerated("spaces around chunked", request(*HEAD, TE + b"  chunked ", body=CHUNKS)),
    tolerated("raw UTF-8 in a target", spelt("J\u00fcrgen".encode())),
    tolerated("raw Latin-1 in a target", spelt(b"J\xfcrgen")),
    tolerated("spaces in a target", spelt(b"Ada Maria Example")),
    tolerated("a target with a host", spelt(b"x").replace(b" /", b" http://ivr.example:80/", 1)),
    tolerated("a hash in a target", spelt(b"x#&to=888")),
]
"""Odd, and what a PBX may be written to send (it is not documented): taken."""

FINE = [
    kept("a callback", post(), 200, runs=True),
    kept("chunks", chunked(token()), 200, mixing=411, runs=True),
    kept(
        "chunks with an extension",
        chunked(token()).replace(b"\r\n0\r\n", b"\r\n0;x=y\r\n"),
        200,
        mixing=411,
        runs=True,
    ),
    kept(
        "chunks with a harmless trailer",
        chunked(token(), trailers=b"X: y\r\n"),
        200,
        mixing=411,
        runs=True,
    ),
    kept(
        "an upgrade to WebSocket",
        post(
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Version: 13",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ),
        200,
        mixing=400,
        runs=True,
    ),
    kept(
        "an upgrade to HTTP/2",
        post(
            b"Connection: Upgrade, HTTP2-Settings",
            b"Upgrade: h2c",
            b"HTTP2-Settings: AAMAAABkAAQAAP__",
        ),
        200,
        mixing=400,
        runs=True,
    ),
    kept("an unknown expectation", post(b"Expect: the-unexpected"), 200, 417, runs=True),
    last("HTTP/1.0", post().replace(b"HTTP/1.1", b"HTTP/1.0")),
    last("Connection: close", post(b"Connection: close")),
]
"""Unusual, but valid."""

ROWS = [*FRAMING, *HEADS, *TARGETS, *CREDENTIALS, *BODIES, *TOLERATED, *FINE]
