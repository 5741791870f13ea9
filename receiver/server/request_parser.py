"""Reads requests from the octets of a connection, with httptools.

Rule 1: the octets of one request outside of its body are limited, also while it is incomplete.
Rule 2: trailers are dropped. An Upgrade is ignored, and the body of its request is read as usual.
Rule 3: raw UTF-8, Latin-1 and spaces in the target of a GET or POST are accepted, because a
        PBX may send such names; they are percent-encoded for the parser. Otherwise framing is as
        strict as the parser and `receiver.callbacks.http_limits`.
Rule 4: a ``#`` in a target is part of it, because a caller can key it in.
"""

from __future__ import annotations

import asyncio
import re
from abc import ABC, abstractmethod
from typing import Protocol
from urllib.parse import unquote

import httptools

from receiver.callbacks.http_limits import (
    HEAD_LIMIT,
    NO_HTTP,
    TARGET_LIMIT,
    Bad,
    Header,
    problem_of_request,
    problem_of_start,
)
from receiver.callbacks.request import BODY_LIMIT, Request

_LINE = re.compile(rb"(GET|POST) ([/h][^\r\n\0]*) (HTTP/1\.[01])")
_BEGINNINGS = (b"GET ", b"POST ")
_RAW = re.compile(rb"[ \x80-\xff]")
_AUTHORITY = re.compile(rb"https?://[^/?]*", re.IGNORECASE)
_METHODS = {b"GET": "GET", b"POST": "POST"}


class BodyReceiver(Protocol):
    """Receives the body of a request."""

    keep_alive: bool

    def take(self, body: bytes) -> None: ...

    def end(self) -> None: ...


