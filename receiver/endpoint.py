"""One action as an ASGI endpoint: who is it, what does he say, what shall happen.

Rule 1: authentication comes before the body is looked at; a digest POST begins with an empty one.
Rule 2: past authentication a callback is always answered with HTTP 200 and a reply; only a body
        over the limit, which no PBX sends, is not. The PBX has a caller on the
        line and what it does with anything else is not documented ("Managing Virtual
        Receptionist"), so what cannot be read gets the fallback.
Rule 3: a request with the mark of ``receiver doctor`` is taken as any other, but no handler runs:
        it is answered the fallback, and told what the mark was worth.
Rule 4: the log line holds no digits, numbers or names, and nothing that a stranger wrote.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import time
from collections.abc import Callable
from urllib.parse import quote

from starlette.types import Message, Receive, Scope, Send

from receiver.actions import Action
from receiver.auth import NO_CREDENTIALS, Asked, Refused, Scheme
from receiver.calls import Call, Callback, read_body, read_query, veil
from receiver.dispatch import Decision, Dispatcher
from receiver.errors import CallbackError
from receiver.marks import HEADER
from receiver.replies import encode

BODY_LIMIT = 65536
"""Bytes. A callback has a few hundred."""

DRAIN_TIME = 0.2
"""Seconds that a refusal waits for the rest of a body. curl, told to send digest chunked, begins
with a body that it never ends, and waits for the 401."""

ARRIVED = "receiver.arrived"
"""Key of the scope: when the request arrived, in the event loop's time."""

_MARK = HEADER.lower().encode()

log = logging.getLogger("receiver")


_CLOSE = (b"connection", b"close")


class TooLarge(Exception):
    """The body is over the limit."""


class Gone(Exception):
    """The sender left before its request was complete."""


class Endpoint:
    """Answers the callbacks of one action.

    Parameters:
        action: what was declared.
        scheme: who may ask.
        dispatcher: runs the handler.
        judge: what a mark is worth, at a time in seconds since the epoch.
        now: the time in seconds since the epoch, for nonces and marks.
        log_caller_data: whether the log line shows digits and numbers.
    """

    def __init__(
        self,
        action: Action,
        scheme: Scheme,
        dispatcher: Dispatcher,
        *,
        judge: Callable[[str, float], str] = lambda mark, now: "wrong",
        now: Callable[[], float] = time.time,
        log_caller_data: bool = False,
    ) -> None:
        self._action = action
        self._scheme = scheme
        self._dispatcher = dispatcher
        self._judge = judge
        self._now = now
        self._show: Callable[[str], str] = repr if log_caller_data else veil

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] != self._action.method:
            log.warning(
                "%s refused: %s, but it is registered with %s",
                self._action.identity,
                scope["method"] if scope["method"] in ("GET", "POST", "HEAD") else "another method",
                self._action.method,
            )
            await _refuse(scope, receive, send, 405, (b"allow", self._action.method.encode()))
            return
        verdict = self._scheme.check(_asked(scope), self._now())
        if isinstance(verdict, Refused):
            peer = _address(scope)
            level = logging.INFO if verdict.reason == NO_CREDENTIALS else logging.WARNING
            log.log(level, "%s refused: %s, from %s", self._action.identity, verdict.reason, peer)
            challenge = verdict.challenge.encode()
            headers = [(b"www-authenticate", challenge)] if challenge else []
            await _refuse(scope, receive, send, verdict.status, *headers)
            return
        try:
            async with asyncio.timeout_at(self._dispatcher.deadline(self._action, scope[ARRIVED])):
                body = await _read(scope, receive)
        except TooLarge:
            log.warning("%s refused: a body over %d bytes", self._action.identity, BODY_LIMIT)
            await _respond(send, 413, b"", _CLOSE)
        except TimeoutError:
            log.error("%s: the body did not come in time", self._action.identity)
            reply = self._dispatcher.fallback(self._action, "late").reply
            await _respond(send, 200, encode(reply), _CLOSE)
        except Gone:
            log.info("%s: the sender left before its request was complete", self._action.identity)
        else:
            await self._answer(scope, body, send)

    async def _answer(self, scope: Scope, body: bytes, send: Send) -> None:
        marks = [value for name, value in scope["headers"] if name == _MARK]
        if marks:
            await self._check(scope, body, marks[0].decode("latin-1"), send)
            return
        arrived = scope[ARRIVED]
        call = Call()
        try:
            call, oddities = _callback(scope, body)
            if oddities:
                log.debug("%s: %s", self._action.identity, "; ".join(oddities))
            decision = await self._dispatcher.decide(self._action, call, arrived)
        except CallbackError as error:
            log.error("%s: %s; the fallback is answered", self._action.identity, error)
            decision = self._dispatcher.fallback(self._action, "invalid")
        except Exception as error:
            # Ours, not the handler's: the caller still gets a valid answer.
            log.critical("%s: %s inside the receiver", self._action.identity, type(error).__name__)
            decision = self._dispatcher.fallback(self._action, "raised")
        await _respond(send, 200, encode(decision.reply))
        self._log(call, decision, asyncio.get_running_loop().time() - arrived)

    async def _check(self, scope: Scope, body: bytes, mark: str, send: Send) -> None:
        """Answer what ``receiver doctor`` sent, without a handler."""
        worth = self._judge(mark, self._now())
        try:
            complete = bool(_callback(scope, body).call.session_id)
        except CallbackError:
            complete = False
        if worth == "ok" and not complete:
            worth = "incomplete"  # something on the way took the body or the query away
        log.info("%s checked by receiver doctor: %s", self._action.identity, worth)
        reply = self._dispatcher.fallback(self._action, "invalid").reply
        await _respond(send, 200, encode(reply), (_MARK, worth.encode()))

    def _log(self, call: Call, decision: Decision, seconds: float) -> None:
        log.info(
            "%s %s digits %s from %s: %s, %s, %.0f ms of %d",
            self._action.identity,
            self._action.kind,
            self._show(call.digits),
            self._show(call.caller),
            type(decision.reply).__name__.lower(),
            decision.reason,
            seconds * 1000,
            self._action.request_timeout * 1000,
        )


