"""uvicorn's connections, for either of its parsers, without the holes that they leave open.

Rule 1: nobody holds one by being slow (`receiver.serving.timed`), nor more of them than there are
        descriptors for (`receiver.serving.room`).
Rule 2: what is not body, of one request, is bounded also while it is incomplete.
Rule 3: trailers are never among the headers, and the scope says so to the app.
Rule 4: an Upgrade is not followed, and the body of a request that asks for one is its body.
Rule 5: what is wrong with a request does not cost an earlier one its answer.
Rule 6: what a proxy says is for the app to believe or not: uvicorn's own middleware is left out.

uvicorn takes them by name too: ``uvicorn --http receiver.serving.connections:Fastest``.
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from receiver.serving.framing import HEAD_LIMIT, TRAILERS
from receiver.serving.timed import Timed

try:
    import httptools
    from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
except ImportError:  # it comes with the extra "fast"
    HAS_HTTPTOOLS = False
else:
    HAS_HTTPTOOLS = True

PIPELINE_LIMIT = 32
"""Requests that may wait behind one that is being answered; a PBX sends none."""


class H11(Timed, H11Protocol):
    """Parsed by h11, which is written in Python and always there."""

    def _owes(self) -> bool:
        theirs = self.conn.their_state
        if theirs is h11.SEND_BODY:
            return self.cycle is not None and self.cycle.response_complete
        return theirs is h11.IDLE and bool(self.conn.trailing_data[0])

    def handle_events(self) -> None:
        super().handle_events()
        if self.scope is not None and TRAILERS not in self.scope:
            self._equip(self.scope, self.cycle)  # the app runs in a task, which has not begun yet

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def send_400_response(self, msg: str) -> None:
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:  # it was answered before its body broke
            self.transport.close()


if HAS_HTTPTOOLS:
    _WAITING, _HEAD, _BODY = range(3)

    class HttpTools(Timed, HttpToolsProtocol):
        """Parsed by httptools, which is about three times as fast, and sets no limits itself."""

        _phase = _WAITING
        _framing = 0  # octets since the last request that were no body, as far as one can see
        _upgrading = False

        def _owes(self) -> bool:
            if self._phase == _BODY:
                return bool(self.cycle.response_complete)
            return self._phase == _HEAD

        def data_received(self, data: bytes) -> None:
            if self._phase == _WAITING:
                self._phase = _HEAD  # also an empty line, of which the parser says nothing
            self._framing += len(data)
            self._data = data
            super().data_received(data)
            if self._framing > HEAD_LIMIT and not self.transport.is_closing():
                self.send_400_response("Too much that is no body.")

        def on_message_begin(self) -> None:
            super().on_message_begin()
            self._phase = _HEAD

        def on_headers_complete(self) -> None:
            if self.parser.should_upgrade() and not self._should_upgrade():
                if self.parser.get_method() == b"CONNECT":
                    raise ValueError("this is no tunnel")
                self._upgrading = True
                return
            super().on_headers_complete()
            self.headers = []  # where trailers go, which nobody reads
            self._equip(self.scope, self.cycle)
            if len(self.pipeline) > PIPELINE_LIMIT:
                raise ValueError("too many requests at once")  # the parser makes it a bad request
            self._phase = _BODY

        def on_body(self, body: bytes) -> None:
            self._framing -= len(body)
            super().on_body(body)

        def on_message_complete(self) -> None:
            if self._upgrading:
                return
            super().on_message_complete()
            self._phase = _WAITING
            self._framing = 0

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._watch()

        def _unsupported_upgrade_warning(self) -> None:
            """Parse the head again without its Upgrade, for the parser took the body for none."""
            stopped = cast("httptools.HttpParserUpgrade", sys.exception())
            self._upgrading = False
            fields = [b"%b: %b\r\n" % field for field in self.headers if field[0] != b"upgrade"]
            version = self.parser.get_http_version().encode()
            line = b"%b %b HTTP/%b\r\n" % (self.parser.get_method(), self.url, version)
            rest = self._data[stopped.args[0] :]
            self.parser = httptools.HttpRequestParser(self)
            self.data_received(b"".join((line, *fields, b"\r\n", rest)))

        def send_400_response(self, msg: str) -> None:
            before = self.cycle is not None and not self.cycle.response_complete
            if self.pipeline or (before and self._phase == _HEAD):
                self.flow.pause_reading()
                self.shutdown()  # once the last is answered
            elif self._phase == _BODY and self.cycle.response_started:
                self.transport.close()
            else:
                super().send_400_response(msg)


Fastest: type[asyncio.Protocol] = HttpTools if HAS_HTTPTOOLS else H11