class RequestParser(ABC):
    """Parses the octets that are passed to `feed`."""

    loop: asyncio.AbstractEventLoop
    client: tuple[str, int] | None
    server: tuple[str, int | None] | None

    def __init__(self) -> None:
        self.is_finished = False  # nothing more is read
        self.is_in_message = False
        self.receiving: BodyReceiver | None = None
        self._parser = httptools.HttpRequestParser(self)
        self._url = self._target = b""
        self._headers: list[Header] = []
        self.line = b""  # a request line that is not complete
        self._framing = 0  # octets outside of bodies since the last request
        self._is_upgrade = self._is_padded = False
        self.messages = 0  # that are complete

    @abstractmethod
    def start(
        self, request: Request, version: str, keep_alive: bool, path: bytes
    ) -> BodyReceiver | None:
        """Handle a complete head; return the receiver of its body.

        Parameters:
            request: without its body.
            version: of HTTP.
            keep_alive: whether the connection stays open after the answer.
            path: raw.
        """

    @abstractmethod
    def refuse(self, bad: Bad) -> None:
        """Handle a request with invalid framing; sets `is_finished`."""

    def feed(self, data: bytes) -> None:
        if not self.is_in_message and not (data := self._begin(data)):
            return
        # Spaces after a value; if a head arrives in parts, perhaps.
        self._is_padded = self.is_in_message or b" \r\n" in data or b"\t\r\n" in data
        self._framing += len(data)
        self._feed(data)
        if self._framing > HEAD_LIMIT and not self.is_finished:
            self.refuse(NO_HTTP)

    def drop_parser(self) -> None:
        """Drop the parser, which refers to this object, once no more octets follow."""
        del self._parser

    def on_message_begin(self) -> None:
        self.is_in_message = True
        self._headers = []

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self.is_finished:
            return
        parser, headers, url = self._parser, self._headers, self._url
        self._headers = []  # for trailers, which are dropped
        if self._is_padded:
            headers = [(name, value.strip(b" \t")) for name, value in headers]
        fields = dict(headers)
        if b"upgrade" in fields and parser.should_upgrade():
            self._is_upgrade, self._headers, self._url = True, headers, url
            return
        self._url = b""
        target, self._target = self._target or url, b""
        version = parser.get_http_version()
        bad = problem_of_request(
            version, len(target), headers, fields, apart=True, size=self._framing
        )
        method = parser.get_method()
        if bad is None and method == b"CONNECT":
            bad = NO_HTTP
        if bad is not None:
            self.refuse(bad)
            return
        if target[:1] != b"/":
            target, url = (_AUTHORITY.sub(b"", one, 1) or b"/" for one in (target, url))
            target, url = (b"/" + one if one[:1] == b"?" else one for one in (target, url))
        path, _, query = url.partition(b"?")
        request = Request(
            _METHODS.get(method) or method.decode(),
            unquote(path.decode("latin-1")) if b"%" in path else path.decode("latin-1"),
            target,
            query,
            headers,
            fields,
            self.client,
            self.server,
            self.loop,
            self.loop.time(),
        )
        keep_alive = version == "1.1" and parser.should_keep_alive()
        self.receiving = self.start(request, version, keep_alive, path)

    def on_body(self, body: bytes) -> None:
        self._framing -= len(body)
        if self.receiving is not None:
            self.receiving.take(body)

    def on_message_complete(self) -> None:
        self.is_in_message = False
        self.messages += 1
        self._framing = 0
        if self.receiving is not None:
            exchange, self.receiving = self.receiving, None
            exchange.end()
            if not exchange.keep_alive:
                self.is_finished = True

    def _begin(self, data: bytes) -> bytes:
        """Return the octets to parse of ``data``, which may begin with a request line.

        An incomplete line is kept until it is complete.
        """
        if self.line:
            data, self.line = self.line + data, b""
        if not self.messages and (bad := problem_of_start(data)) is not None:
            self.refuse(bad)
            return b""
        end = data.find(b"\r\n")
        if end < 0:
            is_line = any(data.startswith(one) or one.startswith(data) for one in _BEGINNINGS)
            if is_line and b"\n" not in data and len(data) <= TARGET_LIMIT + 64:
                self.line = data
                return b""
            return data
        line = data[:end]
        if (line.isascii() and line.count(b" ") == 2) or (match := _LINE.fullmatch(line)) is None:
            return data
        self._target = match[2]
        quoted = _RAW.sub(lambda octet: b"%%%02X" % octet[0][0], match[2])
        return b"%b %b %b%b" % (match[1], quoted, match[3], data[end:])

    def _feed(self, data: bytes) -> None:
        while True:
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserUpgrade as stopped:
                if self._is_upgrade:
                    data = self._without_upgrade(data[stopped.args[0] :])
                    continue
                self.refuse(NO_HTTP)
            except httptools.HttpParserError:
                if not self.is_finished:
                    self.refuse(NO_HTTP)
            return

    def _without_upgrade(self, rest: bytes) -> bytes:
        """Return the request without its Upgrade, because of which the parser skipped its body."""
        self._is_upgrade = False
        version = self._parser.get_http_version().encode()
        line = b"%b %b HTTP/%b\r\n" % (self._parser.get_method(), self._url, version)
        fields = [b"%b: %b\r\n" % field for field in self._headers if field[0] != b"upgrade"]
        self._parser = httptools.HttpRequestParser(self)
        self._url, self._headers = b"", []
        return b"".join((line, *fields, b"\r\n", rest))


class WholeRequest(RequestParser):
    """Reads the only request of a connection, without its event loop."""

    def __init__(
        self,
        client: tuple[str, int] | None,
        server: tuple[str, int | None] | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__()
        self.client, self.server, self.loop = client, server, loop
        self.keep_alive = self._is_bad = False
        self._request: Request | None = None
        self._body = b""

    def read(self, data: bytes, arrived: float) -> Request | None:
        """Return the request if ``data`` is exactly one complete request, else None.

        Parameters:
            arrived: in the event loop's time.
        """
        self.feed(data)
        if (request := self._request) is None or self._is_bad or self.messages != 1:
            return None
        request.arrived, request.body = arrived, self._body
        return None if self.is_in_message or len(self._body) > BODY_LIMIT else request

    def start(
        self, request: Request, version: str, keep_alive: bool, path: bytes
    ) -> BodyReceiver | None:
        self._request, self.keep_alive = request, keep_alive
        return self

    def refuse(self, bad: Bad) -> None:
        self.is_finished = self._is_bad = True

    def take(self, body: bytes) -> None:
        self._body += body

    def end(self) -> None:
        pass
