"""The reference servers: the least that answers at all, and the least that does so honestly.

Neither bounds a body, keeps a time, knows a call that came twice, or says what it did.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from receiver.auth.scheme import REALM
from tests.support import ANSWER, credentials

Check = Callable[[Scope, bytes], bytes]
"""Return the challenge to an ``Authorization``; empty if it is valid."""

_LIFE = 300.0
_JSON = (b"content-type", b"application/json")
_PARAMETER = re.compile(r'(\w+)=(?:"([^"]*)"|([^\s,]+))')


async def fixed(scope: Scope, receive: Receive, send: Send) -> None:
    """L0: parses nothing and answers fixed bytes."""
    await _respond(send, 200, ANSWER, _JSON)


class Honest:
    """L1: path and method, credentials, body or query, a handler, JSON, all by hand."""

    dumps = staticmethod(json.JSONEncoder(separators=(",", ":")).encode)

    def __init__(self) -> None:
        bearer, basic = credentials("888/post-bearer"), credentials("888/get-basic")
        digest = credentials("888/post-digest")
        pair = f"{basic.username}:{basic.password.reveal()}".encode()
        self.routes: dict[str, tuple[str, Check]] = {
            "/action/888/post-bearer": ("POST", _same(f"Bearer {bearer.token.reveal()}".encode())),
            "/action/888/get-basic": ("GET", _same(b"Basic " + base64.b64encode(pair))),
            "/action/888/post-digest": ("POST", _Digest(digest.username, digest.password.reveal())),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self.routes.get(scope["path"])
        if found is None:
            await _respond(send, 404)
            return
        method, check = found
        if scope["method"] != method:
            await _respond(send, 405)
            return
        authorization = b""
        for name, value in scope["headers"]:
            if name == b"authorization":
                authorization = value
        if wanted := check(scope, authorization):
            await _respond(send, 401, b"", (b"www-authenticate", wanted))
            return
        if method == "GET":
            fields = dict(parse_qsl(scope["query_string"].decode()))
        else:
            body, more = b"", True
            while more:
                message = await receive()
                body += message.get("body", b"")
                more = message.get("more_body", False)
            fields = json.loads(body)
        destination = await handle(fields)
        answer = {"status_code": 200, "action": "call", "destination": destination}
        await _respond(send, 200, self.dumps(answer).encode(), _JSON)


def by_hand() -> Starlette:
    """The same with Starlette: a route for each, its request, and its answer in JSON."""
    honest = Honest()

    async def callback(request: Request) -> Response:
        _, check = honest.routes[request.url.path]
        sent = request.headers.get("authorization", "").encode("latin-1")
        if wanted := check(request.scope, sent):
            return Response(status_code=401, headers={"www-authenticate": wanted.decode()})
        fields = request.query_params if request.method == "GET" else await request.json()
        destination = await handle(fields)
        return JSONResponse({"status_code": 200, "action": "call", "destination": destination})

    return Starlette(
        routes=[Route(path, callback, methods=[way]) for path, (way, _) in honest.routes.items()]
    )


async def handle(fields: Mapping[str, str]) -> str:
    return "222" if fields["to"] == "888" else "0"


def _same(right: bytes) -> Check:
    wanted = right.partition(b" ")[0] + b' realm="callbacks"'

    def check(scope: Scope, authorization: bytes) -> bytes:
        return b"" if hmac.compare_digest(authorization, right) else wanted

    return check


class _Digest:
    """MD5 and ``qop=auth`` on signed nonces; a nonce may be used again."""

    def __init__(self, username: str, password: str) -> None:
        self._username = username
        self._secret = _md5(f"{username}:{REALM}:{password}")
        self._key = os.urandom(32)

    def __call__(self, scope: Scope, authorization: bytes) -> bytes:
        if not authorization.startswith(b"Digest "):
            return self._challenge()
        found = _PARAMETER.findall(authorization.decode("latin-1"))
        sent = {name: quoted or token for name, quoted, token in found}
        try:
            right = self._is_right(scope, sent)
        except (KeyError, ValueError):
            right = False
        return b"" if right else self._challenge()

    def _is_right(self, scope: Scope, sent: dict[str, str]) -> bool:
        nonce = base64.urlsafe_b64decode(sent["nonce"] + "=")
        made = int.from_bytes(nonce[:6], "big") / 1000
        request = _md5(f"{scope['method']}:{sent['uri']}")
        proof = ":".join((self._secret, *(sent[n] for n in ("nonce", "nc", "cnonce", "qop"))))
        return (
            sent["username"] == self._username
            and sent["uri"].encode() == scope["raw_path"]
            and hmac.compare_digest(_md5(f"{proof}:{request}"), sent["response"])
            and hmac.compare_digest(self._sign(nonce[:12]), nonce[12:])
            and 0 <= time.time() - made < _LIFE
        )

    def _challenge(self) -> bytes:
        head = int(time.time() * 1000).to_bytes(6, "big") + os.urandom(6)
        nonce = base64.urlsafe_b64encode(head + self._sign(head)).rstrip(b"=")
        return b'Digest realm="%b", nonce="%b", algorithm=MD5, qop="auth"' % (REALM.encode(), nonce)

    def _sign(self, head: bytes) -> bytes:
        return hmac.digest(self._key, head, "sha256")[:20]


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


async def _respond(
    send: Send, status: int, body: bytes = b"", *headers: tuple[bytes, bytes]
) -> None:
    length = (b"content-length", str(len(body)).encode())
    start = {"type": "http.response.start", "status": status, "headers": [*headers, length]}
    await send(start)
    await send({"type": "http.response.body", "body": body})
