"""The callback core of one action: authenticate, parse, dispatch, respond.

Rule 1: authentication comes first: a digest POST begins with an empty body, and a 405 would reveal
        that the action exists.
Rule 2: an authenticated callback is answered with HTTP 200 and a reply, except for a body over the
        limit or in a coding other than gzip, which no PBX sends. A caller is on the line, and what
        the PBX does with any other answer is not documented ("Managing Virtual Receptionist"), so
        an unreadable callback gets the fallback.
Rule 3: a probe of ``receiver doctor`` is authenticated as any request, but no handler runs: the
        answer is the fallback, with a header for the probe (`receiver.callbacks.probe_answers`).
Rule 4: the log line contains no digits, numbers or names, and no text of a client.
Rule 5: a `Request` becomes an `Answer`, without a new task unless something is awaited.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from msgspec import Struct

from receiver.callbacks.asgi_messages import Answers
from receiver.callbacks.authenticate import Authenticator, AuthTarget, Refusal
from receiver.callbacks.content_coding import TooLarge, UnsupportedCoding, decode
from receiver.callbacks.observer import Completion, Observer, Times, Trace, refused
from receiver.callbacks.probe_answers import PROBE, CheckToken, explain, result
from receiver.callbacks.request import (
    BODY_LIMIT,
    CLOSE,
    Answer,
    Request,
    Waiting,
    read_callback,
    read_decoded,
    refuse,
)
from receiver.callbacks.tcp_rtt import round_trip
from receiver.calls import Call
from receiver.declarations.actions import Action
from receiver.dispatch.dispatcher import Decision, Dispatcher
from receiver.dispatch.handler_run import Run
from receiver.errors import CallbackError
from receiver.replies import encode
from receiver.upstream.request_observer import OBSERVER

log = logging.getLogger("receiver")


class Waited(Struct, eq=False):
    """A callback whose handler waits; a `receiver.callbacks.request.Waiting`."""

    endpoint: Endpoint
    run: Run
    call: Call
    times: Times
    loop: asyncio.AbstractEventLoop
    trace: Trace | None

    def notify(self, callback: Callable[[], None]) -> None:
        self.run.notify(self.loop, callback)

    def finish(self) -> Answer:
        return self.endpoint.finish(self)

    async def wait(self) -> Answer:
        await self.run.wait(self.loop)
        return self.endpoint.finish(self)


class Endpoint(Answers):
    """The core of one action.

    Parameters:
        action: the declared action.
        target: its identity and path.
        observer: logs and counts the answers.
        check_token: returns the state of a probe's token, at a time in seconds since the epoch.
        match_timing: repeats the work for an unknown action, so that a refusal takes as long.
        now: the time in seconds since the epoch, for nonces and tokens.
        epoch: of the accepted credentials; those of the next epoch are accepted too.
    """

    def __init__(
        self,
        action: Action,
        target: AuthTarget,
        authenticator: Authenticator,
        dispatcher: Dispatcher,
        *,
        observer: Observer,
        check_token: CheckToken = lambda token, now: "wrong",
        match_timing: Callable[[Request, float], object] = lambda request, now: None,
        now: Callable[[], float] = time.time,
        epoch: int = 1,
    ) -> None:
        self._action = action
        self._epoch = epoch
        self._target = target
        self._authenticator = authenticator
        self._dispatcher = dispatcher
        self._check_token = check_token
        self._match_timing = match_timing
        self._now = now
        self.observer = observer
        self._margin = dispatcher.margin(action)
        self._timeout = action.request_timeout
        # For the watchdog: until a callback is read, and after it, if all calls have the same one.
        self._unread = encode(dispatcher.fixed_fallback(action))
        fixed = dispatcher.has_fixed_fallback(action)
        self._late = self._unread if fixed else None

    def may_wait(self, request: Request) -> bool:
        """Return whether `answer` may need the task that it runs in."""
        if request.body is None or self.observer.traces:
            return True
        return self._authenticator.is_shared and self._authenticator.may_wait(request)

    async def answer(self, request: Request) -> Answer | Waiting | None:
        """Return the answer to a request; None if the client left before it was complete."""
        spent = 0.0
        if not self._authenticator.knows(request):
            now = self._now()
            if self._authenticator.is_shared and request.rescue is not None:
                due = self._dispatcher.deadline(self._action, request.arrived)
                request.on_checked = partial(request.rescue.arm, due, self._unread)
            outcome = await self._authenticator.authenticate(request, self._target, now)
            if isinstance(outcome, Refusal):
                self._match_timing(request, now)
                refused(outcome.cause)
                headers = explain(outcome, request, self._check_token, now, self._epoch)
                return await refuse(request, outcome.status, (*outcome.headers, *headers))
            spent = outcome.spent
        if request.method != self._action.method:
            return await self._refuse_method(request)
        try:
            return await self._answer_known(request, spent)
        except Exception as error:
            return self.failed(request, error)

    def failed(self, request: Request, error: BaseException) -> Answer:
        decision, now = self._broken(error), request.loop.time()
        return self._respond(Call(), decision, Times(request.arrived, now, now), request.loop, None)

    async def _answer_known(self, request: Request, spent: float) -> Answer | Waiting | None:
        """Return the answer to a request with the right credentials."""
        arrived = request.arrived
        times = Times(arrived, request.loop.time())
        if spent:  # before the request arrived, and since: it may have waited
            spent -= times.authenticated - arrived
            arrived = times.arrived = self._dispatcher.charge(self._action, arrived, spent)
        elif self._action.auth and self._margin.is_due(arrived):
            # Without credentials any client could shorten the deadline by being slow.
            self._margin.learn(round_trip(request.transport))
        due = arrived + self._timeout - self._margin.of(self._timeout)
        body = request.body
        if body is None or b"content-encoding" in request.fields:
            read = await self._read(request, due, times)
            if not isinstance(read, bytes):
                return read
            body = read
        if (token := request.fields.get(PROBE)) is not None:
            return self._answer_probe(request, body, token)
        return self._answer(request, body, times, due)

    async def _read(self, request: Request, due: float, times: Times) -> bytes | Answer | None:
        """Return the body, or an answer if it cannot be read; None if the client has left."""
        if request.body is None and request.rescue is not None:
            request.rescue.arm(due, self._unread)
        try:
            return await read_decoded(request, self._action.identity, BODY_LIMIT, due)
        except TimeoutError:
            log.error("%s: deadline exceeded while reading the body", self._action.identity)
            decision = self._dispatcher.fallback(self._action, "late")
            times.read = request.loop.time()
            answer = self._respond(Call(), decision, times, request.loop, None)
            answer.headers = (CLOSE,)
            return answer

    def answer_blocked(self, request: Request, now: float, at_once: bool) -> Answer | None:
        """Return a challenge or the fallback while the event loop is blocked; in another thread.

        Parameters:
            now: in the event loop's time.
            at_once: whether the fallback is due now, however long the request could wait.

        Returns:
            None if the answer is not due yet, or only the loop can answer.
        """
        action, wall = self._action, self._now()
        due = self._dispatcher.deadline(action, request.arrived)

        def is_due(spent: float) -> bool:
            return at_once or now >= due - min(spent, action.request_timeout / 2)

        arrived = wall - (now - request.arrived)
        outcome = self._authenticator.authenticate_blocked(
            request, self._target, arrived, wall, is_due
        )
        if isinstance(outcome, Refusal):
            return Answer(outcome.status, b"", outcome.headers)
        if outcome is None or request.method != self._action.method:
            return None
        call: Call | None = None
        with suppress(CallbackError, UnsupportedCoding, TooLarge):
            body = decode(request.headers, request.body or b"", BODY_LIMIT)
            call = read_callback(request, body).call.without_finish_key(self._action.finish_key)
        decision = self._dispatcher.fallback(self._action, "late", call)
        times = Times(request.arrived, now, now, now, now)

        def after(_: bool) -> None:
            self.observer.add(call or Call(), decision, times)

        return Answer(200, encode(decision.reply), (CLOSE,), after)

    async def _refuse_method(self, request: Request) -> Answer | None:
        refused("method")
        identity, method = self._action.identity, self._action.method
        log.warning("%s refused: %s, registered is %s", identity, request.method, method)
        return await refuse(request, 405, ((b"allow", method.encode()),))

    def _answer(self, request: Request, body: bytes, times: Times, due: float) -> Answer | Waited:
        call, loop = None, request.loop
        times.read = loop.time()
        trace = self.observer.begin(request, times)
        watching = self.observer.watch(times)
        try:
            call, oddities = read_callback(request, body)
            if oddities:
                log.debug("%s: %s", self._action.identity, "; ".join(oddities))
            if request.rescue is not None:
                request.rescue.arm(due, self._late or encode(self.late_decision(call).reply))
            decision = self._dispatcher.start(self._action, call, due, loop)
            if isinstance(decision, Run):
                return Waited(self, decision, call, times, loop, trace)
        except CallbackError as error:
            log.error("%s: %s; the fallback is answered", self._action.identity, error)
            decision = self._dispatcher.fallback(self._action, "invalid")
        except Exception as error:
            decision = self._broken(error)
        finally:
            if watching is not None:
                OBSERVER.reset(watching)
            if trace is not None:
                trace.leave()
        return self._respond(call or Call(), decision, times, loop, trace)

    def finish(self, waited: Waited) -> Answer:
        """Return the answer to a callback whose handler has ended, or is late."""
        try:
            decision = self._dispatcher.finish(waited.run, waited.loop)
        except Exception as error:
            decision = self._broken(error)
        return self._respond(waited.call, decision, waited.times, waited.loop, waited.trace)

    def _broken(self, error: BaseException) -> Decision:
        """Return the fallback after a fault in this package: the PBX still gets a valid answer."""
        if isinstance(error, Exception):  # or else its task was cancelled
            log.critical("%s: %s inside the receiver", self._action.identity, type(error).__name__)
        return self._dispatcher.fallback(self._action, "raised")

    def _respond(
        self,
        call: Call,
        decision: Decision,
        times: Times,
        loop: asyncio.AbstractEventLoop,
        trace: Trace | None,
    ) -> Answer:
        times.handled = loop.time()
        done = Completion(self.observer, self.late_decision, call, decision, times, loop, trace)
        return Answer(200, encode(decision.reply), (), done.after)

    def late_decision(self, call: Call) -> Decision:
        """Return the fallback for a callback that the watchdog answers."""
        return self._dispatcher.fallback(self._action, "late", call)

    def _answer_probe(self, request: Request, body: bytes, token: bytes) -> Answer:
        """Return the fallback and the result of the probe; no handler runs."""
        state = self._check_token(token.decode("latin-1"), self._now())
        outcome = result(request, body, state)
        log.info("%s answered a probe: %s", self._action.identity, outcome)
        reply = self._dispatcher.fallback(self._action, "invalid").reply
        return Answer(200, encode(reply), ((PROBE, outcome.encode()),))
