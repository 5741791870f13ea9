"""One action as an ASGI endpoint: who is it, what does he say, what shall happen.

Rule 1: who may not ask is turned away before anything else is looked at; a digest POST begins with
        an empty body, and a method of another action tells a stranger that there is one.
Rule 2: past authentication a callback is always answered with HTTP 200 and a reply; only a body
        over the limit, which no PBX sends, is not. The PBX has a caller on the
        line and what it does with anything else is not documented ("Managing Virtual
        Receptionist"), so what cannot be read gets the fallback.
Rule 3: a request with the mark of ``receiver doctor`` is taken as any other, but no handler runs:
        it is answered the fallback, and told what the mark was worth. One that is turned away for
        its source is told so: only who has the service secret can make a mark.
Rule 4: the log line holds no digits, numbers or names, and nothing that a stranger wrote.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from msgspec import Struct
from starlette.types import Receive, Scope, Send

from receiver.actions import Action
from receiver.callbacks.admission import Admission, Place, Turned
from receiver.callbacks.exchange import (
    BODY_LIMIT,
    CLOSE,
    Gone,
    Header,
    TooLarge,
    read,
    refuse,
    respond,
)
from receiver.callbacks.marks import HEADER, SOURCE
from receiver.callbacks.reading import Callback, read_body, read_query
from receiver.calls import Call
from receiver.dispatch.dispatcher import Dispatcher
from receiver.dispatch.eager import within
from receiver.errors import CallbackError
from receiver.replies import encode
from receiver.serving.roundtrips import round_trip
from receiver.serving.watchdog import RESCUE, Rescue
from receiver.telemetry.observing import Observer, Times, refused

ARRIVED = "receiver.arrived"
"""Key of the scope: when the request arrived, in the loop's time, if somebody knows better."""

_MARK = HEADER.lower().encode()

log = logging.getLogger("receiver")

Judge = Callable[[str, float], str]
"""What a mark is worth, at a time in seconds since the epoch."""


class Came(Struct, frozen=True):
    """A request that was let in: when it arrived, that was, and its answer is due."""

    arrived: float
    admitted: float
    due: float
    loop: asyncio.AbstractEventLoop


