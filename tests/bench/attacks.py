"""Bad requests of every kind, from sources without number.

Each is the octets of one request. Those of `closing` end their connection.
"""

from __future__ import annotations

import os
import random
import time
from base64 import b64encode
from collections.abc import Callable

from receiver.auth.digest import Digest, parse_parameters, response_hash
from receiver.credentials import derive_key
from tests.support import SECRET, credentials

IDENTITY = "888/post-digest"
LISTED = "198.51.100."
"""The addresses of the PBX: the allowed sources, if there is a list."""

Make = Callable[[], bytes]


def digest_header(
    made: float, *, right: bool = True, username: str = "", action: str = "post-digest"
) -> bytes:
    """A Digest header on a nonce of that time, in seconds since the epoch.

    Parameters:
        right: whether the password is.
        username: by default the one that is known.
        action: the name of one of IVR 888, by which the request goes.
    """
    known = credentials(IDENTITY)
    key = derive_key(SECRET, "nonce", IDENTITY)
    scheme = Digest([known], nonce_key=key, entropy=os.urandom)
    challenge = parse_parameters(scheme.challenges(made)[0].partition(" ")[2])
    assert challenge is not None
    sent = {"realm": challenge["realm"], "nonce": challenge["nonce"]}
    sent |= {"uri": f"/action/888/{action}", "nc": "00000001", "cnonce": "c", "qop": "auth"}
    password = known.password.reveal() if right else "wrong"
    name = username or known.username
    response = response_hash(
        "MD5", method="POST", username=name, password=password, parameters=sent
    )
    sent |= {"username": name, "response": response}
    return b"Digest " + ", ".join(f'{name}="{value}"' for name, value in sent.items()).encode()


class Attacks:
    """Makes bad requests.

    Parameters:
        listed: how much of them comes from sources that are allowed, the PBX's own among them.
    """

    def __init__(self, listed: float) -> None:
        self._listed = listed
        now = time.time()
        self.replayed = digest_header(now)
        self._stale = digest_header(now - 1000)
        self._wrong = digest_header(now, right=False)
        self._body = b"a" * 60_000
        bearers = [b"Bearer " + os.urandom(16).hex().encode() for _ in range(64)]
        basics = [b"Basic " + b64encode(os.urandom(24)) for _ in range(64)]
        self._makers: tuple[tuple[int, Make], ...] = (
            (20, lambda: self._ask(b"post-bearer", random.choice(bearers))),
            (15, lambda: self._ask(b"post-basic", random.choice(basics))),
            (15, lambda: self._ask(b"post-digest", self._wrong)),
            (10, lambda: self._ask(random.choice((b"post-basic", b"post-digest")), b"")),
            (10, lambda: self._ask(b"no-%d" % random.getrandbits(40), random.choice(bearers))),
            (5, lambda: self._ask(b"post-digest", random.choice(_UNREADABLE))),
            (5, lambda: self._ask(b"post-bearer", b"\xff\x80" * 100)),
            (5, lambda: self._ask(b"post-basic", b"x", method=random.choice(_METHODS))),
            (5, lambda: self._ask(b"post-digest", self._stale)),
            (5, lambda: self._ask(b"post-digest", self.replayed)),
            (3, lambda: self._ask(b"x/../%d" % random.getrandbits(40), b"")),
            (1, lambda: self._ask(b"post-bearer", random.choice(bearers), body=self._body)),
        )
        self._weights = [weight for weight, _ in self._makers]

    def some(self, count: int) -> bytes:
        """Send that many requests, and leave their connections open."""
        chosen = random.choices(self._makers, self._weights, k=count)
        return b"".join(make() for _, make in chosen)

    def closing(self) -> bytes:
        """One that ends its connection."""
        return random.choice(_FRAMING).replace(b"%s", self._source())

    def _ask(
        self, action: bytes, authorization: bytes, method: bytes = b"POST", body: bytes = b"{}"
    ) -> bytes:
        header = b"Authorization: %b\r\n" % authorization if authorization else b""
        return b"%b /action/888/%b HTTP/1.1\r\nHost: x\r\n%b%bContent-Length: %d\r\n\r\n%b" % (
            *(method, action, self._source(), header, len(body), body),
        )

    def _source(self) -> bytes:
        """Addresses named by a proxy; half of the clients connect from many loopback addresses."""
        if random.random() < self._listed:
            return b"X-Forwarded-For: %b%d\r\n" % (LISTED.encode(), random.randrange(1, 255))
        kind = random.random()
        if kind < 0.5:
            return b""
        bits = random.getrandbits(32)
        if kind < 0.75:
            parts = (b"%d" % (bits >> shift & 255) for shift in (24, 16, 8, 0))
            return b"X-Forwarded-For: %b\r\n" % b".".join(parts)
        return b'Forwarded: for="[2001:db8:%x:%x::1]"\r\n' % (bits >> 16, bits & 0xFFFF)


_METHODS = (b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE")
_UNREADABLE = (b"Digest =,=", b'Digest username="', b"Digest " + b"a=1, " * 500, b"Basic %%%")
_POST = b"POST /action/888/post-bearer HTTP/1.1\r\n"
_FRAMING = (
    _POST + b"Host: x\r\n%sContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    _POST + b"Host: x\r\nHost: y\r\n%sContent-Length: 0\r\n\r\n",
    _POST + b"%sContent-Length: 0\r\n\r\n",
    _POST + b"Host: x\r\n%sContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    _POST + b"Host: x\r\n%sContent-Length: 70000\r\n\r\n",
    _POST + b"Host: x\r\n%sTransfer-Encoding: gzip\r\n\r\n",
    _POST + b"Host: x\r\n%sTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    _POST + b"Host: x\r\n%sX: a\0b\r\n\r\n",
    _POST + b"Host: x\r\n%s" + b"X: y\r\n" * 120 + b"Content-Length: 0\r\n\r\n",
    b"GET /action/888/get-bearer?%b HTTP/1.1\r\nHost: x\r\n%%s\r\n" % (b"a" * 9000),
    b"GET / HTTP/9.9\r\nHost: x\r\n%s\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03%s" + b"\0" * 100,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n%s",
)