def _address(scope: Scope) -> str:
    """Who asks; a proxy's header may have put anything there."""
    try:
        return str(ipaddress.ip_address((scope.get("client") or ("",))[0]))
    except ValueError:
        return "an unknown address"


def _asked(scope: Scope) -> Asked:
    raw = scope.get("raw_path") or quote(scope["path"]).encode()
    query = scope["query_string"]
    target = (raw + b"?" + query if query else raw).decode("latin-1")
    found = tuple(v.decode("latin-1") for k, v in scope["headers"] if k == b"authorization")
    return Asked(scope["method"], target, found)


def _callback(scope: Scope, body: bytes) -> Callback:
    if scope["method"] == "GET" or not body.strip():
        return read_query(scope["query_string"])
    types = [v.decode("latin-1") for k, v in scope["headers"] if k == b"content-type"]
    return read_body(body, types[-1] if types else "")


async def _read(scope: Scope, receive: Receive) -> bytes:
    """The whole body.

    Raises:
        TooLarge: it is longer, or says that it will be longer, than `BODY_LIMIT`.
        Gone: the sender left.
    """
    for key, value in scope["headers"]:
        if key == b"content-length" and value.isdigit() and int(value[:9]) > BODY_LIMIT:
            raise TooLarge
    body = bytearray()
    while True:
        message: Message = await receive()
        if message["type"] != "http.request":
            raise Gone
        body += message.get("body", b"")
        if len(body) > BODY_LIMIT:
            raise TooLarge
        if not message.get("more_body", False):
            return bytes(body)


async def _refuse(
    scope: Scope, receive: Receive, send: Send, status: int, *headers: tuple[bytes, bytes]
) -> None:
    """Answer without a reply, after a small body was read and dropped.

    An answer before the body is read closes the connection, which proxies turn into a 502, and
    which costs the PBX a further connection for the second leg of digest.
    """
    try:
        async with asyncio.timeout(DRAIN_TIME):
            await _read(scope, receive)
    except (TooLarge, TimeoutError):
        headers = (*headers, _CLOSE)
    except Gone:
        return
    await _respond(send, status, b"", *headers)


async def _respond(send: Send, status: int, body: bytes, *headers: tuple[bytes, bytes]) -> None:
    length = (b"content-length", str(len(body)).encode())
    kind = [(b"content-type", b"application/json")] if body else []
    start = {"type": "http.response.start", "status": status, "headers": [*kind, length, *headers]}
    await send(start)
    await send({"type": "http.response.body", "body": body})