class Endpoint:
    """Answers the callbacks of one action.

    Parameters:
        action: what was declared.
        place: what is asked for there.
        admission: who may ask.
        dispatcher: runs the handler.
        observer: is told what was answered.
        judge: what a mark is worth, at a time in seconds since the epoch.
        even_out: does once more what it takes to find that there is no action, so that a refusal
            here takes as long as one where there is none.
        now: the time in seconds since the epoch, for nonces and marks.
    """

    def __init__(
        self,
        action: Action,
        place: Place,
        admission: Admission,
        dispatcher: Dispatcher,
        *,
        observer: Observer,
        judge: Judge = lambda mark, now: "wrong",
        even_out: Callable[[], object] = lambda: None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._action = action
        self._place = place
        self._admission = admission
        self._dispatcher = dispatcher
        self._judge = judge
        self._even_out = even_out
        self._now = now
        self._observer = observer
        fixed = dispatcher.has_fixed_fallback(action)
        self._late = encode(dispatcher.fallback(action, "late").reply) if fixed else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        loop = asyncio.get_running_loop()
        begun, now = scope.get(ARRIVED) or loop.time(), self._now()
        judged = await self._admission.judge(scope, self._place, now)
        if isinstance(judged, Turned):
            self._even_out()
            refused(judged.cause)
            told = explain(judged, scope, self._judge, now)
            await refuse(scope, receive, send, judged.status, (*judged.headers, *told))
            return
        admitted = loop.time()
        if scope["method"] != self._action.method:
            await self._refuse_method(scope, receive, send)
            return
        arrived = self._dispatcher.charge(
            self._action, begun, judged.spent, lambda: round_trip(scope)
        )
        due = self._dispatcher.deadline(self._action, arrived)
        try:
            body = await within(due, read(scope, receive))
        except TooLarge:
            refused("size")
            log.warning("%s refused: a body over %d bytes", self._action.identity, BODY_LIMIT)
            await respond(send, 413, b"", (CLOSE,))
        except TimeoutError:
            await self._give_up(begun, admitted, send)
        except Gone:
            log.info("%s: the sender left before its request was complete", self._action.identity)
        else:
            await self._answer(scope, body, Came(arrived, admitted, due, loop), send)

    async def _refuse_method(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused("method")
        log.warning(
            "%s refused: %s, but it is registered with %s",
            self._action.identity,
            scope["method"],
            self._action.method,
        )
        allowed = (b"allow", self._action.method.encode())
        await refuse(scope, receive, send, 405, (allowed,))

    async def _give_up(self, arrived: float, admitted: float, send: Send) -> None:
        """The body did not come in time."""
        clock = asyncio.get_running_loop().time
        log.error("%s: the body did not come in time", self._action.identity)
        decision = self._dispatcher.fallback(self._action, "late")
        given_up = clock()
        await respond(send, 200, encode(decision.reply), (CLOSE,))
        times = Times(arrived, admitted, given_up, given_up, clock())
        self._observer.tell(Call(), decision, times)

    async def _answer(self, scope: Scope, body: bytes, came: Came, send: Send) -> None:
        if (mark := _mark(scope)) is not None:
            await self._check(scope, body, mark, send)
            return
        call: Call | None = None
        loop = came.loop
        read = loop.time()
        trace = self._observer.begin(scope, came.arrived, came.admitted, read)
        rescue: Rescue | None = scope.get(RESCUE)
        try:
            call, oddities = _callback(scope, body)
            if oddities:
                log.debug("%s: %s", self._action.identity, "; ".join(oddities))
            if rescue is not None:
                rescue.arm(came.due, self._last_word(call))
            decision = await self._dispatcher.decide(self._action, call, came.due, loop)
        except CallbackError as error:
            log.error("%s: %s; the fallback is answered", self._action.identity, error)
            decision = self._dispatcher.fallback(self._action, "invalid")
        except Exception as error:
            # Ours, not the handler's: the caller still gets a valid answer.
            log.critical("%s: %s inside the receiver", self._action.identity, type(error).__name__)
            decision = self._dispatcher.fallback(self._action, "raised")
        handled, release = loop.time(), decision.release
        try:
            if rescue is None or rescue.disarm():
                await respond(send, 200, encode(decision.reply))
            else:  # the event loop was stuck, and the watchdog has answered
                decision = self._dispatcher.fallback(self._action, "late", call)
        finally:  # also if the sender has left
            release()
        times = Times(came.arrived, came.admitted, read, handled, loop.time())
        self._observer.tell(call or Call(), decision, times, trace)

    def _last_word(self, call: Call) -> bytes:
        """What the watchdog answers if this event loop is stuck."""
        if self._late is not None:
            return self._late
        return encode(self._dispatcher.fallback(self._action, "late", call).reply)

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
        await respond(send, 200, encode(reply), ((_MARK, worth.encode()),))


def explain(turned: Turned, scope: Scope, judge: Judge, now: float) -> tuple[Header, ...]:
    """What ``receiver doctor``, and nobody else, is told on top of ``turned``: a header."""
    if turned.foreign and is_ours(scope, judge, now):
        return ((_MARK, f"{SOURCE}{turned.source}".encode()),)
    return ()


def is_ours(scope: Scope, judge: Judge, now: float) -> bool:
    """Whether the request has a good mark."""
    return (mark := _mark(scope)) is not None and judge(mark, now) == "ok"


def _mark(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == _MARK:
            return str(value, "latin-1")
    return None


def _callback(scope: Scope, body: bytes) -> Callback:
    if scope["method"] == "GET" or not body or body.isspace():
        return read_query(scope["query_string"])
    content_type = b""
    for name, value in scope["headers"]:
        if name == b"content-type":
            content_type = value
    return read_body(body, content_type.decode("latin-1"))
