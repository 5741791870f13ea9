"""The endpoint of a PBX's events: authenticate, store, acknowledge.

Rule 1: authentication, throttle and client address are those of an action.
Rule 2: 200 means that the event is stored durably; the PBX repeats one that gets anything else but
        404, which no declared event URL answers. 503 means that the queue is unavailable.
Rule 3: what is no event of a call, such as that of an extension, is acknowledged and dropped with a
        line in the log: a repetition would be the same. Only a receiver in ``forward_to=`` gets it.
Rule 4: a probe of ``receiver doctor`` is answered with 200 and its result, and stores nothing.
Rule 5: the log line has no number, name or digits.

Source: "Receive webhooks" of the vendor's webhook notifications, for the statuses.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from receiver.background import AfterError
from receiver.callbacks.asgi_messages import Answers
from receiver.callbacks.authenticate import Authenticator, AuthTarget, Refusal
from receiver.callbacks.event_jobs import EventJobs
from receiver.callbacks.observer import refused
from receiver.callbacks.probe_answers import PROBE, CheckToken, explain, result
from receiver.callbacks.request import CLOSE, Answer, Request, read_decoded, refuse
from receiver.declarations.call_events import CallEvent
from receiver.declarations.event_actions import EventEndpoint
from receiver.errors import CallbackError
from receiver.observability.log_throttle import LogThrottle
from receiver.observability.metrics import COUNTS, EVENTS

BODY_LIMIT = 256 * 1024
"""Octets of a body: a final record lists every device that rang."""

BODY_TIMEOUT = 10.0
"""Seconds for the body to arrive."""

Listener = Callable[[CallEvent], object]
"""Called with each new event."""

log = logging.getLogger("receiver")


class EventAnswers(Answers):
    """Answers the events of one PBX.

    Parameters:
        endpoint: the declared event URL.
        target: what is authenticated for.
        authenticator: checks the requests.
        jobs: stores the events.
        log_throttle: keeps the log from being flooded.
        check_token: returns the state of a probe's token.
        listeners: get each new event, such as the console.
        now: seconds since the epoch.
        epoch: of the credentials.
        body_timeout: see `BODY_TIMEOUT`.
    """

    body_limit = BODY_LIMIT

    def __init__(
        self,
        endpoint: EventEndpoint,
        target: AuthTarget,
        authenticator: Authenticator,
        jobs: EventJobs,
        log_throttle: LogThrottle,
        *,
        check_token: CheckToken,
        listeners: tuple[Listener, ...] = (),
        now: Callable[[], float] = time.time,
        epoch: int = 1,
        body_timeout: float = BODY_TIMEOUT,
    ) -> None:
        self._pbx, self._name = endpoint.pbx, endpoint.identity
        self._target = target
        self._authenticator = authenticator
        self._jobs = jobs
        self._log_throttle = log_throttle
        self._check_token = check_token
        self._listeners = listeners
        self._now = now
        self._epoch = epoch
        self._body_timeout = body_timeout

    def may_wait(self, request: Request) -> bool:
        return True

    def answer_blocked(self, request: Request, now: float, at_once: bool) -> Answer | None:
        return None  # the PBX waits, or repeats the event

    async def answer(self, request: Request) -> Answer | None:
        now = self._now()
        outcome = await self._authenticator.authenticate(request, self._target, now)
        if isinstance(outcome, Refusal):
            refused(outcome.cause)
            more = explain(outcome, request, self._check_token, now, self._epoch)
            return await refuse(request, outcome.status, (*outcome.headers, *more))
        if request.method != "POST":
            refused("method")
            log.warning("%s refused: %s, events come by POST", self._name, request.method)
            return await refuse(request, 405, ((b"allow", b"POST"),))
        body = await self._read(request)
        if not isinstance(body, bytes):
            return body
        if (token := request.fields.get(PROBE)) is not None:
            state = result(request, body, self._check_token(token.decode("latin-1"), now))
            log.info("%s answered a probe: %s", self._name, state)
            return Answer(200, b"", ((PROBE, state.encode()),))
        return await self._store(body, now)

    async def _read(self, request: Request) -> bytes | Answer | None:
        """Return the body, or an answer if it cannot be read; None if the client has left."""
        due = request.loop.time() + self._body_timeout
        try:
            return await read_decoded(request, self._name, BODY_LIMIT, due)
        except TimeoutError:
            log.warning("%s refused: the body did not arrive in time", self._name)
            return Answer(408, b"", (CLOSE,))

    async def _store(self, body: bytes, now: float) -> Answer:
        events: tuple[CallEvent, ...] = ()
        try:
            events = self._jobs.read(self._pbx, body)
            kind: str = events[0].kind if events else "call_answered"  # by an IVR
        except CallbackError as error:
            kind = "other"
            if (more := self._log_throttle.due(f"{self._name} {error}", now)) is not None:
                log.warning("%s: %s; acknowledged and dropped%s", self._name, error, more)
        try:
            result = await self._jobs.accept(self._pbx, body, events)
        except AfterError:  # which is logged
            COUNTS.add(EVENTS, (kind, "failed"))
            return Answer(503)
        COUNTS.add(EVENTS, (kind, result))
        for event in events if result != "duplicate" else ():
            log.info("%s: %s, %s", self._name, event.kind, result)
            for listener in self._listeners:
                listener(event)
        return Answer(200)
